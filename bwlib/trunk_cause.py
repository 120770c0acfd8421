"""What the SIP messages between the PBX and the realm say about a call that failed.

A first, small reading of the ladder; it names only what the messages prove.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bwlib.models import Finding, SipEvent

_STATUS = re.compile(r"^SIP/2\.0 (\d{3}) ?([^\r\n]*)")


def likely_cause(events: Sequence[SipEvent], trunk: str) -> Finding | None:
    """The cause that the trunk's messages prove, None when they prove none.

    events: SIP messages seen at the realm's side, oldest first, from the moment the call began.
    """
    requests = [event.text.split(" ", 1)[0] for event in events]
    statuses = [int(match[1]) for event in events if (match := _STATUS.match(event.text))]
    return _nothing_came_back(requests, statuses, trunk) or _the_realm_said_no(statuses, _sent_credentials(events))


def _nothing_came_back(requests: Sequence[str], statuses: Sequence[int], trunk: str) -> Finding | None:
    if not requests:
        return Finding(
            "No SIP message passed between the PBX and the realm",
            (),
            f"check that the number dialled fits the route's pattern, that the route uses the trunk {trunk}, that the "
            "realm's edge is up, and that a firewall lets UDP through",
        )
    if "INVITE" not in requests:
        return Finding(
            "No INVITE passed between the PBX and the realm",
            (f"seen: {', '.join(sorted(set(requests)))}",),
            f"check that the route uses the trunk {trunk}, and that the number dialled fits its pattern",
        )
    if not statuses:
        return Finding(
            "The PBX's INVITEs reached no answer: the realm is silent",
            (f"{requests.count('INVITE')} INVITE, no reply",),
            "check the firewall towards the realm, and the realm's address and port (SRV)",
        )
    return None


def _the_realm_said_no(statuses: Sequence[int], with_credentials: bool) -> Finding | None:
    final = [status for status in statuses if status >= 300 and status not in (401, 407)]
    challenged_again = not final and statuses.count(407) > 1 and statuses[-1] == 407
    if 407 in statuses and with_credentials and (403 in final or challenged_again):
        last = 407 if challenged_again else 403
        return Finding(
            f"The realm challenged (407) and then refused the credentials ({last}): wrong user name or password, "
            "or a caller id that is not a number of the account",
            (f"INVITE 407 ACK INVITE {last}",),
            "run 20_sip_credentials and 30_pbx, which compare both sides; then check the From number",
        )
    if 407 in statuses and not with_credentials:
        return Finding(
            "The realm challenged (407) and the PBX sent no credentials",
            ("INVITE 407, no second INVITE",),
            "give the trunk outbound authentication (run 30_pbx)",
        )
    if final:
        return Finding(
            f"The last answer on the trunk was {final[-1]}",
            tuple(str(status) for status in statuses),
            "look at the ladder in the record",
        )
    return None


def _sent_credentials(events: Sequence[SipEvent]) -> bool:
    return any(re.search(r"^Proxy-Authorization:", event.text, re.M | re.I) for event in events)
