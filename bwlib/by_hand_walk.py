"""What the tab *By hand* of a step's card says: where to click, in which order, and the exact values to type.

Content only: no request, no widget. Labels and order are those of Bandwidth's guide ("PBX Interconnect", read
2026-11-23) and, for the PBX, those of its settings sheet; the pictures are of the sandbox's dashboard, made by
tools/by_hand_pictures.py, whose circles carry the numbers of these clicks. So a click keeps its number whatever the
site's answers are. A secret is named by its reference and never here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from bwlib.models import Application, Extension, OutboundRoute, Realm, Trunk
from bwlib.pbx import asterisk_text
from bwlib.pbx.by_hand import Kept, product, settings_sheet

OnPbx = Literal["trunk", "route", "extension"]


@dataclass(frozen=True)
class Value:
    """A value to type. label: the page's own. secret: its reference (file:..., env:...), and then text is ""."""

    label: str
    text: str = ""
    secret: str = ""


@dataclass(frozen=True)
class Click:
    """One thing to do. picture: the file name of a packaged picture that shows this click and those after it."""

    number: int
    words: str
    values: tuple[Value, ...] = ()
    picture: str = ""


@dataclass(frozen=True)
class ByHand:
    """A step by hand. where: whose pages or files. address: the page to open, "" when it is not known."""

    where: str
    address: str
    clicks: tuple[Click, ...]


_Todo = tuple[str, tuple[Value, ...], str]  # words, values, picture


def _numbered(*things: _Todo) -> tuple[Click, ...]:
    return tuple(Click(number, *thing) for number, thing in enumerate(things, 1))


def _do(words: str, *values: Value, picture: str = "") -> _Todo:
    return words, values, picture


# ---------------------------------------------------------------- Bandwidth's dashboard


def application_by_hand(wanted: Application, *, dashboard: str, callback_password: str = "") -> ByHand:
    """Guide step 1. dashboard: the address of its first page. callback_password: its reference, "" when not known."""
    return _at_dashboard(
        dashboard,
        _do(f"Sign in{_who(dashboard)}."),
        _do('Open the tab "Applications".', picture="applications.png"),
        _do('Press "Create New", in the panel on the left.'),
        _do(
            "Give the application its name. It is found by it later, so capitals and spaces count.",
            Value("Application name", wanted.name),
            picture="application_form.png",
        ),
        _do('As its type choose "Voice". It cannot be changed once the application is saved.'),
        _do(
            "Say where a call's first event goes, and choose POST beside it. With GET the application gets no body.",
            Value("Call initiated callback URL", wanted.call_initiated_url),
            Value("Call initiated method", wanted.call_initiated_method),
        ),
        _do(
            "Say where the end of a call is told, with POST too."
            if wanted.call_status_url
            else "Leave the URL empty: this site does not ask to be told of a call's end.",
            Value("Call status callback URL", wanted.call_status_url or ""),
            Value("Call status method", wanted.call_status_method),
        ),
        _do(
            "Type what Bandwidth shows your server when that asks who is calling (401)."
            if wanted.callback_user
            else "Leave both empty: this site's callback URL asks for no password.",
            *_callback_login(wanted, callback_password),
        ),
        _do('Press "Save changes". Neither a location nor a number needs to be assigned to the application.'),
    )


def _callback_login(wanted: Application, reference: str) -> tuple[Value, ...]:
    user = Value("Callback user ID", wanted.callback_user or "")
    if not wanted.callback_user:
        return user, Value("Callback password")
    if not reference:
        return (user, Value("Callback password", "(kept where the site file says)"))
    return user, Value("Callback password", secret=reference)


def realm_by_hand(name: str, description: str, *, dashboard: str) -> ByHand:
    """Guide step 2, first half."""
    return _at_dashboard(
        dashboard,
        _do(
            f"Sign in{_who(dashboard)}, if you are not. Open the menu under your name, at the top right.",
            picture="name_menu.png",
        ),
        _do('In it, choose "Account".'),
        _do(
            'Open the tab "SIP Credentials". Is there none? Then SIP credentials are not activated for this account: '
            + _activate(dashboard),
            picture="account.png",
        ),
        _do('In the section "Manage Realms", press "Add".', picture="manage_realms.png"),
        _do(
            "Give the realm its name: lower-case letters and digits. Bandwidth lengthens it afterwards.",
            Value("Name", name),
            picture="realm_form.png",
        ),
        _do(
            "Describe it for people. Do not make it the default realm: others of the account may count on theirs.",
            Value("Description", description),
        ),
        _do('Press "Add".'),
        _do(
            "Wait until its status is ACTIVE (reload the page; seconds, seldom minutes). The long name that it has now "
            "is its full name: the PBX needs that one.",
            picture="realm_active.png",
        ),
    )


def sip_credential_by_hand(
    username: str, password: str, realm: Realm | None, application: Application | None, *, dashboard: str
) -> ByHand:
    """Guide step 2, second half. password: its reference. realm, application None: not there yet, so not named."""
    return _at_dashboard(
        dashboard,
        _do(
            f"Sign in{_who(dashboard)}, if you are not. Menu under your name, at the top right: choose "
            '"Account", then open the tab "SIP Credentials".'
        ),
        _do(
            'In the section "SIP Credentials", press "Add". It is a section of the page, below "Manage Realms".',
            picture="sip_credentials.png",
        ),
        _do(
            "Type the user name with these very capitals: the password's hash is made over it.",
            Value("User name", username),
            picture="credential_form.png",
        ),
        _do(
            "Type the password. Bandwidth keeps only hashes of it and shows it to nobody again.",
            Value("Password", secret=password),
        ),
        _do('Under "Realm", choose the full name of yours.', Value("Realm", realm.fqdn))
        if realm
        else _do(
            'Under "Realm", choose the one that you have added: its full name begins with the name that you gave it.'
        ),
        _do(
            'Under "Application", choose yours. '
            "Without one, calls go to the telephone network and never to your application.",
            *([Value("Application", application.name)] if application else []),
        ),
        _do('Press "Add SIP Credentials".'),
        _do(
            "Read the list: the credential stands there with its realm and its application.",
            picture="credential_listed.png",
        ),
    )


def _at_dashboard(dashboard: str, *things: _Todo) -> ByHand:
    where = (
        "Bandwidth Dashboard. The pictures are of the sandbox's: yours has the same names for what is used here, but "
        "looks different and shows more; leave what is not named here as it is"
        if _is_live(dashboard)
        else "The sandbox's dashboard, which stands in for dashboard.bandwidth.com"
    )
    return ByHand(where, dashboard, _numbered(*things))


def _who(dashboard: str) -> str:
    if _is_live(dashboard):
        return " with your own account"
    return " (bw-runbook sandbox status says as whom, and which file of yours holds the password)"


def _activate(dashboard: str) -> str:
    if _is_live(dashboard):
        return "ask your Bandwidth contact to do that."
    return 'turn the sandbox\'s switch sip_entitled on again, under "Switches and faults".'


def _is_live(dashboard: str) -> bool:
    host = urlsplit(dashboard).hostname or ""
    return not (host.startswith("127.") or host in ("localhost", "::1"))


# ---------------------------------------------------------------- the PBX

_UNKNOWN = Kept()
_CORE_RELOAD = 'On Asterisk\'s command line: "core reload".'


def pbx_by_hand(
    kind: OnPbx,
    trunk: Trunk,
    route: OutboundRoute,
    extension: Extension,
    *,
    pbx: str = "any",
    kept: Kept = _UNKNOWN,
    place: str = "",
    reload: str = _CORE_RELOAD,
) -> ByHand:
    """Guide step 3 in a PBX's own words, from its settings sheet.

    kept: the references of the two secrets. place: the address of its pages, or the folder of its files. reload: how an
    Asterisk takes up its files, as a sentence.
    Raises: SettingsError as `settings_sheet` does.
    """
    row, sheet = product(pbx), settings_sheet(pbx, trunk, route, extension, kept)
    is_page = urlsplit(place).scheme in ("http", "https")
    where = f"{row.label}{f', files in {place}' if place and not is_page else ''}. {_in_words(row.rests_on)}"
    if pbx == "asterisk":
        things = _asterisk_files(kind, trunk, route, extension, kept, reload)
    else:
        by_table = row.authenticates and "----8<----" not in sheet
        pages = _pages(kind, sheet, trunk, _SAVE.get(pbx, _SAVE["any"])) if by_table else []
        things = pages or [_whole(sheet)]
    return ByHand(where, place if is_page else "", _numbered(*things))


def _in_words(rests_on: str) -> str:
    """How sure the lines are, without the sheet's marks."""
    marks = {"[ran]": "Seen working:", "[doc]": "Read in public documents:", "[mem]": "Not checked by anybody:"}
    for mark, words in marks.items():
        rests_on = rests_on.replace(mark, words)
    return rests_on


def _whole(sheet: str) -> _Todo:
    words = (
        "Do what the settings sheet says: this PBX takes lines in files, or has no trunk that does as the guide asks."
    )
    return _do(words, Value("Settings sheet", sheet))


_SAVE = {"any": "Save it, and have the PBX take it up.", "freepbx": "Press Submit, then the red Apply Config on top."}
_SECTIONS: dict[OnPbx, tuple[str, ...]] = {
    "trunk": ("Trunk",),
    "route": ("Outbound Route", "Outbound route"),
    "extension": ("Extension", "Inbound Route"),
}
_MARK = re.compile(r"\s+\[(?:ran|doc|mem)\]$")


def _pages(kind: OnPbx, sheet: str, trunk: Trunk, save: str) -> list[_Todo]:
    """The sheet's tables for this kind as things to do: first where to go, then one for each part of the page."""
    things: list[_Todo] = []
    for heading, rows, prose in _tables(sheet):
        title, _, path = _MARK.sub("", heading).partition(": ")
        if title not in _SECTIONS[kind]:
            continue
        things.append(_do(f"Open {path}." if path else f"Open the page where your PBX keeps its {title.lower()}s."))
        for group, pairs in groupby(rows, key=lambda row: row[0].rpartition(" > ")[0]):
            things.append(_part_of_page(group, [(label.rpartition(" > ")[2], text) for label, text in pairs]))
        things.append(_do(" ".join([save, *prose])))
    if kind == "trunk" and trunk.inbound_extension and "\nInbound Route" in sheet:
        words = (
            f"The way in, for Bandwidth's calls to {trunk.inbound_extension}, comes with the extension. Until then "
            "the check says that inbound_extension is not set."
        )
        things.append(_do(words))
    return things


_Table = tuple[str, list[tuple[str, str]], list[str]]


def _tables(sheet: str) -> list[_Table]:
    """Each section of a sheet: its heading, its rows of label and value, and the lines of prose below them."""
    lines = sheet.splitlines()
    heads = [
        number for number, line in enumerate(lines) if line and lines[number + 1 : number + 2] == ["-" * len(line)]
    ]
    found: list[_Table] = []
    for number, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        parts = [line.partition("  ") for line in lines[number + 2 : end]]
        rows = [(label, _MARK.sub("", text.strip())) for label, gap, text in parts if gap]
        found.append((lines[number], rows, [label for label, gap, _ in parts if label and not gap]))
    return found


def _part_of_page(group: str, rows: list[tuple[str, str]]) -> _Todo:
    values: list[Value] = []
    notes: list[str] = []
    for label, text in rows:
        for value, note in _read(label, text):
            values.append(value)
            notes += [f"{value.label}: {note}."] if note else []
    words = f"Fill in {group}." if group else "Fill in these fields."
    return _do(" ".join([words, *notes]), *values)


def _read(label: str, text: str) -> list[tuple[Value, str]]:
    """A row's value apart from what the sheet says about it. A secret becomes its reference."""
    kept = re.fullmatch(r"\(.*, kept (?:in (\S+)|where the site file says)\)", text)
    pattern = re.fullmatch(r"prepend (.*), match pattern (.*)", text)
    empty = re.fullmatch(r"leave empty(?:: (.*)| \((.*)\))?", text)
    about = re.fullmatch(r"(.+?)(?: \((?!empty\))([^()]+)\)|(?:, (in this order.*)))", text)
    if kept:
        return [(Value(label, secret=kept[1]) if kept[1] else Value(label, text), "")]
    if pattern:
        prepend = "" if pattern[1] == "(empty)" else pattern[1]
        return [(Value(f"{label}, prepend", prepend), ""), (Value(f"{label}, match pattern", pattern[2]), "")]
    if empty:
        return [(Value(label), empty[1] or empty[2] or "")]
    return [(Value(label, about[1]), about[2] or about[3])] if about else [(Value(label, text), "")]


def _asterisk_files(
    kind: OnPbx, trunk: Trunk, route: OutboundRoute, extension: Extension, kept: Kept, reload: str
) -> list[_Todo]:
    """Lines for pjsip.conf and extensions.conf, their passwords left out; each thing's own lines."""
    hidden, load = SecretStr("x"), _do(reload)
    if kind == "route":
        return [
            _do("Add these lines to extensions.conf.", Value("extensions.conf", asterisk_text.route_dialplan(route))),
            load,
        ]
    if kind == "extension":
        lines = asterisk_text.extension_pjsip(replace(extension, secret=hidden))
        return [_pjsip(lines), _password(f"{extension.number}-auth", kept.extension_secret), load]
    inbound = {trunk.name: trunk.inbound_extension} if trunk.inbound_extension else {}
    dialplan = f"{asterisk_text.HEAD_DIALPLAN}\n{asterisk_text.inbound_dialplan(inbound)}"
    lines = asterisk_text.trunk_pjsip(replace(trunk, password=hidden))
    return [
        _pjsip(lines),
        _password(f"{trunk.name}-auth", kept.sip_password),
        _do(
            "Add these lines to extensions.conf: how a call ends, and the way in to this extension and nothing else.",
            Value("extensions.conf", dialplan),
        ),
        load,
    ]


def _pjsip(lines: str) -> _Todo:
    words = "Add these lines to pjsip.conf. No section of type registration is among them: the trunk does not register."
    return _do(words, Value("pjsip.conf", asterisk_text.mask_secrets(lines)))


def _password(section: str, reference: str) -> _Todo:
    words = f"In [{section}], put the password in place of (not shown). A semicolon in it is written \\; there."
    value = Value("password", secret=reference) if reference else Value("password", "(kept where the site file says)")
    return _do(words, value)
