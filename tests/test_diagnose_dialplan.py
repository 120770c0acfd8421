"""What cannot be read of a dialplan is not called wrong; what the PBX says that it does with a number counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from bwlib.diagnose import at_dialplan
from bwlib.diagnose.at_fields import rows
from bwlib.diagnose.scene import Scene
from bwlib.models import OutboundRoute, Trunk
from bwlib.pbx.asterisk_read import NOT_AS_WRITTEN, route_from, steps_from_text
from bwlib.pbx.asterisk_text import outbound_context, route_dialplan
from bwlib.pbx.state import Dialled

NUMBER, DIAL = "+19195550100", "+19195550199"
ROUTE = OutboundRoute("out", "NXXNXXXXXX", "+1", "acme", NUMBER)
OURS = (f"Set(CALLERID(num)={NUMBER})", "Dial(PJSIP/${FILTER(0-9+,${EXTEN})}@acme,60,i)", "Goto(bw-hangup,outbound,1)")


def scene(dialled: Dialled | None = None, inbound: Dialled | None = None) -> Scene:
    settings = SimpleNamespace(
        road="realm", pbx=SimpleNamespace(trunk="acme", route="out", extension="101"), test=SimpleNamespace(dial=DIAL)
    )
    run: Any = SimpleNamespace(settings=settings, on=SimpleNamespace(number=NUMBER))
    return Scene(run, dialled=dialled, inbound=inbound)


def does(*steps: str, pattern: str = "_+1NXXNXXXXXX", context: str = "bw-outbound-out") -> Dialled:
    return Dialled(DIAL, context, context_exists=True, pattern=pattern, steps=steps)


def read(old: str, new: str) -> OutboundRoute:
    """The route as it is read once somebody has changed its lines."""
    text = route_dialplan(ROUTE)
    assert old in text
    found = route_from("out", steps_from_text(text.replace(old, new), outbound_context("out")))
    assert found is not None
    return found


def said(here: Scene, found: OutboundRoute) -> dict[str, str]:
    return {fact.name.removeprefix("route."): fact.value for fact in at_dialplan.route(here, found)}


def test_a_route_as_written_is_compared_field_by_field_and_by_its_patterns() -> None:
    assert read("NXXNXXXXXX", "NXXNXXXXXX") == ROUTE
    assert said(scene(), ROUTE) == {
        "trunk": "as-wanted", "caller_id": "as-wanted", "request_uri": "as-wanted", "number_header": "as-wanted",
        "matches": "yes",
    }  # fmt: skip
    assert said(scene(), read("@acme", "@amce"))["trunk"] == "differs"
    assert said(scene(), read("NXXNXXXXXX", "704NXXXXXX"))["matches"] == "no"


@pytest.mark.parametrize(
    ("old", "new"),
    [("60,i", "60,iL(2000)"), ("exten => _NXX", "exten => _9NXX"), ("+1${FILTER(0-9+", "1${FILTER(0-9"),
     ("same => n,Dial(PJSIP", "same => n,Dial(Local")],
)  # fmt: skip
def test_lines_that_cannot_be_read_say_nothing_of_trunk_and_patterns(old: str, new: str) -> None:
    found = read(old, new)
    assert found.trunk == NOT_AS_WRITTEN
    words = said(scene(), found)
    assert (words["trunk"], words["matches"], words["lines"]) == ("unread", "unknown", "other")
    assert "differs" not in words.values()


@pytest.mark.parametrize(
    ("dialled", "trunk", "matches"),
    [
        (does(*OURS), "unread", "yes"),
        (does("Dial(PJSIP/+1${EXTEN:1}@acme,60,iL(2000))"), "unread", "yes"),
        (does("Dial(PJSIP/acme/sip:1@realm,60)"), "unread", "yes"),
        (does("Dial(PJSIP/101&PJSIP/1${EXTEN}@acme)"), "unread", "yes"),
        (does("Goto(elsewhere,${EXTEN},1)"), "unread", "yes"),
        (does("Dial(PJSIP/${EXTEN}@acme2,60,i)"), "differs", "yes"),
        (does("Dial(PJSIP/1${EXTEN}@other,60,i)"), "differs", "yes"),
        (does(pattern=""), "unread", "no"),
        (does("Dial(PJSIP/1${EXTEN}@other)", context="bw-outbound-office"), "unread", "unknown"),
    ],
)
def test_what_the_pbx_does_with_the_number_counts(dialled: Dialled, trunk: str, matches: str) -> None:
    words = said(scene(dialled), read("60,i", "60,iL(2000)"))
    assert (words["trunk"], words["matches"]) == (trunk, matches)


def test_the_line_that_stands_there_is_quoted_and_ours_are_not() -> None:
    odd = "Dial(PJSIP/${FILTER(0-9+,${EXTEN})}@acme,60,iL(2000))"
    facts = at_dialplan.route(scene(does(OURS[0], odd, OURS[2])), read("60,i", "60,iL(2000)"))
    [lines] = [fact.says for fact in facts if fact.name == "route.lines"]
    assert lines.endswith(f"for {DIAL}: {odd}")


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        (("NoOp(trunk acme)", "Dial(PJSIP/101&PJSIP/102,60,i)"), "unread"),
        (("Dial(PJSIP/101,30)",), "unread"),
        (("Goto(office,101,1)",), "unread"),
        (("Dial(PJSIP/1010,30)",), "differs"),
        (("Answer()", "Playback(hello)"), "differs"),
        ((), "differs"),
    ],
)
def test_an_inbound_context_of_other_lines_is_judged_by_what_it_does(steps: tuple[str, ...], word: str) -> None:
    trunk = Trunk("acme", "r.test", "acme", SecretStr(""), NUMBER, "r.test", inbound_extension=None)
    wanted = Trunk("acme", "r.test", "acme", SecretStr(""), NUMBER, "r.test", inbound_extension="101")
    compared = rows("trunk", trunk, wanted, ("server", "inbound_extension"))
    asked = Dialled("101", "from-carrier", context_exists=True, pattern="101" if steps else "", steps=steps)
    words = {fact.name: fact.value for fact in at_dialplan.inbound(scene(inbound=asked), trunk, compared)}
    assert words == {"trunk.server": "as-wanted", "trunk.inbound_extension": word}
    assert at_dialplan.inbound(scene(), trunk, compared) == compared
