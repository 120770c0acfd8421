"""The cards: HTML for the eye, and a text twin that loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import SecretStr

from bwlib.models import Difference, Outcome, SipCredential, Webhook
from bwlib.widgets import show

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
    assert all(status in bundle["text/plain"] for status, bundle in zip(show._SIGNS, shown, strict=True))


def test_the_banner_says_sandbox_or_live_and_what_that_means(shown: list[dict[str, str]]) -> None:
    for target, mode in (("sandbox", "apply"), ("live", "plan"), ("live", "apply")):
        show.show_banner(target, "1", "s", mode, "r")
    texts = [bundle["text/plain"] for bundle in shown]
    assert "SANDBOX" in texts[0]
    assert "nothing leaves this machine" in texts[0]
    assert "LIVE ACCOUNT · plans only" in texts[1]
    assert "LIVE ACCOUNT · writes to a real Bandwidth account" in texts[2]


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


def test_a_player_has_its_name_beside_it(shown: list[Any]) -> None:
    wav = b"RIFF...WAVE"
    show.show_audio("what the <phone> heard", wav)
    assert shown[0]["text/plain"] == "what the <phone> heard"
    assert "&lt;phone&gt;" in shown[0]["text/html"]
    assert shown[1].data == wav


def test_progress_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_progress("realm is CREATE_PENDING")
    assert capsys.readouterr().out == "realm is CREATE_PENDING\n"
