"""The trunk's user name and password are judged as Bandwidth and Asterisk take them, and so is a hash."""

from __future__ import annotations

from hashlib import md5
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from bwlib.diagnose import at_bandwidth, at_pbx
from bwlib.diagnose.at_trunk_login import login
from bwlib.diagnose.scene import Account, Scene
from bwlib.models import Realm, SipCredential, Trunk

FQDN = "acme-1a2b3c.auth.bandwidth.test"
REALM = Realm("1", FQDN, "", False, "ACTIVE")
RIGHT = "the-right-one"


def ha1(user: str = "acme", realm: str = FQDN, password: str = RIGHT) -> str:
    return md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()


CREDENTIAL = SipCredential(
    "2", "acme", "1", FQDN, "app-1", SecretStr(ha1().upper()), SecretStr(ha1(f"acme@{FQDN}"))
)  # fmt: skip
UNTOLD = SipCredential("2", "acme", "1", FQDN, "app-1", SecretStr(""), SecretStr(""))


def scene(site: str | None = RIGHT, credential: SipCredential | None = CREDENTIAL, kept: str = "") -> Scene:
    """kept: the hash that the PBX has in the password's place. site: the password that the site file refers to."""
    settings = SimpleNamespace(
        road="realm", realm=SimpleNamespace(name="acme"), sip_credential=SimpleNamespace(username="acme", password="x")
    )
    run: Any = SimpleNamespace(settings=settings, secret=lambda _: SecretStr(site), on=SimpleNamespace())
    here = Scene(run, trunk_ha1=SecretStr(kept))
    here.account = Account(realm=REALM if credential else None, credential=credential)
    if site is None:
        here.run.settings.sip_credential.password = "prompt:"
    return here


def trunk(user: str = "acme", password: str = "") -> Trunk:
    return Trunk("acme", FQDN, user, SecretStr(password), "+19195550100", FQDN)


def said(here: Scene, of: Trunk) -> dict[str, str]:
    facts = login(here, of)
    hashes = {here.trunk_ha1.get_secret_value(), ha1(), RIGHT} - {""}
    assert not [fact for fact in facts if any(secret in fact.says for secret in hashes)]
    return {fact.name.removeprefix("trunk."): fact.value for fact in facts if fact.name != "trunk.outbound_auth"}


@pytest.mark.parametrize(
    ("user", "password", "username", "fits"),
    [
        ("acme", RIGHT, "as-wanted", "as-wanted"),
        ("acme", "another-one", "as-wanted", "differs"),
        ("amce", RIGHT, "differs", "as-wanted"),
        (f"acme@{FQDN}", RIGHT, "as-wanted", "as-wanted"),
        (f"acme@{FQDN}", "another-one", "as-wanted", "differs"),
        ("acme@elsewhere.test", RIGHT, "differs", "as-wanted"),
    ],
)
def test_user_name_and_password_are_judged_apart(user: str, password: str, username: str, fits: str) -> None:
    assert said(scene(), trunk(user, password)) == {"username": username, "password": fits, "secret": fits}


def test_a_password_cannot_be_called_wrong_where_bandwidth_tells_no_hash() -> None:
    here = scene(credential=UNTOLD)
    assert at_bandwidth._password(here, REALM, UNTOLD).value == "unknown"
    assert said(here, trunk(password=RIGHT)) == {"username": "as-wanted", "secret": "as-wanted"}
    assert said(here, trunk(f"acme@{FQDN}", RIGHT))["username"] == "differs"


@pytest.mark.parametrize(
    ("kept", "password", "secret"),
    [
        (ha1(), "as-wanted", "as-wanted"),
        (ha1().upper(), "upper-case", "as-wanted"),
        (ha1(realm="asterisk"), "other-realm", "as-wanted"),
        (ha1(realm="acme-1a2b3c"), "other-realm", "as-wanted"),
        (ha1(realm="acme"), "other-realm", "as-wanted"),
        (ha1(realm="asterisk").upper(), "other-realm", "as-wanted"),
        (ha1(password="another-one"), "differs", "differs"),
        ("not a hash: \u00e9", "differs", "differs"),
    ],
)
def test_a_hash_in_the_passwords_place_is_compared_as_the_password_is(kept: str, password: str, secret: str) -> None:
    """Whatever password stands beside it: Asterisk does not take that one."""
    for beside in ("", RIGHT):
        of = trunk(password=beside)
        assert said(scene(kept=kept), of) == {"username": "as-wanted", "password": password, "secret": secret}


def test_a_hash_of_a_password_that_bandwidth_no_longer_has_is_the_site_files_all_the_same() -> None:
    facts = said(scene(site="the-old-one", kept=ha1(password="the-old-one")), trunk())
    assert (facts["password"], facts["secret"]) == ("differs", "as-wanted")


def test_a_hash_for_user_at_realm_is_bandwidths_other_hash() -> None:
    user = f"acme@{FQDN}"
    facts = {"username": "as-wanted", "password": "as-wanted", "secret": "as-wanted"}
    assert said(scene(kept=ha1(user)), trunk(user)) == facts


def test_a_hash_is_not_called_wrong_where_it_is_not_known_what_to_compare_it_with() -> None:
    assert said(scene(site=None, kept=ha1()), trunk())["secret"] == "unknown"
    assert said(scene(site=None, kept=ha1()), trunk())["password"] == "as-wanted"
    of_some_realm = said(scene(credential=None, kept=ha1(realm="who-knows")), trunk())
    assert of_some_realm == {"username": "as-wanted", "secret": "unknown"}
    assert said(scene(credential=UNTOLD, kept=ha1()), trunk()) == {"username": "as-wanted", "secret": "as-wanted"}


# ---------------------------------------------------------------- what is only spelt otherwise


@pytest.mark.parametrize(
    ("admitted", "holds"),
    [
        (("203.0.113.0/24",), True),
        (("203.0.113.7", "203.0.113.8"), True),
        (("203.0.113.7",), False),
        (("203.0.113.9/32",), False),
        (("sip.example",), False),
        ((), False),
    ],
)
def test_a_network_that_holds_bandwidths_addresses_admits_them(admitted: tuple[str, ...], holds: bool) -> None:
    assert at_pbx._hold(admitted, ("203.0.113.7", "203.0.113.8/32")) is holds


def test_host_names_have_no_case() -> None:
    wanted = trunk()
    found = Trunk("acme", FQDN.upper(), "acme", SecretStr(""), "+19195550100", FQDN.title())
    assert at_pbx._alike(found, wanted) == wanted
    other = Trunk("acme", "acme-1a2b3d.auth.bandwidth.test", "acme", SecretStr(""), "+19195550100", FQDN)
    assert at_pbx._alike(other, wanted) == other
