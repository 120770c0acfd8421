"""The table of causes, row by row: each fires by its own facts and by nothing less, and says what a person can do."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import get_args

import pytest
from facts_of_probes import OPEN, produced, values_of

from bwlib.asking_words import CARDS
from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.row import SYMPTOMS, Bullet, Rule, Where
from bwlib.diagnose.rules import RULES
from bwlib.diagnose.verdict import NOTEBOOKS, Verdict, judge
from bwlib.diagnosing import _MENDS
from bwlib.widgets.diagnosis import BULLETS

MADE = produced()
ROWS = [pytest.param(rule, id=f"{number}-{rule.name}") for number, rule in enumerate(RULES)]
READ = [row for row, rule in zip(ROWS, RULES, strict=True) if rule.kind == "read"]
EXPLAINING = [row for row, rule in zip(ROWS, RULES, strict=True) if rule.kind == "read" and rule.explains]
GUESSED = [row for row, rule in zip(ROWS, RULES, strict=True) if rule.kind != "read"]
#: names that several rows share on purpose: one cause that shows in different places
SHARED = {
    "callback-get", "callback-password", "site-password", "wrong-password", "realm-unresolved", "realm-silent",
    "webhook-lost", "answer-held-back", "firewall-at-pbx", "nat-address", "rtp-to-pbx-lost", "rtp-from-pbx-lost",
    "digits-lost", "packets-lost", "extension-dtmf", "cut-by-pbx", "cut-by-realm", "cut-short", "other-options",
}  # fmt: skip
SURE = {"seen": "likely", "fits": "possible"}


def concrete(name: str) -> str:
    """A fact's name for an entry of `when`: one below it, where the entry is about all of them."""
    return name.replace(".*", ".applications")


def said(name: str, value: str) -> Fact:
    return Fact(name, value, f"{name} is {value}")


def facts_for(rule: Rule, last: bool = False, without: str = "") -> Facts:
    """Exactly what the row waits for; the first of the values that will do, or the last. What may be unknown is."""
    wanted = {name: values for name, values in rule.when.items() if name != without}
    chosen = {concrete(name): values[-1 if last else 0] for name, values in wanted.items() if UNKNOWN not in values}
    return Facts(said(name, value) for name, value in chosen.items())


def failures_of(rule: Rule) -> list[tuple[str, str]]:
    """Each failure that the row explains, but those that its own facts exclude."""
    own = {concrete(name) for name in rule.when}
    failures = [(name, value) for name, values in rule.explains.items() if name not in own for value in values]
    # where nobody saw the trunk's messages, what explains a failure there explains the phone's
    return failures + [("outward.phone", "not-answered")] * ("outward.trunk" in rule.explains)


def confidences(verdict: Verdict, name: str) -> list[str]:
    return [cause.confidence for cause in verdict.causes if cause.name == name]


# ---------------------------------------------------------------- each row by its own facts


@pytest.mark.parametrize("rule", READ)
@pytest.mark.parametrize("last", [False, True])
def test_what_is_read_is_found_or_proven_when_the_failing_call_itself_says_it(rule: Rule, last: bool) -> None:
    facts = facts_for(rule, last)
    failing = any(facts.value(name) in bad for name, bad in SYMPTOMS.items())
    verdict = judge(facts)
    assert confidences(verdict, rule.name) == ["proven" if failing else "found"]
    [cause] = [cause for cause in verdict.causes if cause.name == rule.name]
    assert set(cause.because) <= {fact.says for fact in facts.values()}
    assert cause.because


@pytest.mark.parametrize("rule", EXPLAINING)
def test_what_is_read_and_explains_a_failure_is_proven_by_it(rule: Rule) -> None:
    assert failures_of(rule), "it explains only what it waits for"
    for name, value in failures_of(rule):
        facts = Facts([*facts_for(rule).values(), said(name, value)])
        verdict = judge(facts)
        assert confidences(verdict, rule.name) == ["proven"], (name, value)
        [cause] = [cause for cause in verdict.causes if cause.name == rule.name]
        assert facts[name].says in cause.because
        assert facts[name].says not in verdict.unexplained


@pytest.mark.parametrize("rule", GUESSED)
@pytest.mark.parametrize("last", [False, True])
def test_what_is_only_seen_by_its_effect_is_likely_and_what_only_fits_is_possible(rule: Rule, last: bool) -> None:
    verdict = judge(facts_for(rule, last))
    assert confidences(verdict, rule.name) == [SURE[rule.kind]]
    assert verdict.unexplained == ()


@pytest.mark.parametrize("rule", ROWS)
def test_with_one_of_its_facts_missing_or_otherwise_a_row_does_not_fire(rule: Rule) -> None:
    alone = (rule,)
    for name, values in rule.when.items():
        otherwise = Facts([*facts_for(rule, without=name).values(), said(concrete(name), "something-else")])
        assert judge(otherwise, alone).causes == (), name
        if UNKNOWN not in values:
            assert judge(facts_for(rule, without=name), alone).causes == (), name


@pytest.mark.parametrize("rule", READ)
def test_a_row_is_ruled_out_when_what_is_wrong_in_it_was_seen_to_be_right(rule: Rule) -> None:
    name = concrete(next(iter(rule.when)))
    assert rule.cause in judge(Facts([said(name, "right")]), (rule,)).ruled_out
    assert judge(Facts(), (rule,)).ruled_out == ()
    assert judge(facts_for(rule), (rule,)).ruled_out == ()


# ---------------------------------------------------------------- the words of rows and of probes are the same


@pytest.mark.parametrize("rule", ROWS)
def test_every_name_and_value_of_a_row_is_one_that_a_probe_can_produce(rule: Rule) -> None:
    for where in (rule.when, rule.explains):
        assert {name: nobody_says(name, values) for name, values in where.items() if nobody_says(name, values)} == {}


def test_every_symptom_is_one_that_a_probe_can_produce() -> None:
    assert {name: nobody_says(name, values) for name, values in SYMPTOMS.items() if nobody_says(name, values)} == {}


def nobody_says(name: str, values: tuple[str, ...]) -> list[str]:
    made = values_of(name, MADE)
    return [value for value in values if value not in made and value != UNKNOWN] if made else [f"no fact {name}"]


def test_a_misspelt_name_or_value_would_be_seen() -> None:
    assert nobody_says("trunk.pasword", ("differs",)) == ["no fact trunk.pasword"]
    assert nobody_says("trunk.password", ("differ",)) == ["differ"]
    assert nobody_says("callback", ("dead", "deaf")) == ["deaf"]
    assert nobody_says("account.*", ("no-token", "no-tokens")) == ["no-tokens"]


def test_no_probe_makes_a_fact_whose_name_is_not_known_here() -> None:
    assert OPEN not in MADE


#: what says that something is not as it should be and needs no row of its own, and why
NO_ROW = {
    "application.name=differs": "an application is found by its name",
    "application.service_type=differs": "of another type it is no Voice application: application=other-type",
    "trunk.from_user=differs": "said once more, and more exactly: not-e164, other-number",
    "trunk.secret=differs": "the password itself is compared where the credential can be read: trunk.password",
    "direct.call=not-answered": "evidence beside the PBX's own call",
    "direct.heard=no": "evidence beside the PBX's own call",
    "direct.challenge=not-challenged": "a SIP URI may answer so to who is not on its list",
    "inward.webhook=none": "the answer URL is asked only once the phone has answered; what is heard then shows it",
    "inward.identified=no": "evidence for what the code says",
    "direct.options=silent": "who answers an INVITE need not answer OPTIONS",
    "direct.tcp=refused": "the trunk sends by UDP",
    "direct.tcp=silent": "the trunk sends by UDP",
    "call.cause=none": "the call goes on",
    "trunk.qualify=off": "as the guide asks",
    "trunk.registration=off": "as the guide asks",
    "trunk.inbound_auth=off": "as the guide asks",
    "dns=no-name-server": "it is this machine's, not the PBX's",
}  # fmt: skip
WRONG = {
    "differs", "absent", "no", "none", "refused", "off", "elsewhere", "unavailable", "silent", "not-answered",
    "no-g711", "other", "gone", "other-case", "other-type", "twice", "disabled", "did-not-ring", "rate-limited",
    "not-challenged", "no-name-server", "broken", "no-answer", "no-token", "token-refused", "not-entitled",
}  # fmt: skip


def test_whatever_a_probe_says_is_wrong_is_in_the_table() -> None:
    told: dict[str, set[str]] = defaultdict(set)
    for where in (*(rule.when for rule in RULES), SYMPTOMS):
        for name, values in where.items():
            told[name] |= set(values)
    left = []
    for name, values in MADE.items():
        known = told.get(name, set()) | told.get(f"{name.partition('.')[0]}.*", set())
        left += [f"{name}={value}" for value in values & WRONG - known if not name.startswith("probe.")]
    assert sorted(one for one in left if one not in NO_ROW) == []


# ---------------------------------------------------------------- what a row says to people


def test_every_step_of_a_row_has_a_card_and_a_mend() -> None:
    steps = {rule.step for rule in RULES if rule.step}
    assert steps <= set(CARDS)
    assert steps == set(_MENDS) == set(NOTEBOOKS)


def test_every_bullet_is_one_of_the_guide_and_has_a_heading() -> None:
    assert {rule.bullet for rule in RULES} == set(BULLETS) == set(get_args(Bullet))


def test_names_are_shared_by_rows_on_purpose_only() -> None:
    rows: dict[str, int] = defaultdict(int)
    for rule in RULES:
        rows[rule.name] += 1
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", rule.name)
    assert {name for name, count in rows.items() if count > 1} == SHARED
    causes: dict[str, set[str]] = defaultdict(set)
    for rule in RULES:
        causes[rule.cause].add(rule.name)
    assert {cause: names for cause, names in causes.items() if len(names) > 1} == {}


@pytest.mark.parametrize("rule", ROWS)
def test_a_row_says_what_is_wrong_and_what_to_do(rule: Rule) -> None:
    for text in (rule.cause, rule.fix, rule.next_probe):
        assert not text.endswith((".", " ")), text
        assert "  " not in text
        assert text.isprintable()
    assert rule.cause[0].isupper()
    assert len(rule.cause) <= 110
    assert rule.fix.split()[0].rstrip(":,;") in IMPERATIVES
    assert bool(rule.next_probe) == (rule.kind == "fits")
    assert not (rule.explains and rule.kind != "read")


# A fix begins with what to do. A verb that is missing here is one to think about, and then to add.
IMPERATIVES = {
    "add", "allow", "answer", "ask", "bind", "check", "compare", "correct", "create", "delete", "enable", "enter",
    "follow", "give", "install", "leave", "let", "look", "make", "place", "put", "read", "register", "reload",
    "remove", "rename", "send", "set", "spell", "start", "store", "switch", "turn", "type", "wait",
}  # fmt: skip


def test_what_is_wrong_comes_first_in_a_row() -> None:
    """The first entry is what a row is about, and what rules it out; the others only say when it counts."""
    assert [rule.name for rule in RULES if UNKNOWN in next(iter(rule.when.values()))] == []


def test_every_symptom_has_rows_that_explain_it() -> None:
    def covered(where_of: str, name: str) -> bool:
        wheres: list[Where] = [getattr(rule, where_of) for rule in RULES]
        return any(name in where for where in wheres)

    assert [name for name in SYMPTOMS if not covered("explains", name) and not covered("when", name)] == []
