"""The guide's words: every one explained, as a tooltip and in a list that says the same."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bwlib.errors import SettingsError
from bwlib.widgets import glossary

ASKED = (
    "realm", "trunk", "registration", "digest", "DID", "DTMF", "BXML", "SIP credential", "outbound route", "extension",
    "webhook", "E.164", "caller id", "qualify", "SRV", "codec", "INVITE", "SDP", "RTP", "readback",
)  # fmt: skip


class Read(HTMLParser):
    """Elements in order, each with its attributes; and the words between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("term", ASKED)
def test_every_word_of_the_guide_is_explained_in_one_or_two_sentences(term: str) -> None:
    said = glossary.meaning(term)
    assert said.endswith(".")
    assert 1 <= len(re.findall(r"[.!?](?: [A-Z]|$)", said)) <= 2
    assert len(said) < 260


def test_a_tooltip_says_what_the_list_says() -> None:
    ((tag, attributes),) = Read(glossary.explain("trunk", "trunks")).elements
    assert tag == "abbr"
    assert attributes["title"] == glossary.WORDS["trunk"]
    assert attributes["tabindex"] == "0"
    assert Read(glossary.explain("trunk", "trunks")).words == "trunks"
    assert f"trunk: {glossary.WORDS['trunk']}" in glossary.glossary()[1]


def test_a_word_is_found_however_it_is_written_and_an_unknown_one_is_refused() -> None:
    assert glossary.meaning("sip Credential") == glossary.WORDS["SIP credential"]
    with pytest.raises(SettingsError, match="not in the glossary"):
        glossary.explain("<b>")


def test_in_a_sentence_each_word_has_its_tooltip_once_and_the_rest_is_text() -> None:
    text = "The trunk <b> sends calls & webhooks; another TRUNK, a SIP credential, and a trunking thing."
    read = Read(glossary.explained(text))
    assert read.words == text
    assert [tag for tag, _ in read.elements] == ["abbr"] * 3
    assert [one["title"] for one in read.of("abbr")] == [
        glossary.WORDS[word] for word in ("trunk", "webhook", "SIP credential")
    ]


def test_what_stands_in_a_sentence_stays_text() -> None:
    read = Read(glossary.explain("realm", '"><script>x</script>'))
    assert read.words == '"><script>x</script>'
    assert not read.of("script")


def test_the_list_holds_every_word_in_html_and_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr("bwlib.widgets.show.show_html", lambda html, text: shown.append((html, text)))
    glossary.show_glossary()
    ((html, text),) = shown
    read = Read(html)
    assert len(read.of("dt")) == len(read.of("dd")) == len(glossary.WORDS) == len(text.splitlines()) - 1
    for word, said in glossary.WORDS.items():
        assert word in read.words
        assert said in read.words
        assert f"  {word}: {said}" in text.splitlines()


def test_the_words_of_a_sentence_are_told_below_it_for_those_who_reach_no_tooltip(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(glossary.used_in("Which trunks have a realm, and the trunk a digest?")) == ["trunk", "realm", "digest"]
    glossary.show_explained("Hint 1 of 3", "Read the SDP in the <INVITE>.")
    told = capsys.readouterr().out
    assert told.startswith("Hint 1 of 3\n  Read the SDP in the <INVITE>.\n  words:\n    SDP: ")
    assert glossary.WORDS["INVITE"] in told
    glossary.show_explained("Hint", "Look again.")
    assert capsys.readouterr().out == "Hint\n  Look again.\n"
