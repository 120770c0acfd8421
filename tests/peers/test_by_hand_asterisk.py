"""Guide step 3 by hand at a real Asterisk: what the tab shows is typed into its files; the check reads it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest
from peers import asterisk
from test_asterisk import EXTENSION, ROUTE, TRUNK, connect

from bwlib.by_hand_walk import OnPbx, pbx_by_hand
from bwlib.models import Trunk
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.pbx.by_hand import Kept
from bwlib.sandbox import pbx as stage_of

pytestmark = pytest.mark.peer

WANTED = replace(TRUNK, bandwidth_ips=("127.0.0.9", "10.1.0.0/16"))
SECRETS = {"file:sip_password": TRUNK.password, "file:extension_secret": EXTENSION.secret}
REGISTRATION = """
[{0}]
type = registration
server_uri = sip:{1.server}
client_uri = sip:{1.username}@{1.server}
outbound_proxy = sip:{1.outbound_proxy}\\;lr
{2}
"""


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk())
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


def type_in(stage: stage_of.PbxStage, file: str, text: str) -> None:
    with (stage.config_dir / file).open("a", encoding="utf-8") as opened:
        opened.write(f"\n{text}\n")


def do_as_the_tab_says(stage: stage_of.PbxStage) -> None:
    """Every click of every part: lines into the file that their label names, each secret in place of (not shown)."""
    for kind in get_args(OnPbx):
        guide = pbx_by_hand(kind, WANTED, ROUTE, EXTENSION, pbx="asterisk", kept=Kept(*SECRETS))
        values = [value for click in guide.clicks for value in click.values]
        for value in values:
            text = value.text
            for other in values:
                if other.secret:
                    password = SECRETS[other.secret].get_secret_value()
                    text = text.replace("(not shown)", password.replace(";", "\\;"))
            if not value.secret:
                type_in(stage, value.label, text)


def read_back(pbx: AsteriskPbx) -> Trunk:
    found = pbx.get_trunk(WANTED.name)
    assert found is not None
    return found


def test_what_the_tab_shows_is_what_the_check_asks_for_and_registration_left_on_is_named(
    stage: stage_of.PbxStage,
) -> None:
    do_as_the_tab_says(stage)
    pbx = connect(stage)
    pbx.apply()
    assert read_back(pbx) == WANTED
    assert pbx.get_route(ROUTE.name) == ROUTE
    assert pbx.get_extension(EXTENSION.number) == EXTENSION
    assert pbx.findings(WANTED, ROUTE, EXTENSION) == []
    type_in(stage, "pjsip.conf", REGISTRATION.format("of-an-example", WANTED, ""))
    pbx.apply()
    (named,) = pbx.findings(WANTED, ROUTE, EXTENSION)
    assert "Registration is left on" in named.cause
    assert WANTED.server in named.evidence[0]
    assert f"take the section of type registration that leads to {WANTED.server} out of pjsip.conf" in named.fix
    type_in(stage, "pjsip.conf", REGISTRATION.format("with-its-auth", WANTED, f"outbound_auth = {WANTED.name}-auth"))
    pbx.apply()
    assert read_back(pbx).registration
