"""The guide's test: a call from the extension reaches the application's webhooks and is heard, and back.

A call works when the phone heard it: what the phone recorded is compared with what was sent, both ways, and the digit
that was pressed must come back in the `gather` webhook. Nothing here knows where the audio "sent" comes from: the
caller passes `Ears`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bwlib.bandwidth.client import Client
from bwlib.errors import NotAsExpected, StepError
from bwlib.models import CallRequest, Heard, Webhook
from bwlib.phone import Phone, PhoneCall
from bwlib.readback_client import Readback

WEBHOOK_TIMEOUT_S = 15.0
CALL_END_TIMEOUT_S = 20.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ears:
    """How to judge a call by ear. PCM is int16, 8 kHz, mono.

    by_phone(call id, the phone's recording): is what Bandwidth's side sent in it? by_bandwidth(call id, the phone's
    voice): did that arrive? None where Bandwidth's side cannot be listened to. audio(call id): more for the record.
    """

    by_phone: Callable[[str, Any], Heard]
    by_bandwidth: Callable[[str, Any], Heard] | None
    audio: Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class CallScript:
    """What the phone does: presses `digit` when asked, and says `voice` (PCM, int16, 8 kHz) meanwhile."""

    digit: str
    voice: Any
    threshold: float
    answer_timeout_s: float = 15


@dataclass(frozen=True)
class CallProof:
    """A call that was placed, with the evidence: webhooks in order, what each side heard, the digits, who ended it."""

    direction: str
    call_id: str
    sip_call_ids: tuple[str, ...]
    webhooks: tuple[Webhook, ...]
    heard_by_phone: Heard
    heard_by_bandwidth: Heard | None
    digits: str
    cause: str
    audio: Mapping[str, Any]


def call_from_extension(
    phone: Phone, readback: Readback, ears: Ears, script: CallScript, *, dial: str, number: str, tell: Tell
) -> CallProof:
    """Dial from the extension, over trunk and realm, to the application's webhooks; listen, press a digit, compare.

    Raises: NotAsExpected with the likely cause when any part of that did not happen.
    """
    before = readback.last_id()
    tell(f"the phone dials {dial}")
    call = phone.dial(dial, timeout_s=script.answer_timeout_s)
    try:
        first = readback.wait_for("initiate", after_id=before, to=dial, timeout_s=WEBHOOK_TIMEOUT_S)
        _expect(
            "from", first.body.get("from"), number, "the caller id that leaves the PBX (pbx route, trunk From user)"
        )
        return _converse("inbound", call, first.call_id, readback, ears, script, before, tell)
    finally:
        call.hang_up()


def call_to_extension(
    phone: Phone,
    client: Client,
    readback: Readback,
    ears: Ears,
    script: CallScript,
    *,
    request: CallRequest,
    tell: Tell,
) -> CallProof:
    """Place a programmatic call (POST /calls to sip:user@domain), let the phone ring and answer, listen, compare.

    Raises: NotAsExpected when the phone did not ring, with what Bandwidth says about the call.
    """
    before = readback.last_id()
    waiting = phone.expect_call(answer_after_s=0.3)
    tell(f"POST /calls to {request.to}")
    placed = client.create_call(request)
    try:
        call = waiting.result(timeout_s=request.call_timeout_s + 5)
    except StepError as error:
        state = client.get_call(placed.id)
        raise NotAsExpected(
            f"ring the extension by a programmatic call to {request.to}",
            f"the phone did not ring; Bandwidth says: {state.state}, cause {state.disconnect_cause or 'none'}"
            + (f" ({state.error_message})" if state.error_message else ""),
            "look at the SIP ladder: the PBX must admit Bandwidth's addresses (pbx.bandwidth_ips) "
            "and know the extension",
        ) from error
    try:
        readback.wait_for("answer", after_id=before, call_id=placed.id, timeout_s=WEBHOOK_TIMEOUT_S)
        return _converse("outbound", call, placed.id, readback, ears, script, before, tell)
    finally:
        call.hang_up()


def _converse(
    direction: str,
    call: PhoneCall,
    call_id: str,
    readback: Readback,
    ears: Ears,
    script: CallScript,
    before: int,
    tell: Tell,
) -> CallProof:
    """Both directions alike from here: hear the prompt, speak, press the digit, hear the goodbye."""
    tell("the phone listens, then speaks and presses " + script.digit)
    if not call.wait_for_speech(timeout_s=10):
        raise NotAsExpected(
            "hear the application on the phone",
            "the call is up, but no sound arrived within 10 s",
            "check the firewall for RTP (UDP) towards the PBX, and the address in the SDP (NAT)",
        )
    try:
        call.wait_for_silence()
        call.play(script.voice, wait=True)
        call.send_digits(script.digit)
    except NotAsExpected as error:
        raise _ended_early(call_id, readback, before) from error
    gathered = readback.wait_for("gather", call_id=call_id, after_id=before, timeout_s=WEBHOOK_TIMEOUT_S)
    _expect("digits", gathered.body.get("digits"), script.digit, "DTMF on the trunk (RFC 4733 on both sides)")
    call.wait_ended(timeout_s=CALL_END_TIMEOUT_S)
    ended = readback.wait_for("disconnect", call_id=call_id, after_id=before, timeout_s=WEBHOOK_TIMEOUT_S)
    # Each first comes without credentials, as Bandwidth does it, and is answered 401: that is not one more event.
    webhooks = tuple(hook for hook in readback.webhooks(call_id=call_id, after_id=before) if hook.answer_status != 401)
    proof = _proof(direction, call, call_id, ears, webhooks, str(ended.body.get("cause", "")), script)
    _judge(proof, script.threshold)
    return proof


def _ended_early(call_id: str, readback: Readback, before: int) -> NotAsExpected:
    """The far end hung up in the middle: say what Bandwidth's disconnect webhook says about it."""
    seen = readback.webhooks(call_id=call_id, after_id=before)
    words = " ".join(f"{hook.event_type} ({hook.answer_status})" for hook in seen)
    causes = [
        f"{hook.body.get('cause')} {hook.body.get('errorMessage') or ''}".strip()
        for hook in seen
        if hook.event_type == "disconnect"
    ]
    return NotAsExpected(
        "hold the conversation on the phone",
        f"the call ended before it was over; cause: {causes[-1] if causes else 'no disconnect webhook'}; "
        f"webhooks: {words}",
        "callback-error: the application did not answer a webhook as Bandwidth needs it (status, credentials, time); "
        "invalid-bxml: look at its answer",
    )


def _proof(
    direction: str,
    call: PhoneCall,
    call_id: str,
    ears: Ears,
    webhooks: Sequence[Webhook],
    cause: str,
    script: CallScript,
) -> CallProof:
    digits = next((str(hook.body.get("digits", "")) for hook in webhooks if hook.event_type == "gather"), "")
    sip_ids = [str(hook.body["sipCallId"]) for hook in webhooks if hook.body.get("sipCallId")]
    return CallProof(
        direction=direction,
        call_id=call_id,
        sip_call_ids=tuple(dict.fromkeys([call.sip_call_id, *sip_ids])),
        webhooks=tuple(webhooks),
        heard_by_phone=ears.by_phone(call_id, call.recording),
        heard_by_bandwidth=ears.by_bandwidth(call_id, script.voice) if ears.by_bandwidth else None,
        digits=digits,
        cause=cause,
        audio={"phone_heard": call.recording, "phone_said": call.sent, **ears.audio(call_id)},
    )


def _likeness(correlation: float, threshold: float) -> str:
    return f"correlation {correlation:.4f} (1 is the same sound), wanted at least {threshold:g}"


def _judge(proof: CallProof, threshold: float) -> None:
    if proof.heard_by_phone.correlation < threshold:
        raise NotAsExpected(
            "compare what the phone heard with what the application said",
            _likeness(proof.heard_by_phone.correlation, threshold),
            "listen to audio/ in the record; look for lost RTP, another codec than G.711, one-way or faint audio",
        )
    if proof.heard_by_bandwidth is not None and proof.heard_by_bandwidth.correlation < threshold:
        raise NotAsExpected(
            "compare what Bandwidth's side heard with what the phone said",
            _likeness(proof.heard_by_bandwidth.correlation, threshold),
            "the way from the phone to the realm loses audio: check RTP from the PBX outwards",
        )
    if proof.cause != "hangup":
        raise NotAsExpected(
            "end the call normally",
            f"the disconnect webhook says cause {proof.cause!r}",
            "read its errorMessage in the record",
        )


def _expect(what: str, found: object, wanted: str, where: str) -> None:
    if found != wanted:
        raise NotAsExpected(f"check `{what}` in the webhook", f"it is {found!r}, wanted {wanted!r}", f"check {where}")
