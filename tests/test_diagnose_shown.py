"""What a diagnosis shows: HTML for the eye, the same in words, and nothing that others wrote becomes markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from bwlib.diagnose import ladder
from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.row import SYMPTOMS, Rule
from bwlib.diagnose.rules import RULES
from bwlib.diagnose.verdict import CONFIDENCE, Cause, Verdict, judge
from bwlib.diagnosing import Diagnosis
from bwlib.models import SipEvent
from bwlib.sip.ladder import FAILED_HERE, ladder_svg, ladder_text
from bwlib.widgets import card
from bwlib.widgets.diagnosis import BULLETS

HOSTILE = "<script>alert(1)</script>\"'&amp;<img src=x onerror=y>\x1b[31mred\nCause: none\x9b"


class Reader(HTMLParser):
    """The words of a document in their order, its elements, and what its attributes say."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.words += [data.strip()] * bool(data.strip())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)
        self.attributes += attrs


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was displayed: MIME bundles."""
    bundles: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.get_ipython", lambda: "a kernel")
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw=False: bundles.append(bundle))
    return bundles


def facts_of(**values: str) -> Facts:
    """Dots in a name are written as two underscores."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Facts(Fact(name, value, f"it is said of {name}") for name, value in named.items())


def found(facts: Facts, verdict: Verdict | None = None, ladders: dict[str, tuple[str, str]] | None = None) -> Diagnosis:
    return Diagnosis(facts, verdict or judge(facts), ladders or {}, 1.0)


EVERYTHING = facts_of(
    outward__trunk=ladder.REFUSED_AFTER, outward__phone="not-answered", trunk__username="differs",
    inward__pbx=ladder.REFUSED_BEFORE, phone__register="silent", trunk__transfers="differs", inward__create="refused",
    probe__dns="failed", callback="alive", route__caller_id="as-wanted", application="found",
)  # fmt: skip


def a_call(script: str = "403 Forbidden") -> dict[str, tuple[str, str]]:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    events = [
        SipEvent(at, "127.0.0.1:5060", "127.0.0.2:5070", "INVITE sip:+1@realm SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"),
        SipEvent(at, "127.0.0.2:5070", "127.0.0.1:5060", f"SIP/2.0 {script}\r\nCSeq: 1 INVITE\r\n\r\n"),
    ]
    failing = None if script.startswith("2") else events[1]
    return {"outward": (ladder_svg(events, {}, "", failing=failing), ladder_text(events, {}, failing=failing))}


# ---------------------------------------------------------------- words


def test_everything_has_every_kind_of_cause() -> None:
    verdict = judge(EVERYTHING)
    assert {cause.confidence for cause in verdict.causes} == set(CONFIDENCE)
    assert verdict.unexplained
    assert verdict.not_looked
    assert verdict.ruled_out


@pytest.mark.parametrize("bullet", ["", *BULLETS])
@pytest.mark.parametrize("facts", [EVERYTHING, facts_of(callback="alive"), Facts()])
def test_the_words_beside_a_card_say_all_that_the_card_says(
    shown: list[dict[str, str]], facts: Facts, bullet: str
) -> None:
    found(facts).show(bullet)
    assert shown
    for bundle in shown:
        assert [word for word in Reader(bundle["text/html"]).words if word not in bundle["text/plain"]] == []


def test_each_cause_is_shown_with_its_evidence_its_fix_and_how_to_be_sure(shown: list[dict[str, str]]) -> None:
    found(EVERYTHING).show()
    for cause, bundle in zip(judge(EVERYTHING).causes, shown[1:], strict=True):
        said = [cause.cause, cause.confidence, CONFIDENCE[cause.confidence], *cause.because, cause.fix]
        said += [cause.next_probe] if cause.next_probe else []
        said += [f"Apply under Mend it: {cause.by_apply}"] if cause.step else []
        for words in (bundle["text/plain"], " ".join(Reader(bundle["text/html"]).words)):
            assert [one for one in said if one not in words] == []


def test_the_first_card_says_what_is_not_known_and_what_was_not_looked_at(shown: list[dict[str, str]]) -> None:
    found(EVERYTHING).show()
    verdict = judge(EVERYTHING)
    for words in (shown[0]["text/plain"], " ".join(Reader(shown[0]["text/html"]).words)):
        for said in (*verdict.unexplained, *verdict.not_looked, *verdict.ruled_out):
            assert said in words


# ---------------------------------------------------------------- no bullet is called right that is not


@pytest.mark.parametrize(
    ("facts", "bullet", "word"),
    [
        (facts_of(callback="alive"), "urls", "nothing wrong"),
        (facts_of(callback="dead"), "urls", "cause found"),
        (Facts(), "urls", "not looked at"),
        (facts_of(probe__callback="failed"), "urls", "not looked at"),
        (facts_of(outward__webhook="none"), "urls", "not known"),
        (facts_of(trunk__from_user="not-e164", outward__trunk=ladder.REFUSED_AFTER), "caller id", "cause found"),
        (
            facts_of(trunk__from_user="not-e164", outward__trunk=ladder.REFUSED_AFTER),
            "no callbacks",
            "explained elsewhere",
        ),
        (facts_of(outward__heard="no"), "firewall", "not known"),
    ],
)
def test_a_bullet_says_how_it_stands(shown: list[dict[str, str]], facts: Facts, bullet: str, word: str) -> None:
    found(facts).show(bullet)
    [bundle] = shown
    assert word in Reader(bundle["text/html"]).words
    assert word in bundle["text/plain"]
    for name, fact in facts.items():
        if name.startswith(BULLETS[bullet][1]):
            assert fact.says in bundle["text/plain"]


@pytest.mark.parametrize("bullet", ["caller id", "urls", "firewall"])
def test_of_a_site_that_was_never_set_up_no_bullet_is_called_right(
    shown: list[dict[str, str]], bullet: str
) -> None:
    absent = dict.fromkeys(("trunk", "route", "extension", "application", "realm"), "absent")
    found(facts_of(**absent, route__dialplan="matches", callback="alive", dns="found")).show(bullet)
    assert "not looked at" in shown[-1]["text/plain"]
    assert "nothing wrong" not in shown[-1]["text/plain"]


def test_no_bullet_is_green_while_something_could_not_be_looked_at(shown: list[dict[str, str]]) -> None:
    facts = facts_of(callback="alive")
    found(facts, Verdict((), (), (), ("no test call: its secret gives nothing now",))).show("urls")
    [bundle] = shown
    assert "not all looked at" in bundle["text/plain"]
    assert "its secret gives nothing now" in bundle["text/plain"]


@pytest.mark.parametrize("name", list(SYMPTOMS))
def test_whatever_fails_stands_under_a_bullet_and_none_of_them_calls_it_right(
    shown: list[dict[str, str]], name: str
) -> None:
    facts = Facts([Fact(name, SYMPTOMS[name][0], "what was seen")])
    about = [bullet for bullet, (_, names) in BULLETS.items() if name.startswith(names)]
    assert about
    for bullet in about:
        found(facts).show(bullet)
        assert "nothing wrong" not in shown[-1]["text/plain"]


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.name) for rule in RULES if rule.kind == "read"])
def test_under_its_bullet_a_cause_is_shown_with_what_it_follows_from(shown: list[dict[str, str]], rule: Rule) -> None:
    facts = Facts(
        Fact(name.replace(".*", ".applications"), values[0], f"it is said of {name}")
        for name, values in rule.when.items()
        if UNKNOWN not in values
    )
    found(facts).show(rule.bullet)
    text = shown[0]["text/plain"]
    assert rule.cause in text
    assert [fact.says for fact in facts.values() if fact.says not in text] == []


# ---------------------------------------------------------------- what others wrote


def hostile() -> Diagnosis:
    facts = Facts([Fact(name, value, f"{HOSTILE} {name}") for name, value in (
        ("trunk.username", "differs"), ("outward.trunk", ladder.REFUSED_AFTER), ("probe.dns", "failed"),
        ("inward.create", "refused"), ("callback", "alive"), ("route.caller_id", "as-wanted"), ("dns", "found"),
    )])  # fmt: skip
    verdict = judge(facts)
    trap = Cause("pbx-trap", HOSTILE, "found", (HOSTILE,), HOSTILE, "no callbacks")
    return found(facts, Verdict((*verdict.causes, trap), verdict.unexplained, (HOSTILE,), verdict.not_looked))


@pytest.mark.parametrize("bullet", ["", *BULLETS])
def test_what_others_wrote_stays_text(shown: list[dict[str, str]], bullet: str) -> None:
    hostile().show(bullet)
    assert "alert(1)" in shown[0]["text/plain"]
    for bundle in shown:
        read = Reader(bundle["text/html"])
        assert not {"script", "img"} & set(read.elements)
        assert not [name for name, _ in read.attributes if name.startswith("on")]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", bundle["text/plain"])
        assert not [line for line in bundle["text/plain"].splitlines() if line.startswith("Cause: none")]


# ---------------------------------------------------------------- to be read without seeing


@pytest.mark.parametrize("bullet", ["", *BULLETS])
def test_a_card_is_a_group_with_a_name_in_it_and_no_sign_or_colour_stands_alone(
    shown: list[dict[str, str]], bullet: str
) -> None:
    found(EVERYTHING, ladders=a_call()).show(bullet)
    signs = {sign for sign, _ in card.STATUS.values()}
    for bundle in shown:
        html = bundle["text/html"]
        read = Reader(html)
        if "svg" in read.elements:
            assert {"title", "desc"} <= set(read.elements)
            continue
        assert ("role", "group") in read.attributes
        assert "strong" in read.elements
        first = next(word for word in read.words if word not in signs)
        assert first.isascii()  # the chip's word, before anything else
        assert first.replace(" ", "").isalpha()
        for sign in re.findall(r">([✔✘…–])<", html):
            assert f'aria-hidden="true">{sign}<' in html
        assert all('scope="row"' in cell for cell in re.findall(r"<th[^>]*>", html))


def test_the_call_that_failed_is_drawn_and_one_that_went_well_is_folded_away(shown: list[dict[str, str]]) -> None:
    found(EVERYTHING, ladders={**a_call(), "inward": a_call("200 OK")["outward"]}).show()
    failed, well = shown[-2:]
    assert FAILED_HERE in failed["text/plain"]
    assert "details" not in Reader(failed["text/html"]).elements
    assert Reader(well["text/html"]).words[0] == "a call that went through"
    assert well["text/plain"].startswith("a call that went through")
    assert "200 OK" in well["text/plain"]


# ---------------------------------------------------------------- in one sentence


@pytest.mark.parametrize(
    ("facts", "sentence", "code"),
    [
        (Facts(), "nothing wrong was found; no call was placed", 0),
        (facts_of(outward__heard="yes"), "nothing is wrong: a call was heard", 0),
        (facts_of(outward__heard="yes", inward__heard="yes"), "nothing is wrong: both calls were heard", 0),
        (facts_of(probe__dns="failed"), "not everything could be looked at: it is said of probe.dns", 1),
        (facts_of(inward__create="refused"), "I do not know the cause of this: it is said of inward.create", 9),
        (facts_of(trunk__username="differs"), "The trunk's user name is not the credential's (found)", 9),
        (facts_of(trunk="absent", route="absent", extension="absent"), ", and 2 more", 9),
    ],
)  # fmt: skip
def test_it_comes_to_one_sentence_and_one_exit_code(facts: Facts, sentence: str, code: int) -> None:
    diagnosis = found(facts)
    assert sentence in diagnosis.sentence
    assert diagnosis.exit_code == code
    assert diagnosis.verdict.healthy == (code == 0)
