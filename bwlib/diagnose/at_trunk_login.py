"""The trunk's user name and password, against the credential's and the site file's.

The password is judged by HA1: the hash of what the PBX has against the one that Bandwidth has, so that it is known
which of user name and password is wrong, which no answer of the realm tells. A PBX may keep HA1 itself in the
password's place (md5_cred, password_digest); it answers no other realm's challenge than the one that it was made for,
and its hex digits go into the digest as they are written (seen on Asterisk 22.10).
"""

from __future__ import annotations

import hmac

from pydantic import SecretStr

from bwlib.bandwidth.wire import hash1
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import PROMPT, Scene
from bwlib.models import Trunk

SOURCE = "PBX"
# The realm that Asterisk names itself: what many instructions compute md5_cred over.
ASTERISKS_REALM = "asterisk"


def login(scene: Scene, found: Trunk) -> list[Fact]:
    """User name by name, password by HA1. Without outbound authentication there is neither."""
    if not found.username and not found.password.get_secret_value():
        return [Fact("trunk.outbound_auth", "absent", "the trunk has no outbound authentication", SOURCE)]
    facts = [Fact("trunk.outbound_auth", "found", f"the trunk authenticates as {found.username}", SOURCE)]
    wanted, whose = _wanted_user(scene)
    if wanted:
        same = found.username == wanted or _with_realm(scene, found)
        says = f"trunk username is {found.username or 'not set'}" + ("" if same else f", {whose} is {wanted}")
        facts.append(Fact("trunk.username", "as-wanted" if same else "differs", says, SOURCE))
    return [*facts, *(_hash(scene, found) if scene.trunk_ha1.get_secret_value() else _password(scene, found))]


def _wanted_user(scene: Scene) -> tuple[str, str]:
    """The user name, and whose it is: Bandwidth's word; where Bandwidth cannot be read, the site file's."""
    account, settings = scene.account, scene.run.settings
    if account.credential is not None:
        return account.credential.username, "the credential's"
    if account.sip_uri is not None:
        return settings.sip_uri.username or account.sip_uri.user, "the SIP URI's"
    return (settings.sip_credential.username, "the site file's") if settings.road == "realm" else ("", "")


def _with_realm(scene: Scene, found: Trunk) -> bool:
    """Whether it is user@FQDN, for which Bandwidth keeps a hash of its own, Hash1b (docs/account/sipRegistrar)."""
    credential, (user, _, domain) = scene.account.credential, found.username.rpartition("@")
    if credential is None or not credential.ha1b.get_secret_value():
        return False
    return user == credential.username and domain.lower() == scene.host.lower()


def _stored(scene: Scene, found: Trunk) -> SecretStr:
    """What Bandwidth keeps for the trunk's user name; for a wrong one, that of the right one. "" when it tells none."""
    credential = scene.account.credential
    if credential is None or scene.account.realm is None:
        return SecretStr("")
    stored = credential.ha1b if _with_realm(scene, found) else credential.ha1
    return SecretStr(stored.get_secret_value().lower())


def _same(one: SecretStr, other: SecretStr) -> bool:
    return hmac.compare_digest(one.get_secret_value().encode(), other.get_secret_value().encode())


def _password(scene: Scene, found: Trunk) -> list[Fact]:
    stored, site = _stored(scene, found), scene.password()
    facts = []
    if stored.get_secret_value() and scene.account.credential is not None:
        user = found.username if _with_realm(scene, found) else scene.account.credential.username
        fits = _same(hash1(user, scene.host, found.password), stored)
        says = f"HA1 of the trunk's password and Hash1 at Bandwidth are {'' if fits else 'not '}the same"
        facts.append(Fact("trunk.password", "as-wanted" if fits else "differs", says, SOURCE))
    if site is None:
        return [*facts, *_not_given(scene)]
    same = _same(site, found.password)
    says = f"the trunk's password is {'' if same else 'not '}the one that the site file refers to"
    return [*facts, Fact("trunk.secret", "as-wanted" if same else "differs", says, SOURCE)]


def _not_given(scene: Scene) -> list[Fact]:
    """Nothing to compare with. A prompt is not asked here; that another reference gives nothing is worth knowing."""
    says = f"{scene.password_reference}, where the site file says that the trunk's password is, gives nothing now"
    facts = [Fact("trunk.secret", UNKNOWN, says, "site file")]
    if scene.password_reference.startswith(PROMPT):
        return facts
    return [*facts, Fact("probe.secret", "failed", f"{says}: it was not compared", "site file")]


# ---------------------------------------------------------------- a PBX that keeps HA1

_KEPT = "the PBX keeps a hash in the password's place (md5_cred, password_digest)"


def _hash(scene: Scene, found: Trunk) -> list[Fact]:
    """The trunk's hash against Bandwidth's, and against those that the site's password would make."""
    stored, site, known = _stored(scene, found), scene.password(), scene.account.realm is not None
    over = _realm_of(scene, found, site)
    word, facts = _written(scene, stored, over), []
    if stored.get_secret_value() or word in ("upper-case", "other-realm"):
        says = {
            "as-wanted": f"{_KEPT}, and it is Hash1 at Bandwidth",
            "upper-case": f"{_KEPT}, in upper-case letters, which Asterisk computes with as they are",
            "other-realm": f"{_KEPT}, over the realm {over}; the challenge names {scene.host}",
            "differs": f"{_KEPT}, and it is not Hash1 at Bandwidth",
        }[word]
        facts.append(Fact("trunk.password", word, says, SOURCE))
    if site is None:
        return [*facts, *_not_given(scene)]
    if not over and not known:
        says = f"{_KEPT}, and it is not known over which realm: not compared"
        return [*facts, Fact("trunk.secret", UNKNOWN, says, SOURCE)]
    says = f"the trunk's hash is {'' if over else 'not '}made of the password that the site file refers to"
    return [*facts, Fact("trunk.secret", "as-wanted" if over else "differs", says, SOURCE)]


def _written(scene: Scene, stored: SecretStr, over: str) -> str:
    """over: the realm that the hash was made for with the site's password, "" for none that is known."""
    lower = SecretStr(scene.trunk_ha1.get_secret_value().lower())
    right = _same(lower, stored) if stored.get_secret_value() else over == scene.host != ""
    if right:
        return "as-wanted" if _same(lower, scene.trunk_ha1) else "upper-case"
    return "other-realm" if over not in ("", scene.host) and scene.account.realm is not None else "differs"


def _realm_of(scene: Scene, found: Trunk, site: SecretStr | None) -> str:
    """The realm over which the trunk's hash is HA1 of the site's password, of those that people take; "" for none."""
    if site is None:
        return ""
    mine, host = SecretStr(scene.trunk_ha1.get_secret_value().lower()), scene.host
    names = (scene.run.settings.realm.name, host.partition(".")[0], host.partition(".")[2], ASTERISKS_REALM)
    realms = dict.fromkeys(name for name in (host, found.server, found.from_domain, *names) if name)
    users = dict.fromkeys(user for user in (found.username, _wanted_user(scene)[0]) if user)
    return next((realm for realm in realms for user in users if _same(hash1(user, realm, site), mine)), "")
