"""Two short calls, one each way, and what was seen of them: SIP at the realm, AMI events, RTP counters, ears, webhooks.

The scripted phone registers only where no other phone is registered at the extension: nobody's registration is
displaced. On a live account a call leaves the PBX only where it was read back that it ends at the site's application.
Both calls go on at once, and are hung up as soon as they have told what they can.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bwlib.calling import cannot_be_called, cannot_observe, registrar, request_to_extension
from bwlib.diagnose.by_ladder import is_leg_of, number_in
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.errors import BandwidthError, BwlibError, NotAsExpected, PbxRefused, PbxUnreachable
from bwlib.heard import compare
from bwlib.own_pbx import is_loopback
from bwlib.phone import Phone, PhoneCall
from bwlib.readback_clip import voice_pcm

if TYPE_CHECKING:
    from bwlib.pbx.state import MediaCount
    from bwlib.readback_client import Readback

ANSWER_S, RING_S, REGISTER_S, WEBHOOK_S = 5.0, 4.0, 5.0, 4.0
CALLS_S = 12.5  # all of it but for hanging up and unregistering: a look leaves no registration behind
# From the answer on, for all that is tried by ear: at least so long, then as long as the application speaks and a bit
# longer, for it takes digits only after its greeting (to say a number takes five seconds); at most so long.
TALK_S, AFTER_VOICE_S, TALK_MOST_S = 6.0, 1.5, 11.0
PRESS_EVERY_S = 0.6
WAYS = ("outward", "inward")
HEARD, LOSSY = 0.9, 0.3  # correlation: as it should be, and still the same voice
_CUT_PCM = 4000  # half a second: the end of what was said may still be on its way


@dataclass
class Talk:
    """One call's way: "outward" or "inward", the last webhook before it, and when (monotonic) it must be over."""

    way: str
    mark: int
    until: float


def probe(scene: Scene) -> list[Fact]:
    """Place both calls, as far as they can be placed."""
    why_not = _why_not(scene)
    if why_not:
        return [Fact("calls", "not-placed", f"no test call: {why_not}", "phone")]
    if scene.extension_secret() is None:
        says = f"no test call: {scene.run.settings.pbx.extension_secret}, the extension's secret, gives nothing now"
        return [Fact("calls", "not-placed", says, "phone"), Fact("probe.calls", "failed", says, "phone")]
    run, mark, until = scene.run, _mark(scene), time.monotonic() + CALLS_S
    address, displaces = registrar(run), scene.contact != "none"
    with Phone(address, run.settings.pbx.extension, run.secret(run.settings.pbx.extension_secret)) as phone:
        scene.phones.append(phone)
        facts = [Fact("calls", "placed", "test calls were placed", "phone")]
        if displaces:
            there = "another phone is" if scene.contact else "it is not known whether another phone is"
            says = f"no programmatic call: {there} registered at the extension, and is not displaced"
            facts.append(Fact("inward", "not-placed", says, "phone"))
            return [*facts, *_outward(scene, phone, Talk("outward", mark, until))]
        facts += _register(phone)
        if facts[-1].value == "silent":
            return facts
        inward = _beside(scene, phone, Talk("inward", mark, until))
        facts += _outward(scene, phone, Talk("outward", mark, until))
        try:
            return [*facts, *inward.result(max(0.0, until - time.monotonic()))]
        except TimeoutError:
            says = "POST /calls, and what follows from it: no answer in time"
            return [*facts, Fact("inward.create", "no-answer", says, "Bandwidth")]


def _beside(scene: Scene, phone: Phone, talk: Talk) -> Future[list[Fact]]:
    """The call inward, in a thread that nobody has to wait for: the phone must leave the PBX in time."""
    future: Future[list[Fact]] = Future()

    def run() -> None:
        try:
            future.set_result(_inward(scene, phone, talk))
        except Exception as error:  # told to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="call inward", daemon=True).start()
    return future


def _why_not(scene: Scene) -> str:
    if not scene.calls:
        return "calls are placed with --place-call only"
    observed = cannot_observe(scene.run)
    if observed:
        return observed
    if scene.run.on.target == "sandbox" and not is_loopback(registrar(scene.run)[0]):
        return "the sandbox's SIP edge is on this machine's loopback only, and the PBX is not"
    return ""


def _mark(scene: Scene) -> int:
    try:
        return scene.run.on.readback.last_id() if scene.run.on.readback else 0
    except BwlibError:
        return 0


def _register(phone: Phone) -> list[Fact]:
    name = "phone.register"
    try:
        phone.register(expires_s=60, timeout_s=REGISTER_S)
    except PbxRefused as error:
        return [Fact(name, "refused", f"the phone's REGISTER at the PBX: {error.came_back}", "phone")]
    except PbxUnreachable as error:
        return [Fact(name, "silent", f"{error.attempted}: {error.came_back}", "phone")]
    return [Fact(name, "ok", "the phone registered at the PBX", "phone")]


# ---------------------------------------------------------------- from the extension


def would_go_elsewhere(scene: Scene) -> str:
    """Why a call out of the PBX might ring a stranger, as far as what was read says so; "" when it would not.

    With an unbound credential Bandwidth sends it to the PSTN; by another route or trunk the PBX sends it anywhere.
    """
    account, seen, table = scene.account, scene.on_pbx, scene.run.settings.pbx
    if scene.run.settings.road == "realm":
        credential, application = account.credential, account.application
        if credential is None or application is None or credential.application_id != application.id:
            return "the SIP credential was not read back as bound to the site's application"
        if seen.trunk is None or seen.trunk.username != credential.username:
            return "the trunk does not authenticate as the site's SIP credential"
    by_route = seen.extension is not None and seen.extension.route == table.route
    by_trunk = seen.route is not None and seen.route.trunk == table.trunk
    return "" if by_route and by_trunk else "the PBX would not send it by the site's route and trunk"


def _outward(scene: Scene, phone: Phone, talk: Talk) -> list[Fact]:
    dial = scene.run.settings.test.dial
    elsewhere = would_go_elsewhere(scene) if scene.run.on.target == "live" else ""
    if elsewhere:
        says = f"no call out of the PBX, because it might ring a stranger: {elsewhere}"
        return [Fact("outward", "not-placed", says, "phone")]
    try:
        call = phone.dial(dial, timeout_s=ANSWER_S)
    except NotAsExpected as error:
        if not any(event.text.startswith("SIP/2.0 ") for event in phone.events):
            return [Fact("phone.register", "silent", f"{error.attempted} from the phone: {error.came_back}", "phone")]
        said = Fact("outward.phone", "not-answered", f"the phone dialled {dial}: {error.came_back}", "phone")
        return [said, *_turned_away(scene, talk, dial)]
    facts = [Fact("outward.phone", "answered", f"the phone dialled {dial}, and was answered", "phone")]
    try:
        readback = scene.run.on.readback
        assert readback is not None
        first = _first(readback, "initiate", talk.mark, lambda hook: hook.dialled == dial)
        if first is None:
            first = _changed_number(readback, talk, dial)
            facts += [Fact("outward.number", "differs", f"{dial} was dialled, and the webhook says {first.dialled}",
                           "application")] if first else []  # fmt: skip
        facts.append(_arrived(talk, "initiate", first))
        if first is not None:
            facts.append(_caller_id(scene, str(first.body.get("from") or "")))
        return [*facts, *_talk(scene, call, talk, first.call_id if first else "")]
    finally:
        call.hang_up()


def _changed_number(readback: Readback, talk: Talk, dial: str) -> Any:
    """The event of a call to this number in another form: without its +, its country, or with something before it."""
    tail = number_in(dial)
    return _first(
        readback, "initiate", talk.mark, lambda hook: hook.dialled != dial and number_in(hook.dialled) == tail, 0.1
    )


def _turned_away(scene: Scene, talk: Talk, dial: str) -> list[Fact]:
    """Of a call that was not answered: what the application said to Bandwidth's event, if one came."""
    hooks = []
    with contextlib.suppress(BwlibError):
        assert scene.run.on.readback is not None
        hooks = scene.run.on.readback.webhooks(after_id=talk.mark)
    statuses = [hook.answer_status for hook in hooks if hook.event_type == "initiate" and hook.dialled == dial]
    if not statuses:
        return []
    says = f"Bandwidth's event initiate came {len(statuses)} times; the application answered {statuses}"
    word = "refused" if set(statuses) == {401} else "arrived"
    return [Fact("outward.webhook", word, says, "application")]


def _caller_id(scene: Scene, shown: str) -> Fact:
    fits = shown == scene.run.on.number
    says = f"the webhook says from {shown or 'nobody'}" + ("" if fits else f", wanted {scene.run.on.number}")
    return Fact("outward.caller", "as-wanted" if fits else "differs", says, "application")


# ---------------------------------------------------------------- to the extension


def _inward(scene: Scene, phone: Phone, talk: Talk) -> list[Fact]:
    run = scene.run
    why_not = cannot_be_called(run)
    if why_not:
        return [Fact("inward", "not-placed", f"no programmatic call: {why_not}", "phone")]
    waiting = phone.expect_call(answer_after_s=0.1)
    try:
        request = request_to_extension(run)
        if not request.application_id:
            waiting.cancel()
            return [Fact("inward", "not-placed", "no programmatic call: there is no Voice application", "phone")]
        placed = run.on.client.create_call(replace(request, call_timeout_s=RING_S))
    except BandwidthError as error:
        waiting.cancel()
        word = "rate-limited" if error.status == 429 else "refused"
        facts = [Fact("inward.create", word, f"POST /calls: {error.came_back}", "Bandwidth")]
        if word == "refused" and run.on.number in error.came_back:  # it names what it does not take
            facts.append(Fact("inward.from", "refused", f"Bandwidth refuses {run.on.number} as From", "Bandwidth"))
        return facts
    facts = [Fact("inward.create", "ok", f"POST /calls made the call {placed.id}", "Bandwidth")]
    try:
        call = waiting.result(timeout_s=ANSWER_S)
    except NotAsExpected:
        waiting.cancel()
        return [*facts, _not_rung(scene, placed.id)]
    facts.append(Fact("inward.phone", "rang", "the phone rang and answered", "phone"))
    try:
        assert run.on.readback is not None
        first = _first(run.on.readback, "answer", talk.mark, lambda hook: hook.call_id == placed.id)
        facts.append(_arrived(talk, "answer", first))
        if first is None:  # nobody has said what to say: silence is no fault of the way
            return facts
        return [*facts, *_talk(scene, call, talk, placed.id)]
    finally:
        call.hang_up()


def _not_rung(scene: Scene, call_id: str) -> Fact:
    said = "nothing"
    with contextlib.suppress(BwlibError):
        state = scene.run.on.client.get_call(call_id)
        said = f"{state.state}, cause {state.disconnect_cause or 'none yet'}"
    says = f"the phone did not ring within {ANSWER_S:g} s; Bandwidth says of the call: {said}"
    return Fact("inward.phone", "did-not-ring", says, "phone")


# ---------------------------------------------------------------- what both are tried by


def _first(readback: Readback, event: str, mark: int, fits: Any, timeout_s: float = WEBHOOK_S) -> Any:
    """The first webhook of that kind which was let in; None when none came in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(BwlibError):
            for hook in readback.webhooks(after_id=mark):
                if hook.event_type == event and hook.answer_status != 401 and fits(hook):
                    return hook
        time.sleep(0.05)
    return None


def _arrived(talk: Talk, event: str, hook: Any) -> Fact:
    says = f"the webhook {event} {'reached the application' if hook else 'did not reach the application'}"
    return Fact(f"{talk.way}.webhook", "arrived" if hook else "none", says, "application")


def _talk(scene: Scene, call: PhoneCall, talk: Talk, call_id: str) -> list[Fact]:
    """Listen, speak, press the digit until it comes back; then compare what was said with what was heard."""
    way, voice, digit = talk.way, voice_pcm(), scene.run.settings.test.digit
    readback = scene.run.on.readback
    assert readback is not None
    began, gathered = time.monotonic(), None
    with contextlib.suppress(NotAsExpected):  # the far end hung up in the middle: what there is by then is judged
        call.play(voice, wait=True)
        while gathered is None and _goes_on(call, began, talk.until):
            call.send_digits(digit)
            gathered = _first(readback, "gather", talk.mark, lambda hook: hook.call_id == call_id, PRESS_EVERY_S)
    out_of_time = gathered is None and time.monotonic() > talk.until
    cut = [] if gathered else [_cut(way, call, time.monotonic() - began)]
    counters = _counters(scene, way, call.sip_call_id)
    call.hang_up()
    digits = _not_tried(way) if out_of_time else [_digits(way, digit, gathered)]
    return [*counters, *_ears(scene, way, call, call_id, voice), *digits, *cut]


def _digits(way: str, digit: str, gathered: Any) -> Fact:
    pressed = str(gathered.body.get("digits") or "") if gathered else ""
    says = f"{digit} was pressed; the webhook gather says {pressed or 'nothing'}" if gathered else (
        f"{digit} was pressed again and again, and no webhook gather came"
    )  # fmt: skip
    return Fact(f"{way}.digits", "yes" if pressed == digit else "no", says, "application")


def _not_tried(way: str) -> list[Fact]:
    """The look's time was over before the application had spoken: whether it takes digits is not known."""
    says = f"{way} call: its time was over while the application still spoke, so that digits were not tried"
    return [Fact(f"{way}.digits", UNKNOWN, says, "application"), Fact(f"probe.{way}.digits", "no-answer", says)]


def _cut(way: str, call: PhoneCall, talked_s: float) -> Fact:
    """Whether the other side hung up while the phone still had something to try."""
    cut = False
    with contextlib.suppress(NotAsExpected):
        cut = talked_s < TALK_S and call.wait_ended(timeout_s=0) == "bye"
    says = f"the call was ended from the other side after {talked_s:.0f} s, in the middle of it"
    return Fact(f"{way}.cut", "yes" if cut else "no", says if cut else "the call lasted as long as the phone", "phone")


def _goes_on(call: PhoneCall, began: float, until: float) -> bool:
    now = time.monotonic()
    talked_s = now - began
    if now > until:
        return False
    return talked_s < TALK_S or (talked_s < TALK_MOST_S and not call.wait_for_silence(AFTER_VOICE_S, timeout_s=0))


def _ears(scene: Scene, way: str, call: PhoneCall, call_id: str, voice: Any) -> list[Fact]:
    ears, recording = scene.run.on.ears, call.recording
    assert ears is not None
    facts = [_by_phone(scene, way, call_id, recording)]
    if ears.by_bandwidth is not None and call_id:
        with contextlib.suppress(BwlibError):
            heard = ears.by_bandwidth(call_id, voice)
            says = f"the application's side heard the phone with correlation {heard.correlation:.2f}"
            facts.append(Fact(f"{way}.spoken", _word(heard.correlation), says, "Bandwidth"))
    return facts


def _by_phone(scene: Scene, way: str, call_id: str, recording: Any) -> Fact:
    """What was said so far, but for its end: the call is hung up in the middle of it."""
    name, ears = f"{way}.heard", scene.run.on.ears
    assert ears is not None
    if not recording.any():
        return Fact(name, "no", "the phone heard nothing at all", "phone")
    said = None
    with contextlib.suppress(BwlibError):
        said = ears.audio(call_id).get("bandwidth_said") if call_id else None
    if said is None and not call_id:
        return Fact(name, "unknown", "the phone heard something; it is not known what it should have heard", "phone")
    heard = compare(said[:-_CUT_PCM], recording) if said is not None else ears.by_phone(call_id, recording)
    return Fact(name, _word(heard.correlation), f"the phone heard it with correlation {heard.correlation:.2f}", "phone")


def _word(correlation: float) -> str:
    return "yes" if correlation >= HEARD else "lossy" if correlation >= LOSSY else "no"


def _counters(scene: Scene, way: str, call_id: str) -> list[Fact]:
    """RTP packets of the trunk's leg as the PBX counts them, in the middle of the call. call_id: of the phone's leg.

    The trunk's leg is of the same call as the phone's, where the PBX says of which call a leg is. Elsewhere both our
    calls are up: the leg out is known by the number that it dialled, and of what is left the worse one counts. With
    more legs on the trunk than ours it is said only what is true of all.
    """
    look, trunk = getattr(scene.run.on.pbx(), "media", None), scene.run.settings.pbx.trunk
    if look is None:
        return []
    with contextlib.suppress(BwlibError):
        told = look()
        legs = [leg for leg in told if is_leg_of(leg.channel, trunk)]
        ours = next((leg.linked for leg in told if leg.call_id and leg.call_id == call_id), "")
        dialled, many = scene.run.settings.test.dial, "" if ours or len(legs) <= len(WAYS) else f" of {len(legs)}"
        if ours:
            legs = [leg for leg in legs if leg.linked == ours]
        else:
            legs = [leg for leg in legs if (leg.number == dialled) == (way == "outward")] or legs
        words = {_way_of_packets(leg) for leg in legs}
        for leg in sorted(legs, key=lambda leg: min(leg.received, leg.sent))[:1]:
            says = f"the PBX's trunk leg {leg.channel}{many}: {leg.received} RTP packets in, {leg.sent} out"
            word = UNKNOWN if many and len(words) > 1 else _way_of_packets(leg)
            return [Fact(f"{way}.rtp", word, says, "PBX")]
    return []


def _way_of_packets(leg: MediaCount) -> str:
    return "none-in" if not leg.received else "none-out" if not leg.sent else "both"
