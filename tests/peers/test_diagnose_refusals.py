"""Whatever code the realm refuses with, no wrong cause comes first: which one Bandwidth gives for what is not known."""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from diagnosed import Looked, Put, all_of, broken, edited, faulty, looked_at, stage_of, switched
from training_site import walked_site

from bwlib.bandwidth.wire import hash1
from bwlib.calling import registrar
from bwlib.errors import NotAsExpected
from bwlib.models import Trunk
from bwlib.phone import Phone
from bwlib.run import open_to_look
from bwlib.sandbox.switches import BY_NAME as SWITCHES
from bwlib.training.config_edits import Edit, add_section, both, replace_all, set_option
from bwlib.training.pbx_breaks import OUR_DIALPLAN

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

# break -> the switch that says how the realm refuses it, and the cause that must come first
REFUSED = {
    "wrong-password": ("wrong_password_status", "wrong-password"),
    "wrong-username": ("wrong_password_status", "wrong-username"),
    "rotated-password": ("wrong_password_status", "rotated-password"),
    "pinned-realm": ("wrong_password_status", "pinned-realm"),
    "no-outbound-auth": ("wrong_password_status", "no-outbound-auth"),
    "foreign-caller-id": ("foreign_caller_id_status", "foreign-caller-id"),
    "unbound-credential": ("unbound_credential_status", "unbound-credential"),
    "wrong-realm-host": ("unknown_realm_status", "wrong-realm-host"),
    "realm-pending": ("inactive_realm_status", "realm-pending"),
    "registration-on": ("register", "registration-on"),
    "qualify-dead": ("options", "qualify-dead"),
}
CODES = ("403", "404", "480", "488", "500", "503", "603")
SOAK = bool(os.environ.get("BW_SOAK"))


def some(cases: list[tuple[str, ...]], number: int) -> list[tuple[str, ...]]:
    """All in `make soak`; else some of them, the same ones each time."""
    return cases if SOAK else random.Random(7).sample(cases, number)


SWITCHED = [(name, value) for name, (switch, _) in REFUSED.items() for value in SWITCHES[switch].allowed]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "refusals") as path:
        yield path


def names_nothing_wrong(looked: Looked) -> bool:
    """Nothing is said to be proven or likely; what is possible says how to find out."""
    causes = looked.verdict.causes
    doubtful = all(cause.confidence == "possible" and cause.next_probe for cause in causes)
    return doubtful and bool(causes or looked.verdict.unexplained)


@pytest.mark.parametrize(("name", "value"), some(SWITCHED, 4))
def test_the_right_cause_comes_first_under_every_code(site: Path, name: str, value: str) -> None:
    switch, cause = REFUSED[name]
    with all_of(switched(**{switch: value}), broken(name))(site):
        looked = looked_at(site)
    print(f"{name}, {switch} {value}: {looked.told}")
    assert looked.first == cause, looked.told


@pytest.mark.parametrize("code", [code for (code,) in some([(code,) for code in CODES], 1)])
def test_a_refusal_that_nothing_explains_is_not_explained(site: Path, code: str) -> None:
    with faulty("sip-reject", value=code)(site):
        looked = looked_at(site)
    print(f"sip-reject {code}: {looked.told}")
    assert names_nothing_wrong(looked), looked.told


@pytest.mark.parametrize("code", [code for (code,) in some([(code,) for code in CODES], 1)])
def test_a_refusal_of_the_pbx_only_is_said_to_be_that(site: Path, code: str) -> None:
    info = stage_of(site).pbx.info()
    with faulty("sip-reject", value=code, match={"source": f"{info.sip_host}:{info.sip_port}"})(site):
        looked = looked_at(site)
    print(f"sip-reject {code} to the PBX: {looked.told}")
    assert looked.first == "refused-pbx-only", looked.told


@pytest.mark.parametrize("code", [code for (code,) in some([(code,) for code in CODES], 1)])
def test_without_calls_a_refusal_of_before_is_not_explained(site: Path, code: str) -> None:
    """As on a live account, where none is placed: what the PBX's call met is known, and why is not."""
    with open_to_look(site) as run, faulty("sip-reject", value=code)(site):
        secret = run.secret(run.settings.pbx.extension_secret)
        with Phone(registrar(run), run.settings.pbx.extension, secret) as phone, pytest.raises(NotAsExpected):
            phone.dial(run.settings.test.dial, timeout_s=5)
        events = stage_of(site).sandbox.sip_events()
    call_id = next(event.text for event in reversed(events) if event.text.startswith("INVITE "))
    call_id = call_id.partition("Call-ID: ")[2].partition("\r\n")[0]
    looked = looked_at(site, calls=False, after_call=call_id)
    print(f"sip-reject {code}, afterwards: {looked.told}")
    assert names_nothing_wrong(looked), looked.told
    time.sleep(2)  # Asterisk tells the second of its last reload
    with broken("foreign-caller-id")(site):  # it was right when that call failed
        looked = looked_at(site, calls=False, after_call=call_id)
    assert "foreign-caller-id" in looked.names, looked.told
    assert names_nothing_wrong(looked), looked.told


@pytest.mark.parametrize("value", [value for (value,) in some([(value,) for value in SWITCHES["options"].allowed], 1)])
def test_what_the_realm_says_to_options_is_no_finding(site: Path, value: str) -> None:
    with switched(options=value)(site):
        looked = looked_at(site, calls=False)
    assert looked.verdict.healthy, looked.told


# ---------------------------------------------------------------- what somebody wrote in another way


def hashed(trunk: Trunk, user: str, realm: str) -> Edit:
    """The trunk's auth with HA1 in the password's place."""
    ha1 = hash1(user, realm, trunk.password).get_secret_value()
    options = {"username": user, "auth_type": "md5", "md5_cred": ha1, "password": ""}
    return all_edits(set_option(f"{trunk.name}-auth", "auth", option, value) for option, value in options.items())


def all_edits(edits: Iterable[Edit]) -> Edit:
    return functools.reduce(both, edits)


def spelt_otherwise(trunk: Trunk) -> Edit:
    """A trunk that works, and in which little stands as this program writes it."""
    name, fqdn = trunk.name, trunk.server
    return all_edits((
        hashed(trunk, f"{trunk.username}@{fqdn}", fqdn),
        set_option(f"{name}-auth", "auth", "realm", "*"),
        set_option(name, "aor", "contact", f"sip:{fqdn.upper()}"),
        set_option(name, "endpoint", "from_domain", fqdn.upper()),
        set_option(name, "endpoint", "rtp_timeout", "30"),
        set_option(f"{name}-identify", "identify", "match", "127.0.0.0/29"),
    ))  # fmt: skip


def asks_bandwidth(trunk: Trunk) -> Edit:
    """Another auth, for what comes in: FreePBX's "Authentication: Both"."""
    asked = {"username": "somebody", "password": "something-else"}
    return both(
        set_option(trunk.name, "endpoint", "auth", f"{trunk.name}-in"),
        add_section(trunk.name, f"{trunk.name}-in", "auth", asked),
    )


# What stands in pjsip.conf, and what in extensions.conf.
HASHED_AND_ASKING = edited(lambda trunk: both(hashed(trunk, trunk.username, "asterisk"), asks_bandwidth(trunk)))
SPELT_OTHERWISE = edited(spelt_otherwise)


def dialled(old: str, new: str) -> Put:
    """The dialplan with other lines than this program's. {trunk}: its name."""
    return edited(lambda trunk: replace_all(*(text.format(trunk=trunk.name) for text in (old, new))), OUR_DIALPLAN)


CUT_AFTER_2_S = dialled("@{trunk},60,i", "@{trunk},60,iL(2000)")
WITHOUT_PLUS = dialled(r"Dial\(PJSIP/\+?1?\$.FILTER\(0-9\+", "Dial(PJSIP/${{FILTER(0-9")
BEHIND_A_NINE = dialled(r"exten => _(\+?1?NXX)", r"exten => _9\1")
A_SECOND_PHONE = dialled(r"Dial\((PJSIP/\d+),60,i\)", r"Dial(\1&PJSIP/800,60,i)")


@contextmanager
def busy(site: Path) -> Iterator[dict[str, Any]]:
    """Others' calls go out on the trunk all the time, and the realm answers them."""
    stage, over = stage_of(site), threading.Event()
    trunk = stage.settings.pbx.trunk

    def call() -> None:
        while not over.wait(0.5):
            with stage.ami() as ami:
                channel = f"PJSIP/+13035550177@{trunk}"
                ami.action("Originate", Channel=channel, Application="Wait", Data="2", Async="true")

    calling = threading.Thread(target=call)
    calling.start()
    try:
        yield {}
    finally:
        over.set()
        calling.join()
        with stage.ami() as ami:
            ami.action("Hangup", Channel=f"/^PJSIP\\/{trunk}-.*/")


@pytest.mark.parametrize(
    ("put", "causes"),
    [
        (HASHED_AND_ASKING, ["wrong-realm-in-hash (proven)", "inbound-auth (proven)"]),
        (
            all_of(CUT_AFTER_2_S, A_SECOND_PHONE),
            ["cut-by-pbx (likely)", "inbound-lines (found)", "route-lines (found)"],
        ),
        (all_of(WITHOUT_PLUS, SPELT_OTHERWISE), ["route-number (likely)", "route-lines (found)"]),
        (
            edited(lambda trunk: set_option(trunk.name, "endpoint", "100rel", "required")),
            ["refused-pbx-only (likely)", "other-options (possible)", "pbx-refuses-inward (possible)"],
        ),
        (all_of(BEHIND_A_NINE, busy), ["no-route (proven)", "route-lines (found)"]),
    ],
    ids=["a hash, a trunk that asks", "calls are cut", "the number is changed", "an option", "patterns, busy"],
)
def test_lines_of_somebody_elses_are_named_for_what_they_do_and_for_nothing_else(
    site: Path, put: Put, causes: list[str]
) -> None:
    with put(site):
        looked = looked_at(site)
    assert [f"{cause.name} ({cause.confidence})" for cause in looked.verdict.causes] == causes, looked.told
    assert not looked.verdict.unexplained, looked.told
