"""The traps of FreePBX, each looked for by name: settings that look right and make calls fail. Reads only.

Each was seen on a FreePBX 17.0.28 or read in its source. A finding says the cause, the evidence on this PBX, and the
fix in the GUI's own words.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from bwlib.models import Extension, Finding, OutboundRoute, Trunk
from bwlib.pbx.freepbx_driver import Driver
from bwlib.pbx.freepbx_fields import INBOUND_CONTEXT, LEADS_OUT, VIDEO_CODECS, Fields, patterns_of
from bwlib.pbx.freepbx_forms import PageFacts


@dataclass(frozen=True)
class Seen:
    """What FreePBX shows of a site: every trunk of its name with its page, the phone's page, and what is around."""

    trunks: tuple[tuple[Fields, Fields], ...]  # (row, page)
    extension: Fields
    routes: tuple[Fields, ...]  # pages, in the order in which FreePBX tries them
    dids: tuple[Fields, ...]
    sip_settings: Fields
    facts: PageFacts


def findings(driver: Driver, trunk: Trunk, route: OutboundRoute, extension: Extension) -> list[Finding]:
    """Every trap that this site is in, the ones that stop calls first. To be used while the driver is entered."""
    return findings_in(look(driver, trunk, extension), trunk, route)


def look(driver: Driver, trunk: Trunk, extension: Extension) -> Seen:
    """Read what the traps need."""
    trunks = [row for row in driver.rows("trunk") if row["name"] == trunk.name]
    phones = [row for row in driver.rows("extension") if row["name"] == extension.number]
    return Seen(
        tuple((row, driver.fields("trunk", row["key"])) for row in trunks),
        driver.fields("extension", extension.number) if phones else {},
        tuple(driver.fields("route", row["key"]) for row in driver.rows("route")),
        tuple(driver.rows("did")),
        driver.sip_settings(),
        driver.facts(),
    )


def findings_in(seen: Seen, trunk: Trunk, route: OutboundRoute) -> list[Finding]:
    """The traps that are in what was seen. Pure."""
    found: list[Finding | None] = [_duplicate(seen, trunk), _reload_due(seen), _external_address(seen)]
    for _, page in seen.trunks:
        found += [check(page) for check in _ON_THE_TRUNK]
    found += [_outbound_cid(seen), _route_before(seen, route), _leads_out(seen, trunk), _anonymous(seen)]
    return [finding for finding in found if finding is not None]


# ------------------------------------------------------------------ around the trunk


def _duplicate(seen: Seen, trunk: Trunk) -> Finding | None:
    if len(seen.trunks) < 2:
        return None
    return Finding(
        f"There are {len(seen.trunks)} trunks named {trunk.name}, and one of them silently wins",
        tuple(f"trunk id {row['key']} leads to {page.get('sip_server', '')}" for row, page in seen.trunks),
        "Connectivity > Trunks: delete all but one, then Apply Config",
    )


def _reload_due(seen: Seen) -> Finding | None:
    if not seen.facts.reload_due:
        return None
    return Finding(
        "A change waits for Apply Config: what the pages show is not what Asterisk does",
        ("the GUI asks for Apply Config",),
        "press Apply Config, the red button on top of every page",
        "reload-pending",
    )


def _external_address(seen: Seen) -> Finding | None:
    """Without internet FreePBX stores a sentence in place of its address, and it goes out as c=IN IP4 (null)."""
    address = seen.sip_settings.get("externip", "")
    if not address or _is_address(address) or " " not in address:
        return None
    return Finding(
        "The External Address is a sentence, so calls go out with c=IN IP4 (null) and nothing is heard",
        (f"External Address: {address[:80]}",),
        "Settings > Asterisk SIP Settings > General: type the public address there (or empty it), Submit, Apply "
        "Config, restart Asterisk",
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _outbound_cid(seen: Seen) -> Finding | None:
    own = seen.extension.get("outboundcid", "")
    forced = any(page.get("keepcid") == "all" for _, page in seen.trunks)
    if not own or forced:
        return None
    return Finding(
        "The extension's Outbound CID beats the trunk's Outbound CallerID: Bandwidth may refuse the From number",
        (f"Extension {seen.extension.get('extension', '')}, Outbound CID: {own}",),
        "Connectivity > Extensions > the extension: empty Outbound CID, Submit, Apply Config",
    )


def _route_before(seen: Seen, route: OutboundRoute) -> Finding | None:
    """FreePBX tries the routes in their order, and the first whose pattern matches takes the call."""
    before: list[str] = []
    for page in seen.routes:
        if page.get("routename") == route.name:
            break
        if any(row["pattern_pass"] == route.pattern and not row["match_cid"] for row in patterns_of(page)):
            before.append(page.get("routename", ""))
    else:
        return None
    if not before:
        return None
    return Finding(
        f"Another outbound route takes the calls before {route.name}",
        tuple(f"route {name} has the pattern {route.pattern} too, and stands before it" for name in before),
        "Connectivity > Outbound Routes: drag this site's route above it, Apply Config",
    )


def _leads_out(seen: Seen, trunk: Trunk) -> Finding | None:
    out = [row for row in seen.dids if row.get("destination", "").startswith(LEADS_OUT)]
    if not out or not trunk.bandwidth_ips:
        return None
    return Finding(
        "An inbound route leads out of the PBX: a caller who needs no password could dial out at the site's cost",
        tuple(f"inbound route {row['name']} leads to {row['destination']}" for row in out),
        "Connectivity > Inbound Routes: give it another destination, or take it away; Apply Config",
    )


def _anonymous(seen: Seen) -> Finding | None:
    if seen.sip_settings.get("allowanon", "").lower() != "yes":
        return None
    return Finding(
        "Anyone on the internet may call this PBX's inbound routes, not Bandwidth alone",
        ("Allow Anonymous Inbound SIP Calls: Yes",),
        "Settings > Asterisk SIP Settings > General: Allow Anonymous Inbound SIP Calls No, Submit, Apply Config",
    )


# ------------------------------------------------------------------ on the trunk's page


def _registration(page: Fields) -> Finding | None:
    if page.get("registration", "send") == "none":
        return None
    return Finding(
        "Registration is left on: the trunk registers at the realm",
        (f"Registration: {page.get('registration', 'send')}",),
        "the trunk's page > pjsip Settings > General: Registration None, Submit, Apply Config",
        "registration-on",
    )


def _authentication(page: Fields) -> Finding | None:
    if page.get("authentication", "outbound") == "outbound":
        return None
    return Finding(
        "The trunk does not authenticate outbound only: calls are refused (off, inbound), or Bandwidth's are asked for "
        "a password that it cannot give (both)",
        (f"Authentication: {page.get('authentication')}",),
        "the trunk's page > pjsip Settings > General: Authentication Outbound, Submit, Apply Config",
    )


def _port(page: Fields) -> Finding | None:
    port = page.get("sip_server_port", "")
    if not port:
        return None
    cause = (
        "SIP Server Port 5060 switches DNS SRV off, and the realm listens on another port"
        if port == "5060"
        else "A typed SIP Server Port switches DNS SRV off: calls fail when the realm's port changes"
    )
    return Finding(
        cause,
        (f"SIP Server Port: {port}",),
        "the trunk's page > pjsip Settings > General: empty SIP Server Port, Submit, Apply Config",
    )


def _qualify(page: Fields) -> Finding | None:
    seconds = page.get("qualify_frequency", "")
    if seconds in ("", "0"):
        return None
    return Finding(
        "Qualify is on: when the realm does not answer OPTIONS, Asterisk sends no INVITE at all",
        (f"Qualify Frequency: {seconds} s",),
        "the trunk's page > pjsip Settings > Advanced: Qualify Frequency 0, Submit, Apply Config",
    )


def _username(page: Fields) -> Finding | None:
    if "@" not in page.get("username", ""):
        return None
    return Finding(
        "The user name holds an @: FreePBX builds the contact as user@server, which is malformed then",
        (f"Username: {page['username']}",),
        "the trunk's page > pjsip Settings > General: the part before the @ as Username, all of it as Auth username; "
        "Submit, Apply Config",
    )


def _video(page: Fields) -> Finding | None:
    video = [codec for codec in page.get("codec", "").split(",") if codec in VIDEO_CODECS]
    if not video:
        return None
    return Finding(
        "The trunk offers video, which Bandwidth does not carry",
        (f"Codecs: {page['codec']}",),
        f"the trunk's page > pjsip Settings > Codecs: untick {', '.join(video)}, Submit, Apply Config",
    )


def _disabled(page: Fields) -> Finding | None:
    if page.get("disabletrunk") != "on":
        return None
    return Finding(
        "The trunk is switched off",
        ("Disable Trunk: Yes",),
        "the trunk's page > General: Disable Trunk No, Submit, Apply Config",
    )


def _context(page: Fields) -> Finding | None:
    context = page.get("context", "") or INBOUND_CONTEXT
    if context == INBOUND_CONTEXT:
        return None
    return Finding(
        "Calls on the trunk arrive where more than inbound routes can be reached: the PBX may be open to toll fraud",
        (f"Context: {context}",),
        f"the trunk's page > pjsip Settings > General: Context {INBOUND_CONTEXT}, Submit, Apply Config",
    )


_ON_THE_TRUNK: tuple[Callable[[Fields], Finding | None], ...] = (
    _disabled,
    _authentication,
    _registration,
    _port,
    _qualify,
    _username,
    _video,
    _context,
)
