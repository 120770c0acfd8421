"""The rows about what only a call shows: what the realm did, firewalls, audio, digits."""

from __future__ import annotations

from bwlib.diagnose import ladder
from bwlib.diagnose.row import NOT_SENT, NOT_TAKEN, OUT_NOT_SENT, REFUSED, Rule, Where, fits, read, seen

REFUSED_AFTER = (ladder.REFUSED_AFTER, ladder.REFUSED_SOMEWHERE)
SILENT_HERE: Where = {"direct.challenge": ("silent",), "direct.options": ("silent", "unknown")}
NOT_ANSWERED = ("not-answered", "not-placed", "unknown")

NETWORK = (
    read(
        "realm-unresolved", "The realm's name is not in DNS, and the trunk needs it",
        {"dns": ("absent",), "trunk.needs_dns": ("yes",)},
        "wait (a new realm may need some minutes), and check the PBX's own name server", "firewall", OUT_NOT_SENT,
    ),
    seen(
        "realm-silent", "The realm answers nobody from here: its edge is down, or a firewall is in the way",
        {"outward.trunk": (*NOT_SENT, ladder.UNANSWERED), **SILENT_HERE},
        "allow UDP to the realm's address and port, out and back; check the address and port (SRV)", "firewall",
    ),
    seen(
        "realm-silent", "The realm answers nobody from here: its edge is down, or a firewall is in the way",
        {"inward.pbx": NOT_SENT, **SILENT_HERE},
        "allow UDP to the realm's address and port, out and back; check the address and port (SRV)", "firewall",
    ),
    seen(
        "realm-silent", "The realm answers nobody from here: its edge is down, or a firewall is in the way",
        {"inward.phone": ("did-not-ring",), **SILENT_HERE},
        "allow UDP to the realm's address and port, out and back; check the address and port (SRV)", "firewall",
    ),
    seen(
        "firewall-at-pbx", "A firewall between the PBX and the realm: the same packet from here is answered",
        {"outward.trunk": NOT_SENT, "direct.challenge": ("challenged",), "outward.left": ("yes", "unknown")},
        "allow UDP from the PBX to the realm's address and port, out and back; switch SIP ALG off on the router",
        "firewall",
    ),
    fits(
        "firewall-at-pbx", "A firewall between the PBX and the realm: the same packet from here is answered",
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
        "refused-pbx-only", "The realm refuses the PBX's call, and takes the same credentials and number from here",
        {"outward.trunk": REFUSED, "direct.call": ("answered",)},
        "compare the PBX's INVITE in the ladder with what the guide asks: Request-URI, From, user name", "caller id",
    ),
    fits(
        "credentials-refused", "The realm refuses the credentials",
        {"outward.trunk": REFUSED_AFTER, "direct.call": NOT_ANSWERED},
        "check user name and password once more on the dashboard; a lost password is rotated", "no callbacks",
        "give the credential a new password at both ends: if the answer stays, it is not the password",
    ),
    fits(
        "policy-refused", "The realm takes the credentials and refuses the call: caller id, number, or the account",
        {"outward.trunk": REFUSED_AFTER, "direct.call": NOT_ANSWERED},
        "send a number of the account in +E.164 as From; ask Bandwidth support, naming the Call-ID", "caller id",
        "call with another number of the account as From: if that passes, it is the number",
    ),
    fits(
        "realm-not-known-there", "The realm's edge does not know the realm (yet)",
        {"outward.trunk": (ladder.REFUSED_BEFORE, ladder.REFUSED_SOMEWHERE), "direct.call": NOT_ANSWERED},
        "wait some minutes after the realm was made; check the trunk's server name", "no callbacks",
        "an INVITE without credentials from here: challenged means that the edge knows it",
    ),
    seen(
        "no-credentials-sent", "The realm asked for credentials, and the PBX sent none",
        {"outward.trunk": (ladder.NOT_RETRIED,)},
        "give the trunk outbound authentication that answers this realm", "no callbacks",
    ),
    seen(
        "answer-held-back", "The realm takes the call and does not answer it",
        {"outward.trunk": (ladder.TRYING, ladder.REFUSED_AFTER_TRYING), "callback": ("alive",)},
        "look at the call in Bandwidth's dashboard; ask Bandwidth support, naming the Call-ID", "no callbacks",
    ),
    fits(
        "answer-held-back", "The realm takes the call and does not answer it",
        {
            "outward.trunk": (ladder.UNANSWERED,), "callback": ("alive",), "direct.call": NOT_ANSWERED,
            "direct.challenge": ("challenged", "trying", "not-challenged", "unknown"),
        },
        "look at the call in Bandwidth's dashboard; ask Bandwidth support, naming the Call-ID", "no callbacks",
        "watch the trunk's packets on the PBX (tcpdump, sngrep): a 100, and nothing more, is the realm",
    ),
    seen(
        "phone-refused", "The PBX refuses the phone", {"phone.register": ("refused",)},
        "check the extension and its secret on the PBX", "no callbacks",
    ),
    seen(
        "pbx-deaf", "The PBX does not answer the phone's SIP", {"phone.register": ("silent",)},
        "check that the PBX listens at that address and port, and the firewall before it", "firewall",
    ),
    seen(
        "webhook-lost", "The callback URL is alive from here, and Bandwidth's event did not arrive",
        {"callback": ("alive",), "outward.webhook": ("none",), "outward.trunk": (ladder.ANSWERED, *REFUSED)},
        "let Bandwidth's addresses reach the callback URL (firewall, reverse proxy); a URL that works from here may be "
        "closed to the outside", "urls",
    ),
    seen(
        "pbx-silent-inward", "The PBX does not answer Bandwidth's INVITE",
        {"inward.pbx": NOT_SENT, "direct.challenge": ("challenged", "not-challenged", "unknown")},
        "allow UDP from Bandwidth's SIP addresses to the PBX; check pbx.sip_host and its port", "firewall",
    ),
    seen(
        "webhook-lost", "The callback URL is alive from here, and Bandwidth's event did not arrive",
        {"callback": ("alive",), "inward.webhook": ("none",)},
        "let Bandwidth's addresses reach the callback URL (firewall, reverse proxy); a URL that works from here may be "
        "closed to the outside", "urls",
    ),
    fits(
        "pbx-refuses-inward", "The PBX refuses Bandwidth's call", {"inward.pbx": REFUSED},
        "look at the PBX's log for that call: the identify, the inbound context, the extension", "no callbacks",
        "the code in the ladder: 401 the address is not admitted, 404 the number is not known",
    ),
    fits(
        "extension-unregistered", "No phone is registered at the extension",
        {"extension.contact": ("none",), "call.ended": NOT_TAKEN, "phone.register": ("unknown",)},
        "register the phone at the PBX (its number, the PBX's address, the extension's secret)", "no callbacks",
        "register the phone, and place the call again",
    ),
    fits(
        "phone-does-not-answer", "The PBX takes Bandwidth's call, and no phone answers it",
        {"inward.pbx": (ladder.TRYING, ladder.REFUSED_AFTER_TRYING)},
        "check that the phone is registered and reachable from the PBX", "firewall",
        "call the extension from another one: if it rings, the phone is well",
    ),
)


def _audio(way: str) -> tuple[Rule, ...]:
    """The audio of one call. way: "outward" and "inward" name the call, not the direction of the sound."""
    return (
        seen(
            "rtp-to-pbx-lost", "Bandwidth's audio does not reach the PBX (one-way audio)",
            {f"{way}.heard": ("no",), f"{way}.rtp": ("none-in",)},
            "allow UDP to the PBX's RTP ports from outside; check the address in its SDP (NAT); switch SIP ALG off",
            "firewall",
        ),
        seen(
            "rtp-from-pbx-lost", "The PBX's audio does not reach Bandwidth (one-way audio)",
            {f"{way}.heard": ("yes", "lossy"), f"{way}.spoken": ("no",)},
            "allow UDP from the PBX's RTP ports to Bandwidth: the PBX itself sees no sign of it", "firewall",
        ),
        seen(
            "digits-lost", "Voice arrives and digits do not",
            {f"{way}.heard": ("yes",), f"{way}.spoken": ("yes",), f"{way}.digits": ("no",)},
            "check DTMF on phone, extension and trunk: RFC 4733 (telephone-event) everywhere", "firewall",
        ),
        seen(
            "packets-lost", "Part of the audio is lost on the way",
            {f"{way}.heard": ("lossy",), f"{way}.spoken": ("yes", "lossy", "unknown")},
            "look for loss on the line between PBX and Bandwidth (mtr, the router's queue)", "firewall",
        ),
    )


AUDIO = (*_audio("outward"), *_audio("inward"))
