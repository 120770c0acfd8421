"""What Asterisk itself says of its configuration and of a call decides, where its log has the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnosed import Put, edited, looked_at
from training_site import walked_site

from bwlib.models import Trunk
from bwlib.training.config_edits import Edit, add_section, both, replace_all, set_option

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "log") as path:
        yield path


def trunk(option: str, value: str, kind: str = "endpoint") -> Put:
    return edited(lambda trunk: set_option(trunk.name, kind, option, value))


def extension(option: str, value: str) -> Put:
    return edited(lambda trunk: set_option(trunk.inbound_extension or "", "endpoint", option, value))


def another_trunk(ours: Trunk) -> Edit:
    """One of the same carrier that is left over; its name sorts before ours."""
    options = {"match": ours.bandwidth_ips[0], "endpoint": "aaa"}
    first = add_section(ours.name, "aaa-identify", "identify", options)
    return both(first, add_section(ours.name, "aaa", "endpoint", {"context": "bw-nowhere", "allow": "ulaw"}))


FAULTS: dict[str, tuple[Put, str]] = {
    "an option that the section has not": (trunk("transport", "transport-tcp", "aor"), "config-refused"),
    "a bracket that is missing": (
        edited(lambda trunk: replace_all(rf"\[{trunk.name}-auth\]", f"[{trunk.name}-auth")),
        "config-unreadable",
    ),
    "another trunk for the same addresses": (edited(another_trunk), "other-endpoint"),
    "an ACL that keeps Bandwidth out": (trunk("deny", "0.0.0.0/0.0.0.0"), "acl-bandwidth"),
    "an ACL that keeps the phone out": (extension("deny", "0.0.0.0/0.0.0.0"), "acl-phone"),
    "encrypted media": (trunk("media_encryption", "sdes"), "media-encryption"),
    "an outbound proxy without lr": (
        edited(lambda _: replace_all(r"(?m)^(outbound_proxy = \S+)\\;lr$", r"\1")), "proxy-without-lr",
    ),
    "no codec at all": (
        edited(lambda _: replace_all(r"(?m)^allow = !all,ulaw,alaw$", "disallow = all")), "codec-mismatch",
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
