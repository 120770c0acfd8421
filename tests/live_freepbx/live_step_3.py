"""The whole of the guide's step 3 on a real FreePBX. Run by name only; see README.md beside this."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from bwlib.errors import PbxError
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx.freepbx import FreepbxPbx, connect
from bwlib.steps.pbx import (
    EXTENSION,
    ROUTE,
    TRUNK,
    check_no_registration,
    check_on_pbx,
    ensure_on_pbx,
    plan_on_pbx,
    remove_from_pbx,
)

NEEDED = ("FREEPBX_URL", "FREEPBX_USER", "FREEPBX_PASSWORD")
NAME, NUMBER, REALM = "bwrunbooktest", "799", "bw-runbook-test.invalid"


@pytest.fixture(scope="module")
def pbx() -> FreepbxPbx:
    lacking = [name for name in NEEDED if not os.environ.get(name)]
    if lacking:
        pytest.fail(f"set {', '.join(lacking)} to a FreePBX that may be changed", pytrace=False)
    return connect(
        url=os.environ["FREEPBX_URL"],
        user=os.environ["FREEPBX_USER"],
        password=SecretStr(os.environ["FREEPBX_PASSWORD"]),
        ca_file=os.environ.get("FREEPBX_CA_FILE", ""),
        site="bw-runbook-live-test",
        trunk=NAME,
        route=NAME,
        extension=NUMBER,
    )


@pytest.fixture(scope="module")
def wanted() -> tuple[Trunk, OutboundRoute, Extension]:
    trunk = Trunk(
        name=NAME,
        server=REALM,
        username="bwtest",
        password=SecretStr(secrets.token_urlsafe(18)),
        from_user="+19195550100",
        from_domain=REALM,
        bandwidth_ips=("192.0.2.1",),  # RFC 5737: nobody calls from there
        inbound_extension=NUMBER,
    )
    route = OutboundRoute(NAME, "NXXNXXXXXX", "+1", NAME, "+19195550100")
    return trunk, route, Extension(NUMBER, SecretStr(secrets.token_urlsafe(18)), NAME, "bw-runbook test")


@pytest.fixture(scope="module", autouse=True)
def taken_away(pbx: FreepbxPbx) -> Iterator[None]:
    """Whatever happens, nothing of ours stays."""
    yield
    for kind, name in ((EXTENSION, NUMBER), (ROUTE, NAME), (TRUNK, NAME)):
        try:
            remove_from_pbx(pbx, kind, name)
        except PbxError as error:
            print(f"left there: {kind.word} {name}\n{error}")


def test_step_3_is_done_once_found_again_put_right_and_taken_away(
    pbx: FreepbxPbx, wanted: tuple[Trunk, OutboundRoute, Extension]
) -> None:
    trunk, route, extension = wanted
    print(pbx.info())
    for kind, thing in ((TRUNK, trunk), (ROUTE, route), (EXTENSION, extension)):
        assert plan_on_pbx(pbx, kind, thing).found is None, f"there is a {kind.word} of the test's name already"
        assert ensure_on_pbx(pbx, kind, thing).action == "created"
    for kind, thing in ((TRUNK, trunk), (ROUTE, route), (EXTENSION, extension)):
        assert ensure_on_pbx(pbx, kind, thing).action == "unchanged"
        check_on_pbx(pbx, kind, thing)
    check_no_registration(pbx, trunk)
    for finding in pbx.findings(trunk, route, extension):
        print(finding)
    changed = replace(trunk, qualify_s=60)
    assert ensure_on_pbx(pbx, TRUNK, changed).action == "updated"
    assert any("Qualify" in one.cause for one in pbx.findings(trunk, route, extension))
    assert ensure_on_pbx(pbx, TRUNK, trunk).action == "updated"
    text = "".join(pbx.snapshot().values())
    for secret in (trunk.password, extension.secret):
        assert secret.get_secret_value() not in text
    for kind, name in ((EXTENSION, NUMBER), (ROUTE, NAME), (TRUNK, NAME)):
        assert remove_from_pbx(pbx, kind, name).action == "removed"
