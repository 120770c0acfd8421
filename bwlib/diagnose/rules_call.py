"""The rows about what only a call shows: what the realm did, firewalls, audio, digits."""

from __future__ import annotations

from bwlib.diagnose import ladder
from bwlib.diagnose.row import FAILED, NO_ROOM, NOT_SENT, OUT, OUT_NOT_SENT, REFUSED, Rule, Where, fits, read, seen

REFUSED_AFTER = (ladder.REFUSED_AFTER, ladder.REFUSED_SOMEWHERE)
SILENT_HERE: Where = {"direct.challenge": ("silent",), "direct.options": ("silent", "unknown")}
_SILENT = "The realm does not answer from here: its SIP edge is down, or a firewall is in the way"
_LET_THROUGH = "let the firewall pass UDP to the realm's address and port, and back; check both against its SRV record"
NOT_ANSWERED = ("not-answered", "not-placed", "unknown")

NETWORK = (
    read(
        "realm-unresolved", "The realm's name is not in DNS, and the trunk needs it",
        {"dns": ("absent",), "trunk.needs_dns": ("yes",)},
        "wait (a new realm may need some minutes), and check which name server the PBX asks", "firewall", OUT_NOT_SENT,
    ),
    read(
        "realm-silent", _SILENT,
        {
            "direct.challenge": ("silent",), "outward.trunk": ("unknown",), "inward.pbx": ("unknown",),
            "outward.phone": ("not-answered", "unknown"),
        },
        _LET_THROUGH, "firewall", OUT,
    ),
    seen(
        "phone-refused", "The PBX refuses the phone's registration", {"phone.register": ("refused",)},
        "check the extension and its secret on the PBX", "no callbacks",
    ),
    seen(
        "pbx-deaf", "The PBX does not answer the phone's REGISTER", {"phone.register": ("silent",)},
        "check that the PBX listens for SIP at that address and port, and the firewall in front of it", "firewall",
    ),
    *(
        seen("realm-silent", _SILENT, {**effect, **SILENT_HERE}, _LET_THROUGH, "firewall")
        for effect in (
            {"outward.trunk": (*NOT_SENT, ladder.UNANSWERED)},
            {"inward.pbx": NOT_SENT},
            {"inward.phone": ("did-not-ring",)},
        )
    ),
    seen(
        "firewall-at-pbx", "A firewall stands between the PBX and the realm: the same packet from here is answered",
        {"outward.trunk": NOT_SENT, "direct.challenge": ("challenged",), "outward.left": ("yes", "unknown")},
        "allow UDP from the PBX to the realm's address and port, and back; switch SIP ALG off on the router",
        "firewall",
    ),
    fits(
        "firewall-at-pbx", "A firewall stands between the PBX and the realm: the same packet from here is answered",
        {"outward.trunk": (ladder.UNANSWERED,), "direct.challenge": ("challenged",)},
        "allow UDP from the PBX to the realm's address and port, out and back; switch SIP ALG off on the router",
        "firewall",
        "watch the trunk's packets on the PBX (tcpdump, sngrep): INVITE again and again with no answer is a firewall",
    ),
    seen(
        "never-left", "The PBX did not send the call to the trunk",
        {"outward.trunk": (ladder.NO_INVITE,), "outward.left": ("no",)},
        "follow the number in the PBX's dialplan: the extension's context, the route's pattern, its trunk",
        "no callbacks",
    ),
    seen(
        "refused-pbx-only", "The realm refuses the PBX's call, and accepts the same credentials and number from here",
        {"outward.trunk": REFUSED, "direct.call": ("answered",)},
        "compare the PBX's INVITE in the ladder with what the guide asks for: Request-URI, From, user name",
        "caller id",
    ),
    fits(
        "credentials-refused", "The realm refuses the credentials",
        {"outward.trunk": REFUSED_AFTER, "direct.call": NOT_ANSWERED},
        "check the user name on the dashboard; set a new password there and on the trunk if it may be wrong",
        "no callbacks",
        "set a new password at both ends: if the answer stays the same, the password is not the cause",
    ),
    fits(
        "policy-refused",
        "The realm accepts the credentials and refuses the call: caller id, dialled number, or account policy",
        {"outward.trunk": REFUSED_AFTER, "direct.call": NOT_ANSWERED},
        "send a number of the account in +E.164 as From; ask Bandwidth support, naming the Call-ID", "caller id",
        "call with another number of the account as From: if that is accepted, the caller id is the cause",
    ),
    fits(
        "realm-not-known-there", "The SIP edge does not know this realm (yet)",
        {"outward.trunk": (ladder.REFUSED_BEFORE, ladder.REFUSED_SOMEWHERE), "direct.call": NOT_ANSWERED},
        "wait some minutes after the realm was made; check the trunk's server name", "no callbacks",
        "look at the INVITE without credentials from here (direct.challenge): challenged means that it is known",
    ),
    seen(
        "no-credentials-sent", "The realm asked for credentials, and the PBX sent none",
        {"outward.trunk": (ladder.NOT_RETRIED,)},
        "give the trunk outbound authentication for this realm (the log line in the evidence says why it sent none)",
        "no callbacks",
    ),
    seen(
        "answer-held-back", "The realm accepts the call and never answers it",
        {"outward.trunk": (ladder.TRYING, ladder.REFUSED_AFTER_TRYING), "callback": ("alive",)},
        "look at the call in Bandwidth's dashboard; ask Bandwidth support, naming the Call-ID", "no callbacks",
    ),
    fits(
        "answer-held-back", "The realm accepts the call and never answers it",
        {
            "outward.trunk": (ladder.UNANSWERED,), "callback": ("alive",), "direct.call": NOT_ANSWERED,
            "direct.challenge": ("challenged", "trying", "not-challenged", "unknown"),
        },
        "look at the call in Bandwidth's dashboard; ask Bandwidth support, naming the Call-ID", "no callbacks",
        "watch the trunk's packets on the PBX (tcpdump, sngrep): a 100, and nothing more, is the realm",
    ),
    seen(
        "webhook-lost", "The callback URL answers from here, and Bandwidth's webhook did not arrive there",
        {"callback": ("alive",), "outward.webhook": ("none",), "outward.trunk": (ladder.ANSWERED, *REFUSED)},
        "let Bandwidth reach the callback URL (firewall, reverse proxy): a URL that works from here may be closed to "
        "the internet", "urls",
    ),
    seen(
        "route-number", "The PBX changes the dialled number on its way, and Bandwidth gets another one",
        {"outward.number": ("differs",)},
        "correct what the route's Dial puts before the number (FreePBX: the route's prepend and prefix)", "caller id",
    ),
    seen(
        "pbx-silent-inward", "The PBX does not answer Bandwidth's INVITE",
        {"inward.pbx": NOT_SENT, "direct.challenge": ("challenged", "not-challenged", "unknown")},
        "allow UDP from Bandwidth's SIP addresses to the PBX; check pbx.sip_host and its port", "firewall",
    ),
    seen(
        "webhook-lost", "The callback URL answers from here, and Bandwidth's webhook did not arrive there",
        {"callback": ("alive",), "inward.webhook": ("none",)},
        "let Bandwidth reach the callback URL (firewall, reverse proxy): a URL that works from here may be closed to "
        "the internet", "urls",
    ),
    *(
        fits(
            "other-options", "The PBX's sections hold options that this runbook does not write",
            {**effect, "pbx.options": ("others",)},
            "remove from trunk and extension what the evidence lists, one by one, unless it is needed", "no callbacks",
            "call with one of them taken out: if that works, it was the cause",
        )
        for effect in (
            {"outward.trunk": FAILED}, {"inward.pbx": FAILED}, {"phone.register": ("refused",)},
            {"inward.phone": ("did-not-ring",)}, {"outward.heard": ("no",)}, {"inward.heard": ("no",)},
        )
    ),
    fits(
        "pbx-refuses-inward", "The PBX refuses Bandwidth's call", {"inward.pbx": (*REFUSED, ladder.NOT_RETRIED)},
        "look at the PBX's log for that call, then at the trunk's identify, inbound context and extension",
        "no callbacks",
        "read the code in the ladder: 401, the address matches no trunk; 404, no such number in its context",
    ),
    fits(
        "phone-does-not-answer", "The PBX accepts Bandwidth's call, and no phone answers it",
        {"inward.pbx": (ladder.TRYING, ladder.REFUSED_AFTER_TRYING)},
        "check that the phone is registered and reachable from the PBX", "firewall",
        "call the extension from another one: if it rings, the phone is not the cause",
    ),
)


def _cut(way: str) -> tuple[Rule, ...]:
    """A call that ended while the phone still talked, by who sent the BYE on the trunk."""
    limits = "a limit in the route's Dial (its options L and S), TIMEOUT(absolute), or rtp_timeout of the endpoints"
    return (
        seen(
            "cut-by-pbx", "The PBX ends the call in the middle of it",
            {f"{way}.cut": ("yes",), f"{way}.bye": ("pbx",)}, f"look for {limits}", "no callbacks",
        ),
        seen(
            "cut-by-realm", "Bandwidth ends the call in the middle of it",
            {f"{way}.cut": ("yes",), f"{way}.bye": ("realm",)},
            "read the BXML that the application answered: a Hangup, or nothing after the last verb, ends the call",
            "urls",
        ),
        fits(
            "cut-short", "The call ends in the middle of it", {f"{way}.cut": ("yes",), f"{way}.bye": ("unknown",)},
            f"look for {limits}; then at the BXML that the application answered", "no callbacks",
            "watch who sends the BYE on the trunk (tcpdump, sngrep): the PBX, or Bandwidth",
        ),
    )


def _audio(way: str) -> tuple[Rule, ...]:
    """The audio of one call. way: "outward" and "inward" name the call, not the direction of the sound."""
    on = {f"{way}.cut": ("no", "unknown")}  # what a call that was cut short lacks is not lost
    return (
        *_cut(way),
        seen(
            "rtp-to-pbx-lost", "Bandwidth's audio does not reach the PBX (one-way audio)",
            {f"{way}.heard": ("no",), f"{way}.rtp": ("none-in",), **on},
            "allow UDP to the PBX's RTP ports from outside; check the address in its SDP (NAT); switch SIP ALG off",
            "firewall",
        ),
        seen(
            "rtp-from-pbx-lost", "The PBX's audio does not reach Bandwidth (one-way audio)",
            {f"{way}.heard": ("yes", "lossy"), f"{way}.spoken": ("no",), **on},
            "allow UDP from the PBX's RTP ports to Bandwidth: the PBX itself sees no sign of it", "firewall",
        ),
        seen(
            "digits-lost", "Voice arrives and DTMF digits do not",
            {f"{way}.heard": ("yes",), f"{way}.spoken": ("yes",), f"{way}.digits": ("no",), **on},
            "set DTMF to RFC 4733 (telephone-event) on phone, extension and trunk", "firewall",
        ),
        seen(
            "packets-lost", "Part of the audio is lost between Bandwidth and the PBX",
            {f"{way}.heard": ("lossy",), f"{way}.spoken": ("yes", "lossy", "unknown"), **on},
            "look for packet loss on the line between PBX and Bandwidth (mtr, the router's queues)", "firewall",
        ),
    )


# Of a call that is over, by Bandwidth's own word (diagnose --after-call).
AFTERWARDS = (
    seen(
        "call-callback-error", "Bandwidth got no usable answer from the callback URL during this call",
        {"call.cause": ("callback-error",)},
        "read the application's log at that time; then run diagnose without --after-call, which asks the URL now",
        "urls",
    ),
    seen(
        "call-invalid-bxml", "The application answered this call with BXML that is not valid",
        {"call.cause": ("invalid-bxml",)},
        "read the call's errorMessage in the evidence, and check the answer with bwlib.bxml.read", "urls",
    ),
    seen(
        "call-application-error", "The application's BXML asked for something that Bandwidth cannot do",
        {"call.cause": ("application-error",)},
        "read the call's errorMessage in the evidence; play WAV or MP3 only", "urls",
    ),
    seen(
        "call-no-capacity", "Bandwidth had no capacity for this call: a limit of the account, or of its own",
        {"call.cause": NO_ROOM}, "place fewer calls at once, or ask Bandwidth for a higher limit", "no callbacks",
    ),
    fits(
        "call-rejected", "The far end rejected this call", {"call.cause": ("rejected", "busy")},
        "look at the PBX's log for that time, then at the trunk's identify, inbound context and extension",
        "no callbacks",
        "run diagnose without --after-call: a test call shows who rejects it, and with which code",
    ),
    fits(
        "call-timeout", "Nobody answered this call in time", {"call.cause": ("timeout",)},
        "check that a phone is registered at the extension, and that UDP from Bandwidth reaches the PBX", "firewall",
        "call the extension from another one: if it rings, the way from Bandwidth to the PBX is closed",
    ),
)

AUDIO = (*_audio("outward"), *_audio("inward"))
