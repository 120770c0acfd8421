"""What Asterisk itself says of its configuration and of a call decides, where its log has the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from diagnosed import Put, looked_at, stage_of
from training_site import walked_site

from bwlib.training.config_edits import Edit, add_section, replace_all, set_option
from bwlib.training.pbx_breaks import OURS
from bwlib.training.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "log") as path:
        yield path


def edited(edit: Callable[[Stage], Edit], file: str = OURS) -> Put:
    """A file of Asterisk's, edited and loaded by hand; as it was afterwards."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        stage = stage_of(site)
        before = stage.read(file)
        after = edit(stage)(before)
        assert after != before
        stage.write(file, after)
        stage.reload()
        try:
            yield {}
        finally:
            stage.write(file, before)
            stage.reload()

    return put


def trunk(option: str, value: str, kind: str = "endpoint") -> Put:
    return edited(lambda stage: set_option(stage.settings.pbx.trunk, kind, option, value))


def extension(option: str, value: str) -> Put:
    return edited(lambda stage: set_option(stage.settings.pbx.extension, "endpoint", option, value))


def another_trunk(stage: Stage) -> Edit:
    """One of the same carrier that is left over; its name sorts before ours."""
    options = {"match": stage.sandbox.edge[0], "endpoint": "aaa"}
    ours = stage.settings.pbx.trunk
    first = add_section(ours, "aaa-identify", "identify", options)
    return lambda text: add_section(ours, "aaa", "endpoint", {"context": "bw-nowhere", "allow": "ulaw"})(first(text))


FAULTS: dict[str, tuple[Put, str]] = {
    "an option that the section has not": (trunk("transport", "transport-tcp", "aor"), "config-refused"),
    "a bracket that is missing": (
        edited(lambda stage: replace_all(rf"\[{stage.settings.pbx.trunk}-auth\]", f"[{stage.settings.pbx.trunk}-auth")),
        "config-unreadable",
    ),
    "another trunk for the same addresses": (edited(another_trunk), "other-endpoint"),
    "an ACL that keeps Bandwidth out": (trunk("deny", "0.0.0.0/0.0.0.0"), "acl-bandwidth"),
    "an ACL that keeps the phone out": (extension("deny", "0.0.0.0/0.0.0.0"), "acl-phone"),
    "encrypted media": (trunk("media_encryption", "sdes"), "media-encryption"),
    "an outbound proxy without lr": (
        edited(lambda stage: replace_all(r"(?m)^(outbound_proxy = \S+)\\;lr$", r"\1")), "proxy-without-lr",
    ),
    "no codec at all": (
        edited(lambda stage: replace_all(r"(?m)^allow = !all,ulaw,alaw$", "disallow = all")), "codec-mismatch",
    ),
    "the extension's digits": (extension("dtmf_mode", "info"), "extension-dtmf"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_right_cause_comes_first(site: Path, fault: str) -> None:
    put, cause = FAULTS[fault]
    with put(site) as how:
        looked = looked_at(site, **how)
    print(f"{fault}: {looked.told}")
    assert looked.first == cause, looked.told
    # of a section that Asterisk refuses it goes on with the old one: no call fails by it yet
    confidence = "found" if cause == "config-refused" else "proven"
    assert looked.verdict.causes[0].confidence == confidence, looked.told
    assert not looked.verdict.unexplained, looked.told


def test_what_is_mended_is_not_told_again(site: Path) -> None:
    looked = looked_at(site)
    assert looked.verdict.healthy, looked.told
