"""FreePBX's pages, read as a browser reads them: forms with the values they would be sent with. Pure.

A page is believed for what its form holds, never for its status code. Only names of fields are known here; what they
mean is in `freepbx_fields`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser

# Not sent, or not by pressing Submit.
_BUTTONS = ("submit", "button", "reset", "image", "file")


@dataclass
class Control:
    """One input, select or textarea. is_sent: a browser would send it. options: the values that a select offers."""

    name: str
    value: str
    kind: str
    id: str
    is_sent: bool
    options: list[str] = field(default_factory=list)


@dataclass
class Form:
    """One form of a page, its controls in their order on the page."""

    id: str
    controls: list[Control] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Whether there is a control of this name, sent or not."""
        return any(control.name == name for control in self.controls)

    def pairs(self) -> list[tuple[str, str]]:
        """What a browser would send for it as it stands (HTML, constructing the form data set)."""
        return [(control.name, control.value) for control in self.controls if control.name and control.is_sent]

    def value(self, name: str) -> str:
        """The value that would be sent under this name; "" for none. The last one of a name counts, as in PHP."""
        values = [value for sent, value in self.pairs() if sent == name]
        return values[-1] if values else ""

    def options(self, name: str) -> list[str]:
        """What the select of this name offers."""
        return [option for control in self.controls if control.name == name for option in control.options]

    def by_id(self, prefix: str) -> dict[int, str]:
        """number -> value of the controls whose id is `prefix` and a number; the dial patterns have ids, no names."""
        found = {}
        for control in self.controls:
            match = re.fullmatch(re.escape(prefix) + r"(\d+)", control.id)
            if match:
                found[int(match[1])] = control.value
        return found


@dataclass(frozen=True)
class PageFacts:
    """What every page of a signed-in person says of the PBX; None and "" where it does not."""

    reload_due: bool | None = None
    version: str = ""
    asterisk: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select: Control | None = None
        self._said: dict[str, str] = {}  # of the select that is being read
        self._textarea: Control | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(said.get("id", "") or said.get("name", ""))
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "input":
            self._form.controls.append(_input(said))
        elif tag == "select":
            self._select, self._said = _control(said, "select"), said
            self._select.is_sent = False  # until an option is there
            self._form.controls.append(self._select)
        elif tag == "option" and self._select is not None:
            self._option(said)
        elif tag == "textarea":
            self._textarea = _control(said, "textarea")
            self._form.controls.append(self._textarea)

    def _option(self, said: dict[str, str]) -> None:
        select, form = self._select, self._form
        if select is None or form is None:
            return
        value, first, many = said.get("value", ""), not select.options, "multiple" in self._said
        select.options.append(value)
        if "disabled" in self._said or "disabled" in said:
            return
        if many and "selected" in said:  # each of them is sent, under the same name
            form.controls.append(Control(select.name, value, "option", "", True))
        elif not many and ("selected" in said or first):
            select.value, select.is_sent = value, True

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self._textarea.value += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None


def _control(said: dict[str, str], kind: str) -> Control:
    return Control(said.get("name", ""), said.get("value", ""), kind, said.get("id", ""), "disabled" not in said)


def _input(said: dict[str, str]) -> Control:
    control = _control(said, said.get("type", "text").lower())
    if control.kind in ("checkbox", "radio"):
        control.value = said.get("value", "on")
        control.is_sent &= "checked" in said
    elif control.kind in _BUTTONS:
        control.is_sent = False
    return control


def forms_of(page: str) -> list[Form]:
    """Every form of a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.forms


def form_with(page: str, names: Iterable[str]) -> Form | None:
    """The form that has all these fields, None when the page has none."""
    return next((form for form in forms_of(page) if all(form.has(name) for name in names)), None)


def is_sign_in(page: str) -> bool:
    """Whether the page asks for user and password: nobody is signed in, whatever the status code says."""
    form = form_with(page, ("username", "password"))
    return form is not None and not form.has("trunk_name") and not form.has("extension")


def facts_of(page: str) -> PageFacts:
    """What the page's own script is told: `var fpbx = {"conf": {...}}`."""
    match = re.search(r"\bvar\s+fpbx\s*=\s*", page)
    if match is None:
        return PageFacts()
    try:
        said, _ = json.JSONDecoder().raw_decode(page, match.end())
        conf = said["conf"]
        due = conf.get("reload_needed")
    except (ValueError, LookupError, TypeError, AttributeError):
        return PageFacts()
    known = None if due is None else str(due).lower() in ("1", "true")
    return PageFacts(known, str(conf.get("ver") or ""), str(conf.get("ASTVERSION") or ""))
