"""Sites on which nothing is wrong, each with names, numbers and ways of the realm of its own: nothing is found."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnosed import looked_at, switched
from peers import asterisk
from training_site import opened

from bwlib import start_site
from bwlib.sandbox import control
from bwlib.sandbox.switches import BY_NAME as SWITCHES
from bwlib.site_file import write_answers

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

SEEDS = range(50) if os.environ.get("BW_SOAK") else (3, 4)  # the realm's road, and the SIP URI's
# Whatever these say, calls go through.
HARMLESS = (
    "options", "register", "wrong_password_status", "foreign_caller_id_status", "unknown_realm_status",
    "inactive_realm_status", "unbound_credential_status", "caller_id_source", "symmetric_rtp", "digest_uri",
    "callback_credentials", "empty_bxml_body", "voice_application_get", "sip_uri_caller_id", "sip_uri_to",
)  # fmt: skip
AREAS = [area for area in range(201, 990) if area % 100 != 11]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of all sites, on one sandbox and one PBX."""
    asterisk()
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BW_RUNBOOK_HOME", str(home))
        yield home / "sites"
        running = control.attach(home)
        if running is not None:
            running.down()


def answers(chance: random.Random, seed: int) -> dict[str, str]:
    """Values as some office may have them."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    word = "".join(chance.choices(letters, k=chance.randrange(4, 20)))
    return {
        "bandwidth.sandbox_account": chance.choice(["", f"a{word}"]),
        "application.name": chance.choice(["Main line", "Zentrale (Köln)", "R&D <voice>", word.upper()]) + f" {seed}",
        "realm.name": word + str(seed),
        "sip_credential.username": chance.choice([word, "Pbx-Main", "office.west", "A-b_9"]),
        "pbx.trunk": f"{chance.choice(['bw', 'Out_Trunk', 'realm-'])}{seed}",
        "pbx.route": f"route{seed}",
        "pbx.extension": str(chance.randrange(10, 99) * 1000 + seed),
        "test.dial": f"+1{chance.choice(AREAS)}555{chance.randrange(1000, 9999)}",
        "test.digit": chance.choice("0123456789*#"),
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_found_where_nothing_is_wrong(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    site, road = folder / str(seed) / "site.toml", "sip-uri" if seed % 5 == 4 else "realm"
    start_site(site, name=f"site-{seed}", road=road)
    write_answers(site, answers(chance, seed))
    run = opened(site)
    run.application()
    if road == "realm":
        run.sip_credential(run.realm())
    else:
        run.inbound_sip_uri()
    run.trunk()
    run.route()
    run.extension()
    turned = {name: chance.choice(SWITCHES[name].allowed) for name in HARMLESS}
    with switched(**turned)(site):
        looked = looked_at(site)
    print(f"{seed}, {road}: {looked.told}")
    print({name: fact.says for name, fact in looked.facts.items() if name.startswith(("outward", "inward"))})
    assert looked.verdict.healthy, f"{looked.told} {turned}"
    assert looked.facts.value("outward.heard") == looked.facts.value("inward.heard") == "yes"
