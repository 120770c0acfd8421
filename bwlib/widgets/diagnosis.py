"""How a diagnosis looks: causes as cards, the surest first, each with its evidence, its fix, and where it failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.row import SYMPTOMS
from bwlib.diagnose.verdict import CONFIDENCE, Cause, Verdict
from bwlib.sip.ladder import FAILED_HERE
from bwlib.widgets import card, show

_COLOURS = {"proven": card.RED, "likely": card.RED, "possible": "#6b4e00", "found": card.BLUE}
# Which facts belong to which bullet of the guide.
BULLETS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "no callbacks": (
        "Callbacks do not come: does the call reach the realm at all?",
        (
            *("account.", "phone.register", "outward.phone", "inward.phone", "inward.create", "call.cause"),
            *("outward.trunk", "outward.hangup", "outward.left", "outward.webhook", "inward.pbx", "log."),
            *("pbx.security", "credential", "realm", "trunk.contact", "trunk.registration", "trunk.outbound_auth"),
            *("trunk.username", "trunk.password", "pbx.pending", "trunk.inbound", "outward.cut", "outward.bye"),
            *("inward.cut", "inward.bye", "route.lines", "pbx.options"),
        ),
    ),
    "caller id": (
        "Caller id and formatting",
        (
            *("trunk.from_user", "trunk.from_domain", "trunk.send_pai", "route.caller_id", "outward.caller"),
            *("inward.from", "route.matches", "route.dialplan", "route.lines", "outward.number"),
        ),
    ),
    "urls": (
        "The application's URLs are alive",
        ("callback", "application.call_", "outward.webhook", "inward.webhook"),
    ),
    "firewall": (
        "The way to the realm is open",
        (
            *("dns", "direct.", "trunk.outbound_proxy", "trunk.port", "trunk.media", "outward.sdp", "pbx.rtp"),
            *("outward.rtp", "outward.heard", "outward.spoken", "outward.digits", "inward.rtp", "inward.heard"),
            *("inward.spoken", "inward.digits", "inward.identified", "extension.contact"),
        ),
    ),
}


_WELL, _LOOKED_AT = "a call that went through", "what was looked at"


def show_verdict(
    facts: Facts, verdict: Verdict, ladders: Mapping[str, tuple[str, str]], sentence: str, bullet: str = ""
) -> None:
    """bullet: one of BULLETS shows what is about it, with the facts; "" shows the causes and the ladders."""
    if bullet:
        _show_bullet(facts, verdict, bullet)
        return
    _show_head(verdict, sentence)
    for cause in verdict.causes:
        _show_cause(cause)
    for svg, text in ladders.values():
        if FAILED_HERE in text or not verdict.causes:
            show.show_ladder(svg, text)
        else:  # of a call that went well, beside one that did not
            show.show_html(card.folded(_WELL, show.figure(svg)), f"{_WELL}:\n{text}")


def _show_head(verdict: Verdict, sentence: str) -> None:
    sign, colour = card.STATUS["passed" if verdict.healthy else "failed"]
    word = "nothing wrong" if verdict.healthy else "cause found" if verdict.causes else "not known"
    html = card.chip(sign, word, colour) + card.heading("Diagnosis") + card.line(sentence)
    lines = [f"{sign} Diagnosis: {word}", f"  {sentence}"]
    for title, listed in (("unexplained", verdict.unexplained), ("could not look at", verdict.not_looked)):
        if listed:
            html += card.facts([(title, said) for said in listed], "", plain=True)
            lines += [f"  {title}: {said}" for said in listed]
    if verdict.ruled_out:
        html += card.folded(f"ruled out ({len(verdict.ruled_out)})", _list(verdict.ruled_out))
        lines += [f"  ruled out ({len(verdict.ruled_out)}):", *(f"    {said}" for said in verdict.ruled_out)]
    _show(card.frame(html, colour, status="passed" if verdict.healthy else "failed"), lines)


def _show_cause(cause: Cause) -> None:
    colour = _COLOURS[cause.confidence]
    html = card.chip("", cause.confidence, colour) + card.heading(cause.cause)
    html += card.line(CONFIDENCE[cause.confidence]) + _list(cause.because)
    rows = [("fix", cause.fix)]
    if cause.step:
        rows.append(("by a click", f"Apply under Mend it: {cause.by_apply}"))
    if cause.next_probe:
        rows.append(("to be sure", cause.next_probe))
    html += card.facts(rows, "", plain=True)
    lines = [f"{cause.confidence}: {cause.cause}", f"  {CONFIDENCE[cause.confidence]}"]
    lines += [*(f"  because {said}" for said in cause.because), *(f"  {name}: {said}" for name, said in rows)]
    _show(card.frame(html, colour), lines)


def _show_bullet(facts: Facts, verdict: Verdict, bullet: str) -> None:
    title, names = BULLETS[bullet]
    quoted = {says for cause in verdict.causes if cause.bullet == bullet for says in cause.because}
    known = [fact for fact in facts.values() if fact.value != UNKNOWN]
    told = [fact for fact in known if fact.name.startswith(names) or fact.says in quoted]
    status, word, said = _state(told, verdict, bullet)
    sign, colour = card.STATUS[status]
    html = card.chip(sign, word, colour) + card.heading(title) + card.line(said)
    lines = [f"{sign} {title}: {word}", f"  {said}"]
    if told:
        html += card.facts([(_name(fact), fact.says) for fact in told], _LOOKED_AT, plain=True)
        lines += [f"  {_LOOKED_AT}:", *(f"    {_name(fact)}: {fact.says}" for fact in told)]
    _show(card.frame(html, colour, status=status), lines)


def _state(told: Sequence[Fact], verdict: Verdict, bullet: str) -> tuple[str, str, str]:
    """(status, its word, a sentence). Nothing is called right that fails, or that nobody could look at."""
    here = [cause for cause in verdict.causes if cause.bullet == bullet]
    if here:
        return "failed", "cause found", "; ".join(f"{cause.cause} ({cause.confidence})" for cause in here)
    if any(cause.name == "nothing-set-up" for cause in verdict.causes):
        return "skipped", "not looked at", "nothing of this site is set up yet"
    failing = [fact.says for fact in told if fact.value in SYMPTOMS.get(fact.name, ())]
    elsewhere = [cause.cause for cause in verdict.causes if any(says in cause.because for says in failing)]
    if elsewhere:
        return "failed", "explained elsewhere", f"what fails here comes from: {'; '.join(elsewhere)}"
    if failing:
        return "failed", "not known", f"the cause of this is not known: {'; '.join(failing)}"
    if not told:
        return "skipped", "not looked at", "; ".join(verdict.not_looked) or "there was nothing here to look at"
    if verdict.not_looked:
        return "skipped", "not all looked at", f"no cause was found here; could not look at: {verdict.not_looked[0]}"
    return "passed", "nothing wrong", "no cause was found here"


def _show(html: str, lines: Iterable[str]) -> None:
    """Control characters as escapes in the text: what others wrote at Bandwidth or the PBX colours no terminal."""
    show.show_html(html, "\n".join(map(show.one_line, lines)))


def _name(fact: Fact) -> str:
    return fact.name.replace(".", " ").replace("_", " ")


def _list(said: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in said)
    return f'<ul style="margin:.4em 0 0;padding-left:1.4em">{items}</ul>'
