"""bwlib.pbx.asterisk and bwlib.sandbox.pbx against a real, running Asterisk."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from peers import asterisk
from pydantic import SecretStr

from bwlib.errors import PbxRefused, PbxUnreachable, SettingsError
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx import Pbx
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.sandbox import pbx as stage_of

pytestmark = pytest.mark.peer

REALM = "acme-1a2b3c.auth.bandwidth.test"
TRUNK = Trunk(
    name="bandwidth",
    server=REALM,
    username="acme-user",
    # every character that means something in a configuration file
    password=SecretStr("""=>p;a;--s\\s"w[o]r'd#${x}"""),
    from_user="+19195550100",
    from_domain=REALM,
    outbound_proxy="127.0.0.2:5060",
    bandwidth_ips=("127.0.0.9", "10.1.0.0/16", "127.0.0.2"),
    inbound_extension="101",
)
ROUTE = OutboundRoute("us", "NXXNXXXXXX", "+1", "bandwidth", "+19195550100")
EXTENSION = Extension("101", SecretStr("phone-secret;x"), "us", "Zoë Müller")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk())
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


def connect(stage: stage_of.PbxStage, **changed: object) -> AsteriskPbx:
    values = {
        "config_dir": stage.config_dir,
        "ami_host": stage.ami_host,
        "ami_port": stage.ami_port,
        "ami_user": stage.ami_user,
        "ami_secret": stage.ami_secret,
        "origin": stage.origin,
    }
    return AsteriskPbx(**{**values, **changed})  # type: ignore[arg-type]


@pytest.fixture
def pbx(stage: stage_of.PbxStage) -> Iterator[AsteriskPbx]:
    """The PBX; afterwards nothing of ours is left on it."""
    pbx = connect(stage)
    yield pbx
    pbx.delete_trunk(TRUNK.name)
    pbx.delete_route(ROUTE.name)
    pbx.delete_extension(EXTENSION.number)
    pbx.apply()


def persons_files(stage: stage_of.PbxStage) -> dict[str, bytes]:
    return {name: (stage.config_dir / name).read_bytes() for name in ("pjsip.conf", "extensions.conf")}


# ---------------------------------------------------------------- what is written comes back from the running PBX


def test_info_names_the_product_and_where_it_listens(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    info = pbx.info()
    assert (info.product, info.sip_host, info.sip_port) == ("Asterisk", *stage.sip)
    assert info.version.startswith(stage.version)


@pytest.mark.parametrize(
    "wanted",
    [
        TRUNK,
        replace(TRUNK, outbound_proxy=None, port=5061, bandwidth_ips=(), inbound_extension=None),
        replace(TRUNK, codecs=("alaw", "g722", "ulaw"), dtmf="info", send_pai=True, qualify_s=60),
    ],
    ids=["sandbox", "live", "unusual"],
)
def test_a_trunk_comes_back_as_it_was_put(pbx: Pbx, wanted: Trunk) -> None:
    assert pbx.get_trunk("bandwidth") is None
    pbx.put_trunk(wanted)
    pbx.apply()
    assert pbx.get_trunk("bandwidth") == wanted
    assert pbx.get_trunk("bandwidth").password.get_secret_value() == wanted.password.get_secret_value()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "wanted",
    [ROUTE, replace(ROUTE, pattern="XXXX", prepend=""), replace(ROUTE, pattern="[2-9]XXXXXX", prepend="1919")],
)
def test_a_route_comes_back_as_it_was_put(pbx: Pbx, wanted: OutboundRoute) -> None:
    pbx.put_route(wanted)
    pbx.apply()
    assert pbx.get_route("us") == wanted


@pytest.mark.parametrize("wanted", [EXTENSION, replace(EXTENSION, display_name="")])
def test_an_extension_comes_back_as_it_was_put(pbx: Pbx, wanted: Extension) -> None:
    pbx.put_extension(wanted)
    pbx.apply()
    assert pbx.get_extension("101") == wanted


def test_a_change_is_in_force_after_apply_and_not_before(pbx: Pbx) -> None:
    pbx.put_trunk(TRUNK)
    pbx.apply()
    changed = replace(TRUNK, from_user="+19195550199", password=SecretStr("another"))
    pbx.put_trunk(changed)
    assert pbx.get_trunk("bandwidth") == TRUNK
    pbx.apply()
    assert pbx.get_trunk("bandwidth") == changed


def test_a_trunk_does_not_register_unless_told_to(pbx: Pbx) -> None:
    pbx.put_trunk(TRUNK)
    pbx.apply()
    assert pbx.registrations() == []
    pbx.put_trunk(replace(TRUNK, registration=True))
    pbx.apply()
    [found] = pbx.registrations()
    assert (found.name, found.server) == ("bandwidth-registration", REALM)
    assert found.is_of(TRUNK)
    assert found.says.startswith(f"bandwidth-registration sip:{REALM} ")
    assert pbx.get_trunk("bandwidth").registration  # type: ignore[union-attr]
    pbx.put_trunk(TRUNK)
    pbx.apply()
    assert pbx.registrations() == []


def test_somebody_changing_our_route_by_hand_is_seen(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    pbx.put_route(ROUTE)
    pbx.apply()
    ours = stage.config_dir / "bw-runbook/extensions.conf"
    ours.write_text(ours.read_text().replace("PJSIP/+1${", "PJSIP/+49${"))
    with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
        ami.command("dialplan reload")
    assert pbx.get_route("us") not in (ROUTE, None)


# ---------------------------------------------------------------- undo


def test_undo_leaves_the_persons_files_byte_for_byte(stage: stage_of.PbxStage) -> None:
    pjsip = stage.config_dir / "pjsip.conf"
    pjsip.write_bytes(pjsip.read_bytes().rstrip(b"\n") + b"\n; caf\xe9, and no line break at the end")
    pjsip.chmod(0o640)
    before, pbx = persons_files(stage), connect(stage)
    pbx.put_trunk(TRUNK)
    pbx.put_route(ROUTE)
    pbx.put_extension(EXTENSION)
    pbx.put_trunk(TRUNK)
    during = persons_files(stage)
    assert {name: len(during[name].splitlines()) - len(before[name].splitlines()) for name in before} == {
        "pjsip.conf": 1,
        "extensions.conf": 1,
    }
    pbx.apply()
    pbx.delete_extension("101")
    pbx.delete_route("us")
    pbx.delete_trunk("bandwidth")
    pbx.apply()
    assert persons_files(stage) == before
    assert stat.S_IMODE(pjsip.stat().st_mode) == 0o640
    assert not (stage.config_dir / "bw-runbook").exists()
    assert [pbx.get_trunk("bandwidth"), pbx.get_route("us"), pbx.get_extension("101")] == [None, None, None]


def test_deleting_what_is_not_there_is_fine(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    before = persons_files(stage)
    pbx.delete_trunk("nobody")
    assert persons_files(stage) == before


def test_a_deleted_object_may_be_put_again_before_apply(pbx: Pbx) -> None:
    pbx.put_extension(EXTENSION)
    pbx.apply()
    pbx.delete_extension("101")
    assert pbx.owner("extension", "101") is None
    pbx.put_extension(EXTENSION)
    pbx.apply()
    assert pbx.owner("extension", "101") == "ours"


# ---------------------------------------------------------------- what belongs to others


def test_somebody_elses_extension_is_not_ours(pbx: Pbx) -> None:
    assert pbx.owner("extension", "800") == "other"
    assert pbx.owner("extension", "101") is None
    assert pbx.get_extension("800").route == "office"  # type: ignore[union-attr]


def test_somebody_elses_extension_is_never_touched(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    before = persons_files(stage)
    with pytest.raises(PbxRefused, match="left as it is"):
        pbx.put_extension(replace(EXTENSION, number="800"))
    with pytest.raises(PbxRefused, match="left as it is"):
        pbx.delete_extension("800")
    assert persons_files(stage) == before


def test_a_trunk_cannot_take_the_name_of_our_extension(pbx: Pbx) -> None:
    pbx.put_extension(EXTENSION)
    with pytest.raises(PbxRefused):
        pbx.put_trunk(replace(TRUNK, name="101"))


def test_a_section_that_is_not_loaded_yet_counts_as_somebody_elses(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    (stage.config_dir / "colleague.conf").write_text("[sales](!)\ntype = endpoint\n")
    original = (stage.config_dir / "pjsip.conf").read_bytes()
    (stage.config_dir / "pjsip.conf").write_bytes(original + b'\n#include "colleague.conf"\n')
    try:
        assert pbx.owner("trunk", "sales") == "other"
    finally:
        (stage.config_dir / "pjsip.conf").write_bytes(original)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x]\n[evil"),
        ("name", "../x"),
        ("server", "a.test\nmatch = 0.0.0.0/0"),
        ("from_user", "+1;evil"),
        ("from_domain", "a b"),
        ("username", "u\nregistration"),
        ("password", SecretStr("a\nb = c")),
        ("password", SecretStr(" padded")),
        ("outbound_proxy", "127.0.0.1;lr=x"),
        ("codecs", ("ulaw\nx=y",)),
        ("dtmf", "none]"),
        ("bandwidth_ips", ("0.0.0.0/0",)),
        ("bandwidth_ips", ("example.com",)),
        ("inbound_extension", "101,1,System(x)"),
    ],
)
def test_a_value_that_would_become_configuration_is_refused(
    pbx: Pbx, stage: stage_of.PbxStage, field: str, value: object
) -> None:
    before = persons_files(stage)
    with pytest.raises(SettingsError) as caught:
        pbx.put_trunk(replace(TRUNK, **{field: value}))  # type: ignore[arg-type]
    assert "b = c" not in str(caught.value)
    assert persons_files(stage) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("pattern", "X.,1,System(x)\n"), ("pattern", "X.X"), ("prepend", "${SHELL(x)}"), ("caller_id", "1)\nexten"),
     ("trunk", "a&PJSIP/b"), ("name", "a\n[b]")],
)  # fmt: skip
def test_a_route_that_would_become_dialplan_is_refused(pbx: Pbx, field: str, value: str) -> None:
    with pytest.raises(SettingsError):
        pbx.put_route(replace(ROUTE, **{field: value}))


def test_apply_says_what_asterisk_did_not_take_up(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    pbx.put_trunk(TRUNK)
    ours = stage.config_dir / "bw-runbook/pjsip.conf"
    ours.write_text(ours.read_text().replace("dtmf_mode = rfc4733", "dtmf_mode = semaphore"))
    with pytest.raises(PbxRefused, match="trunk bandwidth") as caught:
        pbx.apply()
    assert "its log: Error parsing dtmf_mode=semaphore at line" in caught.value.came_back
    assert TRUNK.password.get_secret_value() not in str(caught.value)


def test_a_reload_tells_what_asterisk_says_against_a_file(pbx: AsteriskPbx, stage: stage_of.PbxStage) -> None:
    pbx.put_trunk(TRUNK)
    pbx.reload_and_listen()
    ours = stage.config_dir / "bw-runbook/pjsip.conf"
    ours.write_text(ours.read_text().replace("[bandwidth-auth]", "[bandwidth-auth"))
    with pytest.raises(PbxRefused, match="have Asterisk read its files") as caught:
        pbx.reload_and_listen()
    said = rf"its log: parse error: no closing '\]', line \d+ of {re.escape(str(ours))}"
    assert re.fullmatch(said, caught.value.came_back)


def test_an_asterisk_that_is_down_is_unreachable(stage: stage_of.PbxStage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    for ask in ("info", "registrations"):
        with pytest.raises(PbxUnreachable, match="start Asterisk"):
            getattr(connect(stage, ami_port=free), ask)()


def test_a_wrong_manager_secret_is_refused_without_being_shown(stage: stage_of.PbxStage) -> None:
    with pytest.raises(PbxRefused) as caught:
        connect(stage, ami_secret=SecretStr("wrong-secret-42")).info()
    assert "wrong-secret-42" not in str(caught.value)


def test_a_directory_that_is_not_there_is_refused(stage: stage_of.PbxStage, tmp_path: Path) -> None:
    with pytest.raises(PbxRefused, match="right directory"):
        connect(stage, config_dir=tmp_path / "nowhere").put_extension(EXTENSION)


# ---------------------------------------------------------------- secrets and the stage


def test_no_secret_is_in_a_snapshot_or_sheet_and_files_are_private(pbx: Pbx, stage: stage_of.PbxStage) -> None:
    pbx.put_trunk(TRUNK)
    pbx.put_extension(EXTENSION)
    persons_secret = pbx.get_extension("800").secret.get_secret_value()  # type: ignore[union-attr]
    texts = [*pbx.snapshot().values(), pbx.settings_sheet(TRUNK, ROUTE, EXTENSION)]
    assert any("acme-user" in text for text in texts)
    for secret in (persons_secret, "phone-secret", '"w[o]r'):
        assert not any(secret in text for text in texts)
    assert stat.S_IMODE((stage.config_dir / "bw-runbook/pjsip.conf").stat().st_mode) == 0o600


def test_everything_of_the_stage_listens_on_loopback_only(stage: stage_of.PbxStage) -> None:
    with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
        bound = "\n".join(ami.command("pjsip show transports"))
    assert f"{stage.sip[0]}:{stage.sip[1]}" in bound
    assert "0.0.0.0" not in bound
    assert stat.S_IMODE(os.stat(stage.root).st_mode) == 0o700


def test_a_restarted_stage_keeps_its_ports_and_what_was_configured(tmp_path: Path) -> None:
    binary = asterisk()
    first = stage_of.write_base_config(tmp_path, binary)
    process = stage_of.start(first)
    connect(first).put_extension(EXTENSION)
    stage_of.stop(process)
    note = {"sip": list(first.sip), "ami_port": first.ami_port}
    second = stage_of.write_base_config(tmp_path, binary, **stage_of.ports_of_last_time(note))
    process = stage_of.start(second)
    try:
        assert (second.sip, second.ami_port) == (first.sip, first.ami_port)
        assert connect(second).get_extension("101") == EXTENSION
    finally:
        stage_of.stop(process)


def test_a_stage_that_does_not_boot_says_so(tmp_path: Path) -> None:
    stage = stage_of.write_base_config(tmp_path, asterisk())
    (stage.config_dir / "manager.conf").unlink()
    with pytest.raises(PbxUnreachable, match="start the sandbox again"):
        stage_of.start(stage, timeout_s=1.5)
