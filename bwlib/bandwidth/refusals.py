"""Which error an answer is, and what to do about it: one table of Bandwidth's codes, one function.

Source: dev.bandwidth.com error code pages for the account API and the Voice API's error objects (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bwlib.bandwidth.wire import ApiError, mask_secrets
from bwlib.errors import BandwidthError, NotAuthenticated, NotEntitled, Refused, Unavailable

_ASK_FOR_SIP = (
    "Ask your Bandwidth account manager or support to enable SIP Credentials (Registrar) on this account; "
    "a role or a list that works does not prove that it is enabled."
)

# The account lacks the feature, whatever HTTP status carries the code.
NOT_ENTITLED: Mapping[str, str] = {
    "33004": _ASK_FOR_SIP,
    "23013": _ASK_FOR_SIP,
    "12150": "Ask your Bandwidth account manager to enable HTTP Voice (Programmable Voice) on this account.",
}

ADVICE: Mapping[str, str] = {
    "1001": "The credential has no right to this: check its roles and accounts.",
    "1003": "A required element is missing: report it, the client should have sent it.",
    "12107": "Locations still use this application: take it off them first.",
    "12803": "Correct the callback URL.",
    "12812": "Callback user and password need an https:// callback URL.",
    "12976": "Send the callback password together with a changed callback user.",
    "12977": "Send the callback password together with a changed callback user.",
    "12974": "Correct the callback URL.",
    "12666": "Delete the realm's SIP credentials first.",
    "13629": "There is no such application on this account: list the applications.",
    "23014": "Use letters, digits and . _ - ! $ & * + = ~ in the SIP user name.",
    "23019": "The application is not on this account: list the applications and use one of their ids.",
    "23020": "The application id must be a UUID.",
    "23022": "The realm is not ACTIVE yet: wait until it is, then run again.",
    "23025": "There is no such credential on this realm: list the credentials.",
    "23026": "The SIP user name exists on this realm (case is ignored): look at it, then keep or rotate it.",
    "33001": "There is no such realm: list the realms.",
    "33002": "A realm of this name exists: list the realms and use it, or choose another name.",
    "33003": "Choose a shorter realm name (1 to 30 of a-z and 0-9).",
    "33005": "A realm cannot be renamed: create another one.",
    "33006": "This is the account's default realm: make another realm the default first.",
}


def refusal(attempted: str, status: int, errors: Sequence[ApiError], advice_on_401: str) -> BandwidthError:
    """The error for this answer: a status of 400 and above, or errors inside a 2xx."""
    first = errors[0] if errors else ApiError(None, "")
    code = first.code
    said = "; ".join(f"{error.code}: {error.text}" if error.code else error.text for error in errors)
    came_back = mask_secrets(f"HTTP {status}" + (f", {said}" if said else ""))[:600]
    if code is not None and code in NOT_ENTITLED:
        return NotEntitled(attempted, came_back, NOT_ENTITLED[code], status=status, code=code)
    if status == 401 or code == "authentication-error":
        return NotAuthenticated(attempted, came_back, advice_on_401, status=status, code=code)
    if status in (402, 403):
        return NotEntitled(attempted, came_back, _advice_on_403(status, code, advice_on_401), status=status, code=code)
    if status in (408, 425, 429) or status >= 500 or 300 <= status < 400:
        return Unavailable(
            attempted, came_back, _advice_unavailable(status), status=status, code=code, may_have_arrived=status >= 500
        )
    return Refused(attempted, came_back, _advice_refused(status, code), status=status, code=code)


def _advice_on_403(status: int, code: str | None, advice_on_401: str) -> str:
    if status == 402:
        return "The account is out of credit: add some in the Bandwidth App."
    if code is not None and code in ADVICE:
        return ADVICE[code]
    return f"The credential lacks a role, or the account a feature; ask Bandwidth. {advice_on_401}"


def _advice_unavailable(status: int) -> str:
    if status == 429:
        return "Too many requests: wait a minute, then run again."
    if 300 <= status < 400:
        return "A redirect we do not follow, because it would carry the token elsewhere: check the API URL."
    return "Look whether it was carried out, then run again; Bandwidth's status page may say more."


def _advice_refused(status: int, code: str | None) -> str:
    if code is not None and code in ADVICE:
        return ADVICE[code]
    if status == 404:
        return "It is not there (any more): list what is, and check the account id."
    return "Read what came back and correct the value it names."
