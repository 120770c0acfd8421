"""Two faults at once: both are named."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnosed import Put, all_of, broken, faulty, looked_at
from signatures import dropped_at_pbx
from training_site import walked_site

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

# What is put in together, and the causes that must be named, in whatever order.
PAIRS: tuple[tuple[str, Put, frozenset[str]], ...] = (
    ("PBX, PBX", all_of(broken("wrong-password"), broken("no-identify")), frozenset({"wrong-password", "no-identify"})),
    (
        "PBX, PBX: the second shows only once the first is mended",
        all_of(broken("no-outbound-auth"), broken("foreign-caller-id")),
        frozenset({"no-outbound-auth", "foreign-caller-id"}),
    ),
    (
        "PBX: route, and nothing that a call shows",
        all_of(broken("no-route"), broken("registration-on")),
        frozenset({"no-route", "registration-on"}),
    ),
    (
        "PBX: phone and trunk",
        all_of(broken("phone-password"), broken("wrong-username")),
        frozenset({"phone-password", "wrong-username"}),
    ),
    (
        "PBX, Bandwidth",
        all_of(broken("unbound-credential"), broken("dtmf-info")),
        frozenset({"unbound-credential", "dtmf-mode"}),
    ),
    (
        "Bandwidth, Bandwidth",
        all_of(broken("rotated-password"), broken("callback-get")),
        frozenset({"rotated-password", "callback-get"}),
    ),
    (
        "PBX, callback",
        all_of(broken("callback-dead"), broken("unknown-inbound")),
        frozenset({"callback-dead", "unknown-inbound"}),
    ),
    (
        "callback, network",
        all_of(broken("callback-password"), faulty("audio-out-lost")),
        frozenset({"callback-password", "rtp-to-pbx-lost"}),
    ),
    (
        "PBX, network",
        all_of(broken("codec-mismatch"), dropped_at_pbx),
        frozenset({"codec-mismatch", "firewall-at-pbx"}),
    ),
    (
        "network, network: what is said is lost, and so are digits",
        all_of(faulty("audio-in-lost", match={"to": "+19195550199"}), faulty("dtmf-lost")),
        frozenset({"rtp-from-pbx-lost", "digits-lost"}),
    ),
)
CHOSEN = PAIRS if os.environ.get("BW_SOAK") else random.Random(7).sample(PAIRS, 3)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "pairs") as path:
        yield path


@pytest.mark.parametrize(("put", "causes"), [pair[1:] for pair in CHOSEN], ids=[pair[0] for pair in CHOSEN])
def test_both_of_two_faults_are_named_and_one_of_them_first(site: Path, put: Put, causes: frozenset[str]) -> None:
    with put(site) as how:
        looked = looked_at(site, **how)
    print(f"{' + '.join(sorted(causes))}: {looked.told}")
    assert causes <= set(looked.names), looked.told
    assert looked.first in causes, looked.told
