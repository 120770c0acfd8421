"""What each card asks and offers: the fields with the guide's own labels, the buttons with a word on each. Data only.

Labels are those of the guide and of FreePBX's forms, which it takes as its example
("PBX Interconnect"; FreePBX 17, Trunks, Outbound Routes and Extensions; read 2026-11-23).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bwlib.widgets.step_card import Entry

Verb = Literal["plan", "apply", "verify", "undo"]

# The word on a button -> what it does.
VERBS: dict[str, Verb] = {
    "Plan": "plan",
    "Apply": "apply",
    "Verify": "verify",
    "Undo": "undo",
    "Check what I did": "verify",
    "Place the call": "apply",
    "Take the picture": "apply",
    "Seal the record": "apply",
    "Undo all of it": "apply",
    "Write the files": "apply",
    "Save": "apply",
    "Draw it again": "verify",
    "Look again": "verify",
}
TIPS = {
    "Plan": "Look, and list what would change. Sends nothing that writes",
    "Apply": "Save these answers, look, write what differs, read it back",
    "Verify": "Read it back now and compare it field by field. Writes nothing",
    "Undo": "Take back what this site's records say we made or changed here, if it is still the same",
    "Check what I did": "Read back what is there, whoever made it, and compare it field by field. Writes nothing",
    "Place the call": "One real call; on a live account it may be billed",
    "Take the picture": "Open the page in a browser of its own and take its picture",
    "Seal the record": "Write the report, sign the record and close it",
    "Undo all of it": "Remove, newest first, what this site's records say we created",
    "Save": "Check these answers and write them into the site file",
    "Draw it again": "Read the site's records again",
    "Look again": "Look at Bandwidth, the PBX and the way between them; on the sandbox also by test calls",
    "Write the files": "Write site.toml and sites.csv for other sites into the folder export",
}
_STEP = ("Plan", "Apply", "Verify", "Undo")
_CHECK = ("Verify",)


@dataclass(frozen=True)
class Asked:
    """One card. by_hand: it has a tab for those who do the step on the page of dashboard or PBX.

    road: the only one that it is for; "" for both.
    """

    title: str
    buttons: tuple[str, ...] = _STEP
    entries: tuple[Entry, ...] = ()
    by_hand: bool = False
    road: str = ""


CARDS: dict[str, Asked] = {
    "application": Asked(
        "Voice application",
        entries=(
            Entry("application.name", "Application name", "What the dashboard lists it by; up to 100 characters"),
            Entry(
                "application.callback_url",
                "Callback URL (POST)",
                "Where Bandwidth sends each call's events; http:// or https://. Empty on the sandbox: this project's "
                "readback, a small application that answers and remembers",
            ),
        ),
        by_hand=True,
    ),
    "callback": Asked("Callback URL answers", _CHECK),
    "realm": Asked(
        "Realm",
        entries=(
            Entry("realm.name", "Realm name", "Lower-case letters and digits, at most 30; Bandwidth lengthens it"),
            Entry("realm.description", "Description", "For people; at most 255 characters"),
            Entry("realm.wait_s", "Wait at most (s)", "Seconds to wait until it is ACTIVE; at most 600"),
        ),
        by_hand=True,
        road="realm",
    ),
    "sip_credential": Asked(
        "SIP credential",
        entries=(
            Entry("sip_credential.username", "User name", "What the PBX sends in its digest; at most 32 characters"),
            Entry(
                "sip_credential.rotate",
                "Replace a password that differs",
                "Only when nobody else uses this credential: a password that was replaced cannot be restored",
            ),
        ),
        by_hand=True,
        road="realm",
    ),
    "inbound_sip_uri": Asked(
        "Inbound SIP URI",
        entries=(
            Entry(
                "sip_uri.rotate",
                "Make a new password",
                "Disables the URI and enables it anew, when nobody has kept its password",
            ),
        ),
        road="sip-uri",
    ),
    "dns": Asked("DNS", _CHECK),
    "trunk": Asked(
        "Trunk",
        entries=(Entry("pbx.trunk", "Trunk Name", "Letters, digits, _ and -, at most 32"),),
        by_hand=True,
    ),
    "route": Asked(
        "Outbound route",
        entries=(Entry("pbx.route", "Route Name", "Letters, digits, _ and -, at most 32"),),
        by_hand=True,
    ),
    "extension": Asked(
        "Extension",
        entries=(Entry("pbx.extension", "User Extension", "2 to 10 digits; the phone registers with it"),),
        by_hand=True,
    ),
    "no_registration": Asked("No registration at the realm", _CHECK),
    "check_pbx": Asked("What is on the PBX", ("Check what I did",)),
    "ready": Asked("Everything a call needs is in place", _CHECK),
    "call_from_extension": Asked(
        "Call from the extension to the application",
        ("Plan", "Place the call"),
        entries=(
            Entry("test.dial", "Number to dial", "In E.164, such as +19195550199"),
            Entry("test.digit", "Digit to press", "One of 0 to 9, * and #; it must come back in a webhook"),
            Entry("test.answer_timeout_s", "Ring at most (s)", "Seconds until an answer; at most 120"),
        ),
    ),
    "call_to_extension": Asked(
        "Programmatic call to the extension",
        ("Plan", "Place the call"),
        entries=(Entry("test.digit", "Digit to press", "One of 0 to 9, * and #; it must come back in a webhook"),),
    ),
    "diagnose": Asked("What keeps calls from working", ("Look again",)),
    "capture": Asked("Pictures of the pages", ("Take the picture",)),
    "seal": Asked("The record", ("Seal the record",)),
    "undo": Asked("Undo", ("Plan", "Undo all of it")),
    "overview": Asked("How the parts are connected", ("Draw it again",)),
    "export": Asked("The same for other sites", ("Write the files",)),
    "answers": Asked(
        "This site's answers",
        ("Save",),
        entries=(
            Entry(
                "walk",
                "When a cell is run",
                "Whoever wants to see each step, or to do it by hand, lets the cells wait; Run All needs the first of "
                "the two",
                (("it does its step (on a live account it plans)", "run"), ("it waits for my click", "click")),
            ),
            Entry(
                "road",
                "The way to Bandwidth",
                "The guide's way is a realm and a SIP credential",
                (("realm and SIP credential", "realm"), ("the application's own SIP URI", "sip-uri")),
            ),
            Entry("bandwidth.number", "The site's number", "In E.164; the caller id. Empty on the sandbox: its own"),
            Entry("test.dial", "Number to dial", "What the phone dials in the test call; in E.164"),
        ),
    ),
}
