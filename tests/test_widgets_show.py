"""The cards: HTML for the eye, and a text twin that loses nothing."""

from __future__ import annotations

import base64
import io
import re
import wave
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from bwlib.doctor import Check
from bwlib.models import Difference, Outcome, SipCredential, Webhook
from bwlib.widgets import card, show

HOSTILE = "<script>alert('x')</script>\"&amp;<img src=x onerror=y>"


class Reader(HTMLParser):
    """The words of a document and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: set[str] = set()
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.words += [part.strip() for part in data.split(" · ") if part.strip()]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.add(tag)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was displayed: MIME bundles."""
    bundles: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.get_ipython", lambda: "a kernel")
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw=False: bundles.append(bundle))
    return bundles


def hook(**body: object) -> Webhook:
    at = datetime(2026, 11, 23, 5, 6, 7, 891234, tzinfo=UTC)
    return Webhook(1, at, "initiate", "c-1", "/initiate", body, 200, "<Response/>", True)


def outcome(text: str = "plain") -> Outcome[dict[str, str]]:
    rows = (Difference("url " + text, "found " + text, "wanted " + text),)
    return Outcome("updated", "Title " + text, {"name": "name " + text, "empty": ""}, rows, "note " + text)


def show_all(text: str) -> None:
    show.show_banner("live", "9900000", text, "apply", "record " + text)
    show.show_outcome(outcome(text), "passed", 1.25)
    show.show_text("title " + text, ["line " + text, "other"])
    show.show_webhooks([hook(**{"from": text, "to": "+19195550100", "cause": "hangup"})])


def test_the_text_twin_holds_every_word_of_the_html(shown: list[dict[str, str]]) -> None:
    show_all("plain")
    for bundle in shown:
        text = bundle["text/plain"]
        missing = [word for word in Reader(bundle["text/html"]).words if word not in text]
        assert [word for word in missing if word not in ("field", "value", "answered")] == []


@pytest.mark.parametrize("hostile", [HOSTILE, "</td></table>", "a\x1b[31mred", "line\nbreak"])
def test_hostile_names_stay_text_in_html(shown: list[dict[str, str]], hostile: str) -> None:
    show_all(hostile)
    assert len(shown) == 4
    for bundle in shown:
        read = Reader(bundle["text/html"])
        assert not read.elements & {"script", "img"}
        assert hostile.split("\n")[0].split("\x1b")[0] in "".join(read.words) or hostile in bundle["text/html"]


def test_a_hostile_name_cannot_forge_a_line_or_colour_in_the_text_twin(shown: list[dict[str, str]]) -> None:
    show.show_outcome(Outcome("created", "Realm", {"fqdn": "x\n✔ Trunk: created\x1b[2J"}), "failed", 0.1)
    text = shown[0]["text/plain"]
    assert not any(line.startswith("✔") for line in text.splitlines())
    assert "\x1b" not in text
    assert "\\n✔ Trunk" in text


def test_a_ladder_keeps_its_lines(shown: list[dict[str, str]]) -> None:
    show.show_ladder("<svg/>", "one\ntwo")
    assert shown[0]["text/plain"] == "one\ntwo"
    assert "<svg/>" in shown[0]["text/html"]


def test_outside_a_notebook_the_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_text("Title", ["a line"])
    assert capsys.readouterr().out == "Title\n  a line\n"


def test_every_status_has_a_sign_and_a_word_besides_its_colour(shown: list[dict[str, str]]) -> None:
    for status in ("passed", "pending", "failed", "skipped"):
        show.show_outcome(Outcome("planned", "Realm", None), status, 0.0)
    signs = [bundle["text/plain"][0] for bundle in shown]
    assert len(set(signs)) == 4
    assert all(status in bundle["text/plain"] for status, bundle in zip(card.STATUS, shown, strict=True))


def test_the_banner_says_sandbox_or_live_and_what_that_means(shown: list[dict[str, str]]) -> None:
    for target, mode in (("sandbox", "apply"), ("live", "plan"), ("live", "apply")):
        show.show_banner(target, "1", "s", mode, "r")
    texts = [bundle["text/plain"] for bundle in shown]
    assert "SANDBOX" in texts[0]
    assert "nothing leaves this machine" in texts[0]
    assert "LIVE ACCOUNT · plans only" in texts[1]
    assert "LIVE ACCOUNT · writes to a real Bandwidth account" in texts[2]


def test_only_an_address_of_our_own_becomes_a_link_and_opens_in_a_tab_of_its_own(shown: list[dict[str, str]]) -> None:
    ours, theirs = 'https://127.0.0.1/"dashboard', "https://elsewhere.example.net"
    show.show_facts("What you have", {"dashboard": ours, "callback": theirs}, links=["dashboard"])
    html = shown[0]["text/html"]
    assert re.findall("<a [^>]*>", html) == [
        '<a href="https://127.0.0.1/&quot;dashboard" target="_blank" rel="noopener">'
    ]
    assert ours in shown[0]["text/plain"]
    assert theirs in html


def test_no_secret_is_among_an_objects_facts() -> None:
    credential = SipCredential("7", "pbx", "1", "a.test", "app", SecretStr("0" * 32), SecretStr("1" * 32))
    facts = show.object_facts(credential)
    assert facts == {"id": "7", "username": "pbx", "realm_id": "1", "realm_fqdn": "a.test", "application_id": "app"}


def test_false_and_zero_are_facts_and_nothing_is_none() -> None:
    assert show.object_facts({"default": False, "count": 0, "url": None, "ips": ()}) == {
        "default": "False",
        "count": "0",
    }
    assert show.object_facts(None) == {}


def a_second_of_silence() -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(16_000))
    return stream.getvalue()


def test_a_player_has_its_name_and_length_beside_it(shown: list[dict[str, str]]) -> None:
    show.show_audio("what the <phone> heard", a_second_of_silence())
    assert shown[0]["text/plain"].startswith("what the <phone> heard (1.0 s)")
    html = shown[0]["text/html"]
    assert 'aria-label="what the &lt;phone&gt; heard (1.0 s)"' in html
    assert base64.b64encode(a_second_of_silence()).decode() in html


def test_a_picture_has_words_beside_it_and_says_where_it_is(shown: list[dict[str, str]]) -> None:
    image = b"\x89PNG\r\n\x1a\n"
    show.show_picture("Realm <a.test>", "passed", "", ["a.test", "ACTIVE"], image, "screenshots/20_realm.png")
    show.show_picture("Realm", "skipped", "no <browser>", (), b"", "")
    picture, none = shown
    assert picture["text/plain"] == (
        "✔ Realm <a.test>: passed\n  page held: a.test, ACTIVE\n  in the record: screenshots/20_realm.png"
    )
    assert 'alt="Picture: Realm &lt;a.test&gt;"' in picture["text/html"]
    assert f"data:image/png;base64,{base64.b64encode(image).decode()}" in picture["text/html"]
    assert none["text/plain"] == "– Realm: skipped\n  no <browser>"
    assert "img" not in Reader(none["text/html"]).elements
    assert 'data-status="skipped"' in none["text/html"]


def test_progress_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_progress("realm is CREATE_PENDING")
    assert capsys.readouterr().out == "realm is CREATE_PENDING\n"


def test_progress_in_a_notebook_is_one_place_that_keeps_every_line_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(execution_count=7)
    bundles: list[tuple[str, bool, dict[str, str]]] = []

    def display(bundle: dict[str, str], raw: bool = False, display_id: str = "", update: bool = False) -> None:
        bundles.append((display_id, update, bundle))

    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", display)
    show.show_progress("first")
    show.show_progress("second")
    show.show_outcome(Outcome("created", "Realm", None), "passed", 0.1)
    shell.execution_count = 8
    show.show_progress("third")
    ids = [display_id for display_id, _, _ in bundles]
    assert ids[0] == ids[1] == ids[2] != ids[4]
    assert [update for _, update, _ in bundles] == [False, True, True, False, False]
    assert bundles[2][2]["text/plain"] == "… first\n… second"
    assert bundles[4][2]["text/plain"] == "… third"


def test_a_sheet_keeps_its_columns(shown: list[dict[str, str]]) -> None:
    show.show_sheet("Settings", "name    <a>\n  port  5060")
    assert shown[0]["text/plain"] == "Settings\n  name    <a>\n    port  5060"
    assert "<pre" in shown[0]["text/html"]
    assert "name    &lt;a&gt;\n  port  5060</pre>" in shown[0]["text/html"]


def test_a_missing_program_is_named_with_the_line_that_mends_it(shown: list[dict[str, str]]) -> None:
    show.show_checks("This machine", [Check("Python", "ok", "3.11"), Check("browser", "missing", "none", "get one")])
    assert "✘ missing  browser: none Do next: get one" in shown[0]["text/plain"]
    assert "none Do next: get one" in "".join(Reader(shown[0]["text/html"]).words)


def test_lines_are_a_list_that_shows_as_a_card() -> None:
    lines = show.Lines("Site file", ["wrote <x>"])
    assert lines == ["wrote <x>"]
    assert lines._repr_mimebundle_()["text/plain"] == "Site file\n  wrote <x>"
    assert "wrote &lt;x&gt;" in lines._repr_mimebundle_()["text/html"]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_white_on_every_chip_has_the_contrast_that_wcag_asks_for() -> None:
    colours = [colour for _, colour in card.STATUS.values()] + [card.BLUE, card.RED]
    assert min(1.05 / (luminance(colour) + 0.05) for colour in colours) >= 4.5


def test_what_is_live_is_one_output_that_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bundles: list[tuple[str, bool, str]] = []

    def display(bundle: dict[str, str], raw: bool = False, display_id: str = "", update: bool = False) -> None:
        bundles.append((display_id, update, bundle["text/plain"]))

    monkeypatch.setattr("IPython.get_ipython", lambda: "a kernel")
    monkeypatch.setattr("IPython.display.display", display)
    live, other = show.Live(), show.Live()
    live.update("<b>1</b>", "one")
    other.update("<b>o</b>", "other")
    live.update("<b>2</b>", "two")
    live.end("<b>3</b>", "three")
    ids = [display_id for display_id, _, _ in bundles]
    assert ids[0] == ids[2] == ids[3] != ids[1]
    assert [(update, text) for _, update, text in bundles] == [
        (False, "one"), (False, "other"), (True, "two"), (True, "three"),
    ]  # fmt: skip


def test_outside_a_notebook_only_the_end_of_what_is_live_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    live = show.Live()
    live.update("<b>1</b>", "one")
    live.end("<b>2</b>", "two")
    assert capsys.readouterr().out == "two\n"
