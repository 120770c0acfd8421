"""A phone that is silent from here is gone only where the PBX would know, and a fixed contact needs no registration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bwlib.diagnose import pbx_state
from bwlib.diagnose.scene import Scene
from bwlib.pbx.state import Contact, PbxState


def scene(pbx: str) -> Scene:
    run: Any = SimpleNamespace(on=SimpleNamespace(registrar=(pbx, 5060)))
    return Scene(run)


def contact(status: str) -> Contact:
    return Contact("101", "sip:101@127.0.0.1:9;x=y", status)  # nobody listens at the discard port


@pytest.mark.parametrize(
    ("pbx", "status", "word"),
    [
        ("127.0.0.1", "NonQual", "silent"),
        ("192.0.2.10", "Unavail", "silent"),
        ("192.0.2.10", "NonQual", "unknown"),
        ("192.0.2.10", "Avail", "alive"),
    ],
)
def test_a_phone_that_only_the_pbx_may_reach_is_not_called_gone(
    monkeypatch: pytest.MonkeyPatch, pbx: str, status: str, word: str
) -> None:
    monkeypatch.setattr(pbx_state, "OPTIONS_S", 0.1)
    here = scene(pbx)
    fact = pbx_state._phone(here, [contact(status)])
    assert (fact.value, here.contact) == (word, word)
    assert ("may reach it all the same" in fact.says) == (word == "unknown")


@pytest.mark.parametrize(("aor", "takes"), [({}, False), ({"contacts": "101/sip:101@192.0.2.9"}, True)])
def test_an_extension_with_a_fixed_contact_needs_no_registration(aor: dict[str, str], takes: bool) -> None:
    state = PbxState(extension={"aor": {"max_contacts": "0", **aor}, "endpoint": {"allow": "(ulaw)"}})
    said = {fact.name for fact in pbx_state._extension(state)}
    assert ("extension.registrable" not in said) == takes
