"""Whether everybody can use a page: axe-core, what colour alone would say, where Tab leads, what is too wide.

In JupyterLab only what is ours counts: what stands in the outputs of cells. What axe-core finds in JupyterLab itself is
printed and kept in build/accessibility/, and counts for nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lab_person import PROJECT
from peers import module

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOUND = PROJECT / "build" / "accessibility"
#: WCAG 2.2, levels A and AA
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
#: in JupyterLab, ours is what stands in an output
IN_LAB = ".jp-OutputArea-output > *"
MANY_TABS = 400  # more stops than any of our pages has

_RUN = """async ([tags, ours]) => {
    const answer = await axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']});
    return answer.violations.flatMap(rule => rule.nodes.map(node => {
        const element = document.querySelector(node.target.flat().at(0));
        return {rule: rule.id, impact: node.impact || '', target: node.target.flat().join(' '),
            html: node.html.slice(0, 300), why: (node.failureSummary || '').split('\\n').slice(1).join('; ').trim(),
            ours: !ours || Boolean(element && element.closest(ours))};
    }));
}"""
# A status without its word, and a coloured thing that says nothing in words, neither itself nor by a name.
_COLOUR_ALONE = """ours => {
    const said = e => (e.textContent + (e.getAttribute('aria-label') || '') + (e.title || '')).trim();
    const clear = c => c === 'transparent' || /, 0\\)$/.test(c);
    const places = ours ? [...document.querySelectorAll(ours)] : [document.body], found = [];
    for (const place of places) for (const e of [place, ...place.querySelectorAll('*')]) {
        const style = getComputedStyle(e), box = e.getBoundingClientRect();
        if (e.dataset?.status && !e.textContent.includes(e.dataset.status)) found.push(e);
        else if (e.closest('svg, [aria-hidden=true], select, video, audio, datalist, head') || said(e)
            || e.children.length || box.width < 4 || box.height < 4 || style.visibility === 'hidden') continue;
        else if (/^(input|img|textarea|button|hr|br|canvas|iframe|td|th|progress|meter)$/i.test(e.tagName)) continue;
        else if (!clear(style.backgroundColor)
            && style.backgroundColor !== getComputedStyle(e.parentElement).backgroundColor) found.push(e);
    }
    return found.map(e => e.outerHTML.slice(0, 200));
}"""
# Everything that Tab must reach: of a group of radio buttons the chosen one, or any.
_STOPS = """() => {
    const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary,'
        + 'audio[controls], [tabindex]')].filter(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({
        visibilityProperty: true}) && !(e.type === 'radio' && !e.checked
        && document.querySelector(`input[type=radio][name="${CSS.escape(e.name)}"]:checked`)));
    window.bwStops = all;
    document.activeElement?.blur();
    return all.length;
}"""
# What has the focus now: its number; whether one sees that it has it, and whether it is in sight.
_NOW = """() => {
    const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!e || e === document.body || e === document.documentElement) return null;
    const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0
        && !/, 0\\)$/.test(style.outlineColor);
    const left = Math.max(box.left, 0), top = Math.max(box.top, 0), right = Math.min(box.right, innerWidth),
        bottom = Math.min(box.bottom, innerHeight);
    const spots = [[.5, .5], [.1, .2], [.9, .2], [.1, .8], [.9, .8]].map(([x, y]) =>
        document.elementFromPoint(left + (right - left) * x, top + (bottom - top) * y));
    return {number: window.bwStops.indexOf(e), ring: ring || style.boxShadow !== 'none',
        seen: spots.some(at => at && (at === e || e.contains(at) || at.contains(e))),
        html: e.outerHTML.slice(0, 160)};
}"""
_MOVING = """() => [...document.querySelectorAll('*')].filter(e => {
    const style = getComputedStyle(e);
    return e.getAnimations().length || parseFloat(style.transitionDuration) > 0;
}).map(e => e.outerHTML.slice(0, 160))"""


@dataclass(frozen=True)
class Finding:
    """One element that breaks one rule of axe-core. ours: it is not JupyterLab's."""

    rule: str
    impact: str
    target: str
    html: str
    why: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.rule} ({self.impact}): {self.html} [{self.why}]"


def axe_script() -> str:
    """axe-core itself, from the package that brings it along."""
    module("axe_playwright_python", "axe-playwright-python")
    from axe_playwright_python.base import AXE_SCRIPT

    return str(AXE_SCRIPT)


def findings(page: Page, ours: str = "") -> list[Finding]:
    """What axe-core says of the page by WCAG 2.2 A and AA. ours: a selector; what is not below it is not ours."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe_script())
    return [Finding(**found) for found in page.evaluate(_RUN, [list(TAGS), ours])]


def faults(page: Page, name: str, ours: str = "") -> list[str]:
    """What is wrong with what is ours, in words; all of it is kept under this name, and the others' is printed."""
    found = findings(page, ours)
    alone = [f"colour alone: {html}" for html in page.evaluate(_COLOUR_ALONE, ours)]
    FOUND.mkdir(parents=True, exist_ok=True)
    kept = {"url": re.sub(r"token=[^&]+", "token=", page.url), "axe": [asdict(one) for one in found], "alone": alone}
    (FOUND / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    others = sorted({f"{one.rule} ({one.impact})" for one in found if not one.ours})
    if others:
        print(f"{name}: in JupyterLab itself, not counted: {', '.join(others)}")
    return [*(f"{name}: {one}" for one in found if one.ours), *(f"{name}: {one}" for one in alone)]


def tab_faults(page: Page) -> list[str]:
    """Press Tab from the page's beginning to its end: what it misses, what shows no focus, what is hidden then."""
    count, reached, faults = int(page.evaluate(_STOPS)), list[int](), list[str]()
    for _ in range(MANY_TABS):
        page.keyboard.press("Tab")
        now = page.evaluate(_NOW)
        if now is None or (reached and now["number"] == reached[0]):
            break
        if reached and now["number"] == reached[-1]:  # within a player, which has stops of its own
            continue
        if now["number"] in reached:
            faults.append(f"Tab comes here twice: {now['html']}")
            break
        reached.append(now["number"])
        faults += [] if now["ring"] else [f"one does not see the focus: {now['html']}"]
        faults += [] if now["seen"] else [f"covered while it has the focus: {now['html']}"]
    if reached != sorted(reached):
        faults.append(f"Tab does not go in the page's order: {reached}")
    missed = sorted(set(range(count)) - set(reached))
    return faults + [
        f"no Tab leads here: {page.evaluate('n => window.bwStops[n].outerHTML.slice(0, 160)', one)}" for one in missed
    ]


def too_wide(page: Page, *widths: int) -> list[str]:
    """Where it must be scrolled sideways. 640 is a window of 1280 at 200 %, 320 the same at 400 % (WCAG 1.4.10)."""
    before, found = page.viewport_size, list[str]()
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        needs = int(page.evaluate("document.documentElement.scrollWidth"))
        found += [f"needs {needs} px of {width}"] if needs > width else []
    if before is not None:
        page.set_viewport_size(before)
    return found


def moving(page: Page) -> list[str]:
    """What moves although the person asked for less motion."""
    page.emulate_media(reduced_motion="reduce")
    found = [str(one) for one in page.evaluate(_MOVING)]
    page.emulate_media(reduced_motion="no-preference")
    return found
