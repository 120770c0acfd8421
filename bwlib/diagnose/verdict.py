"""How the table is read: from facts to causes, the surest first. Pure.

1. Rows that were *read* and hold. Those that explain a failure which was seen are proven; the others are found.
2. A failure that none of those explains: the rows of which only the effect is seen; one that fits alone is likely,
   those that fit beside others are possible.
3. A call that was long ago proves nothing by what is read now: such a row is possible, and says so.
4. A failure that nothing explains is said to be unexplained, with what was ruled out: "I do not know" is an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.row import SYMPTOMS, Rule, Where
from bwlib.diagnose.rules import RULES
from bwlib.models import Finding

Confidence = Literal["proven", "likely", "possible", "found"]
CONFIDENCE: dict[Confidence, str] = {
    "proven": "read where it is wrong, and it explains the failure that was seen",
    "likely": "only its effect was seen, and nothing else that we know has that effect",
    "possible": "its effect was seen; other causes have the same one, or it was read long after",
    "found": "read, and not as it should be; whether a failure comes from it was not seen",
}

# Where the card of each step stands whose Apply mends something.
NOTEBOOKS = {
    "application": "10_application", "realm": "20_sip_credentials", "sip_credential": "20_sip_credentials",
    "inbound_sip_uri": "20_sip_credentials", "trunk": "30_pbx", "route": "30_pbx", "extension": "30_pbx",
}  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """One cause. because: the evidence, quoted. step: the step whose Apply mends it, "" where Apply cannot."""

    name: str
    cause: str
    confidence: Confidence
    because: tuple[str, ...]
    fix: str
    bullet: str
    step: str = ""
    next_probe: str = ""

    @property
    def by_apply(self) -> str:
        """Which card's Apply mends it, and in which notebook; "" where Apply cannot."""
        return f"card {self.step.replace('_', ' ')}, notebook {NOTEBOOKS[self.step]}" if self.step else ""


@dataclass(frozen=True)
class Verdict:
    """causes: the surest first. unexplained: failures that were seen and that no cause explains. ruled_out: causes that
    were looked for and are not there. not_looked: what could not be looked at, with the reason."""

    causes: tuple[Cause, ...]
    unexplained: tuple[str, ...]
    ruled_out: tuple[str, ...]
    not_looked: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Nothing was found, and everything was looked at."""
        return not self.causes and not self.unexplained and not self.not_looked


def judge(facts: Facts, rules: Sequence[Rule] = RULES) -> Verdict:
    """Read the table."""
    failures = [facts[name] for name, bad in SYMPTOMS.items() if facts.value(name) in bad]
    holding = _not_covered([rule for rule in rules if _holds(rule, facts)])
    read = [rule for rule in holding if rule.kind == "read"]
    proven = [rule for rule in read if _explains_any(rule, _sure(rule, failures), facts)]
    maybe = [rule for rule in read if rule not in proven and _explains_any(rule, failures, facts)]
    left = [one for one in failures if not any(_explains_any(rule, _sure(rule, [one]), facts) for rule in proven)]
    guesses = [rule for rule in holding if rule.kind != "read" and any(_is_about(rule, failure) for failure in left)]
    causes = [
        *(_cause(rule, facts, failures, "proven") for rule in proven),
        *(_cause(rule, facts, (), "likely") for rule in guesses if rule.kind == "seen" and _sure(rule, failures)),
        *(_doubted(_cause(rule, facts, failures, "possible"), failures) for rule in maybe),
        *(_guessed(rule, facts, failures) for rule in guesses if rule.kind == "fits" or not _sure(rule, failures)),
        *(_cause(rule, facts, (), "found") for rule in read if not _explains_any(rule, failures, facts)),
    ]
    left = [one for one in left if not any(_explains(rule.explains, one, facts) for rule in maybe)]
    unexplained = [failure.says for failure in left if not any(_is_about(rule, failure) for rule in guesses)]
    unexplained += _logged(facts) if unexplained else []
    return Verdict(_once(causes), tuple(unexplained), _ruled_out(facts, rules), _not_looked(facts))


def with_traps(verdict: Verdict, traps: Sequence[Finding]) -> Verdict:
    """The verdict, and what the PBX's own checks found: read, though no row says what follows from it.

    They stand behind what is proven: sure to be wrong, and maybe the cause of what nothing explains. What a row of the
    table says already is left out.
    """
    known = {cause.name for cause in verdict.causes}
    more = tuple(
        Cause("pbx-trap", trap.cause, "found", trap.evidence, trap.fix, "no callbacks")
        for trap in traps
        if trap.name not in known
    )
    proven = sum(cause.confidence == "proven" for cause in verdict.causes)
    return replace(verdict, causes=(*verdict.causes[:proven], *more, *verdict.causes[proven:]))


def _not_covered(holding: Sequence[Rule]) -> list[Rule]:
    covered = {name for rule in holding for name in rule.covers}
    return [rule for rule in holding if rule.name not in covered]


def _holds(rule: Rule, facts: Facts) -> bool:
    return all(any(facts.value(one) in values for one in _names(name, facts)) for name, values in rule.when.items())


def _names(name: str, facts: Facts) -> list[str]:
    """The facts that an entry of `when` is about: one, or with .* all below a name."""
    return [one for one in facts if one.startswith(name[:-1])] if name.endswith(".*") else [name]


_MESSAGES = ("outward.trunk", "inward.pbx")


def _explains(where: Where, failure: Fact, facts: Facts) -> bool:
    """Whether it leads to this failure. A phone whose call out was not answered: what stopped the call at the trunk
    explains that too; where nobody saw the trunk's messages (a live account), whatever can stop one there. Bandwidth's
    word for a call's end is explained by what explains the same call's messages."""
    if failure.name == "call.cause" and any(facts.value(name) in where.get(name, ()) for name in _MESSAGES):
        return True
    if failure.name == "outward.phone" and "outward.trunk" in where:
        return facts.value("outward.trunk") in (*where["outward.trunk"], UNKNOWN)
    return failure.value in where.get(failure.name, ())


def _explains_any(rule: Rule, failures: Iterable[Fact], facts: Facts) -> bool:
    return any(_explains(rule.explains, failure, facts) for failure in failures)


# Facts of the call itself; all others are read when it is over.
_OF_THE_CALL = ("outward.", "inward.", "call.", "log.")


def _sure(rule: Rule, failures: Iterable[Fact]) -> list[Fact]:
    """Those of the failures at whose time what the row is about was so: a row about the call itself, or no doubt."""
    of_the_call = all(name.startswith(_OF_THE_CALL) for name in rule.when)
    return [failure for failure in failures if of_the_call or not failure.doubt]


def _guessed(rule: Rule, facts: Facts, failures: Sequence[Fact]) -> Cause:
    cause = _cause(rule, facts, (), "possible")
    return cause if _sure(rule, failures) else _doubted(cause, failures)


def _doubted(cause: Cause, failures: Iterable[Fact]) -> Cause:
    """With the doubt among its evidence, and how to be rid of it."""
    doubts = dict.fromkeys(failure.doubt for failure in failures if failure.doubt)
    next_probe = cause.next_probe or "place a call anew, and look at that one"
    return replace(cause, because=(*cause.because, *doubts), next_probe=next_probe)


def _is_about(rule: Rule, failure: Fact) -> bool:
    """Whether a row of which only the effect is seen is about this failure: it names it among what must be seen.

    A call that is heard badly also brings no digits, and one that is cut short lacks the rest: what is lost with the
    sound needs no cause of its own.
    """
    if failure.value in rule.when.get(failure.name, ()):
        return True
    if failure.name == "call.cause":  # the same call's messages, where they were seen, say more
        return any(name.startswith(("inward.", "outward.")) for name in rule.when)
    way, _, what = failure.name.partition(".")
    spoils = {"spoken": ("digits",), "heard": ("digits",), "cut": ("heard", "spoken", "digits")}
    about = {name.partition(".")[2] for name in rule.when if name.startswith(f"{way}.")}
    if any(what in spoils.get(one, ()) for one in about):
        return True
    at_the_trunk = {"phone", "webhook"} if way == "outward" else set()
    return (what == "phone" and "pbx" in about) or (what in at_the_trunk and "trunk" in about)


def _cause(rule: Rule, facts: Facts, failures: Iterable[Fact], confidence: Confidence) -> Cause:
    """With the facts that it follows from, and the failures that it explains."""
    quoted = [
        facts[one].says
        for name, values in rule.when.items()
        for one in _names(name, facts)
        if one in facts and facts.value(one) in values and facts.value(one) != UNKNOWN
    ]
    quoted += [failure.says for failure in failures if _explains(rule.explains, failure, facts)]
    quoted += _logged(facts) if confidence in ("likely", "possible") else []
    because = tuple(dict.fromkeys(quoted))
    return Cause(rule.name, rule.cause, confidence, because, rule.fix, rule.bullet, rule.step, rule.next_probe)


def _logged(facts: Facts) -> list[str]:
    """What the PBX itself wrote at that time: beside whatever is not proven, a person may read more from it."""
    return [fact.says for name, fact in facts.items() if name.startswith("log.")]


def _once(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Each cause once, by its name, with all the evidence: both calls may show the same one."""
    once: dict[str, Cause] = {}
    for cause in causes:
        first = once.setdefault(cause.name, cause)
        once[cause.name] = replace(first, because=tuple(dict.fromkeys((*first.because, *cause.because))))
    return tuple(once.values())


def _ruled_out(facts: Facts, rules: Sequence[Rule]) -> tuple[str, ...]:
    """Causes that are read where they are wrong, and of which the first entry, which is that, was seen to be right."""
    out, in_question = dict[str, str](), set[str]()
    for rule in rules:
        name, values = next(iter(rule.when.items()))
        if rule.kind == "read" and _is_otherwise(name, values, facts):
            out.setdefault(rule.name, rule.cause)
        elif _holds(replace(rule, when={name: values}), facts):
            in_question.add(rule.name)
    return tuple(cause for name, cause in out.items() if name not in in_question)


def _is_otherwise(name: str, values: tuple[str, ...], facts: Facts) -> bool:
    known = [one for one in _names(name, facts) if facts.value(one) != UNKNOWN]
    return bool(known) and not any(facts.value(one) in values for one in known)


def _not_looked(facts: Facts) -> tuple[str, ...]:
    return tuple(fact.says for name, fact in facts.items() if name.startswith("probe."))
