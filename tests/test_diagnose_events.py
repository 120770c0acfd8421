"""Which of a busy PBX's calls is the test call, by the events that Asterisk 22.10 told of one look (recorded)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bwlib.diagnose import by_call, by_events
from bwlib.diagnose.facts import UNKNOWN, Facts
from bwlib.diagnose.scene import Scene
from bwlib.pbx.ami_events import MOST
from bwlib.pbx.state import MediaCount

DIAL, NUMBER = "+19195550199", "+19845550172"
Event = dict[str, str]


def scene(media: Any = None) -> Scene:
    settings = SimpleNamespace(
        pbx=SimpleNamespace(trunk="demo", extension="191"), test=SimpleNamespace(dial=DIAL), road="realm"
    )
    pbx = SimpleNamespace(**({"media": media} if media else {}))
    run: Any = SimpleNamespace(
        settings=settings, on=SimpleNamespace(number=NUMBER, bandwidth_ips=("127.0.0.2",), pbx=lambda: pbx)
    )
    return Scene(run)


def new(channel: str, linked: str, exten: str = "s", caller: str = "<unknown>") -> Event:
    return {"Event": "Newchannel", "Channel": channel, "Linkedid": linked, "Exten": exten, "CallerIDNum": caller}


def begin(channel: str, to: str, linked: str, dialled: str) -> Event:
    return {"Event": "DialBegin", "Channel": channel, "DestChannel": to, "Linkedid": linked, "DestLinkedid": linked,
            "DialString": dialled}  # fmt: skip


def answered(channel: str, to: str) -> Event:
    return {"Event": "DialEnd", "Channel": channel, "DestChannel": to, "DialStatus": "ANSWER"}


def end(channel: str, cause: str = "16", **more: str) -> Event:
    return {"Event": "Hangup", "Channel": channel, "Cause": cause, "Cause-txt": "Words", **more}


def asked(channel: str) -> Event:
    return {"Event": "HangupRequest", "Channel": channel}


def outward(trunk: str = "PJSIP/demo-00000001", phone: str = "PJSIP/191-00000000", exten: str = DIAL) -> list[Event]:
    """As far as the trunk."""
    return [new(phone, phone, exten, "191"), new(trunk, phone), begin(phone, trunk, phone, f"{exten}@demo")]


# Another extension's call to another number, and one to the same number.
OTHERS = [new("PJSIP/192-0000000a", "x", "+13035550177", "192"), new("PJSIP/demo-0000000b", "x"),
          begin("PJSIP/192-0000000a", "PJSIP/demo-0000000b", "x", "+13035550177@demo"),
          end("PJSIP/demo-0000000b", "21", TechCause="403")]  # fmt: skip
SAME_NUMBER = [new("PJSIP/192-0000000c", "y", DIAL, "192"), new("PJSIP/demo-0000000d", "y"),
               begin("PJSIP/192-0000000c", "PJSIP/demo-0000000d", "y", f"{DIAL}@demo"),
               end("PJSIP/demo-0000000d", "17", TechCause="486")]  # fmt: skip


def facts(*events: Event) -> Facts:
    return Facts(by_events.read(scene(), events))


def test_the_events_say_whether_the_call_came_to_the_trunk_and_how_its_leg_ended() -> None:
    told = facts(*outward(), end("PJSIP/191-00000000"), end("PJSIP/demo-00000001", "21", TechCause="401"))
    assert (told.value("outward.left"), told.value("outward.hangup")) == ("yes", "401")
    assert told["outward.hangup"].says == "the PBX on its trunk leg: cause 21 Words, SIP 401"
    assert "outward.bye" not in told
    assert by_events.read(scene(), []) == []  # nobody listened: it is not known


@pytest.mark.parametrize("others", [OTHERS, SAME_NUMBER, [*OTHERS, *SAME_NUMBER]])
def test_other_peoples_calls_are_not_ours(others: list[Event]) -> None:
    told = facts(*others, *outward(), end("PJSIP/demo-00000001"), *others)
    assert (told.value("outward.left"), told.value("outward.hangup")) == ("yes", "16")
    never = facts(new("PJSIP/191-00000000", "z", DIAL, "191"), *others)
    assert (never.value("outward.left"), never.value("outward.hangup")) == ("no", UNKNOWN)
    assert facts(*others).value("outward.left") == "no"  # it came to no dialplan


def test_a_trunk_whose_name_begins_alike_is_another() -> None:
    for trunk in ("demo-2", "demo2"):
        assert facts(*outward(f"PJSIP/{trunk}-0000000a")).value("outward.left") == "no"


def test_a_number_that_the_route_rewrites_on_the_way_is_still_our_call() -> None:
    assert facts(*outward(exten="9195550199")).value("outward.left") == "yes"


def test_two_calls_of_the_same_extension_to_the_same_number_count_only_when_the_same_is_true_of_both() -> None:
    other = outward("PJSIP/demo-00000009", "PJSIP/191-00000008")
    assert facts(*outward(), *other).value("outward.left") == "yes"
    told = facts(*outward(), other[0])
    assert told.value("outward.left") == UNKNOWN
    assert "1 of 2 calls" in told["outward.left"].says


@pytest.mark.parametrize("told", [[{"Event": "SuccessfulAuth"}], OTHERS * MOST])
def test_where_the_pbx_does_not_tell_all_calls_it_is_not_known_that_ours_never_left(told: list[Event]) -> None:
    assert facts(*told[:MOST]).value("outward.left") == UNKNOWN


# ---------------------------------------------------------------- a call that comes in

IN = [new("PJSIP/demo-00000002", "i", "191", NUMBER), new("PJSIP/191-00000003", "i"),
      begin("PJSIP/demo-00000002", "PJSIP/191-00000003", "i", "191")]  # fmt: skip


def test_the_call_into_the_pbx_is_the_one_from_the_sites_number_to_the_extension() -> None:
    to_another = [new("PJSIP/demo-00000004", "j", "192", NUMBER), end("PJSIP/demo-00000004", "1", TechCause="404")]
    of_another = [new("PJSIP/demo-00000005", "k", "191", "+17045550159"), end("PJSIP/demo-00000005", "19")]
    told = facts(*IN, end("PJSIP/demo-00000002"), *to_another, *of_another, *OTHERS)
    assert told.value("inward.hangup") == "16"
    assert facts(*to_another, *of_another, *OTHERS).value("inward.hangup") == UNKNOWN


# ---------------------------------------------------------------- who ended it


@pytest.mark.parametrize(
    ("ending", "who"),
    [
        ([asked("PJSIP/demo-00000001")], "realm"),
        ([asked("PJSIP/191-00000000")], "pbx"),
        ([], "pbx"),
    ],
)
def test_who_ended_an_answered_call_is_told_by_where_the_request_came_from(ending: list[Event], who: str) -> None:
    talk = [*outward(), answered("PJSIP/191-00000000", "PJSIP/demo-00000001"), *ending, end("PJSIP/demo-00000001")]
    assert facts(*talk).value("outward.bye") == who
    inward = [*IN, answered("PJSIP/demo-00000002", "PJSIP/191-00000003"), end("PJSIP/demo-00000002")]
    assert facts(*inward).value("inward.bye") == "pbx"
    assert facts(*inward, asked("PJSIP/demo-00000002")).value("inward.bye") == "realm"


def test_strangers_whose_logins_are_refused_are_not_this_sites() -> None:
    def refused(account: str, address: str) -> str:
        event = {"Event": "ChallengeResponseFailed", "AccountID": account, "RemoteAddress": f"IPV4/UDP/{address}/5060"}
        return facts(event).value("pbx.security")

    assert refused("191", "192.0.2.1") == "ChallengeResponseFailed"
    assert refused("anybody", "127.0.0.2") == "ChallengeResponseFailed"
    assert refused("anybody", "127.0.0.20") == UNKNOWN
    assert refused("1910", "192.0.2.1") == UNKNOWN


# ---------------------------------------------------------------- packets


def leg(channel: str, received: int, sent: int, number: str = "", call_id: str = "", linked: str = "") -> MediaCount:
    return MediaCount(channel, "ulaw", received, 0, sent, 0, number=number, call_id=call_id, linked=linked)


PHONES = leg("191-00000000", 9, 9, call_id="ours@phone", linked="a")
OURS, DEAF = leg("demo-00000001", 9, 9, DIAL, "t1", "a"), leg("demo-00000007", 0, 9, DIAL, "t7", "b")


@pytest.mark.parametrize(
    ("legs", "word", "says"),
    [
        ([PHONES, DEAF, OURS], "both", "leg demo-00000001:"),
        ([PHONES, DEAF], UNKNOWN, ""),
        ([DEAF, OURS], "none-in", "leg demo-00000007:"),  # nobody says whose: the worse of our two calls
        ([DEAF, OURS, leg("demo-00000008", 9, 9)], UNKNOWN, "of 3"),
        ([OURS, leg("demo-00000008", 9, 9, DIAL), leg("demo-00000009", 9, 9, DIAL)], "both", "of 3"),
    ],
)
def test_packets_are_counted_of_the_leg_that_belongs_to_the_phones_call(
    legs: list[MediaCount], word: str, says: str
) -> None:
    counted = Facts(by_call._counters(scene(lambda: legs), "outward", "ours@phone"))
    assert counted.value("outward.rtp") == word
    assert says in (counted["outward.rtp"].says if "outward.rtp" in counted else "")
