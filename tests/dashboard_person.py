"""A person at the sandbox's dashboard, without a browser: pages read as HTML, forms filled in and sent."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
from sandbox_world import World, root

from bwlib.sandbox.control import Sandbox

PAGES = ("/applications", "/applications/new", "/account", "/account/sip-credentials", "/account/sip-credentials/new",
         "/account/realms/new", "/calls", "/webhooks", "/sandbox", "/sandbox/reset")  # fmt: skip
_FIELDS = ("input", "select", "textarea")
_ITS_TEXT = "\0"  # an option without a value of its own
_MENU = ("/dashboard/sign-out", "/dashboard/switch-account")  # the forms of the name menu
_VOID = ("input", "meta", "link", "br", "img", "hr")


class Page(HTMLParser):
    """What a page holds: its words, elements, and the forms with the values that stand in them."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.status = answer.status_code
        self.headers = answer.headers
        self.html = answer.text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self.unlabelled: list[str] = []
        self._words: list[str] = []
        self._open: list[str] = []
        self._select = ""
        self.feed(answer.text)
        targets = {attributes.get("for") for tag, attributes in self.elements if tag == "label"}
        self.unlabelled = [name for name in self.unlabelled if name not in targets]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.elements.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        if tag in _FIELDS and given.get("type") != "hidden" and "label" not in self._open:
            self.unlabelled.append(given.get("id", "(without an id)"))
        if self.forms and "form" in self._open:
            self._keep_value(tag, given)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        self._words.append(data)
        if self._open and self._open[-1] == "option" and self._select and self.forms:
            form = self.forms[-1]
            form.choices.setdefault(self._select, []).append(data.strip())
            if form.values.get(self._select) == _ITS_TEXT:
                form.values[self._select] = data.strip()

    def _keep_value(self, tag: str, given: dict[str, str]) -> None:
        values = self.forms[-1].values
        if tag == "select":
            self._select = given.get("name", "")
        if tag == "option" and self._select and (self._select not in values or "selected" in given):
            values[self._select] = given.get("value", _ITS_TEXT)
        boxes = ("radio", "checkbox")
        if tag == "input" and "name" in given and (given.get("type") not in boxes or "checked" in given):
            values[given["name"]] = given.get("value", "")


@dataclass
class Form:
    action: str
    values: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)


class Person:
    """Follows no redirect by itself: `open` and `send` do, and give the page at the end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)

    def close(self) -> None:
        self.http.close()

    def url(self, path: str) -> str:
        return path if path.startswith("http") else f"{self.sandbox.http_url}/dashboard{path}"

    def open(self, path: str) -> Page:
        return Page(self.http.get(self.url(path), follow_redirects=True))

    def send(self, path: str, to: str = "", **fields: str) -> Page:
        """Open a page, fill in its form (the one whose action ends with `to`) and press its button."""
        page = self.open(path)
        form = next(one for one in page.forms if (one.action.endswith(to) if to else one.action not in _MENU))
        target = self.url(form.action.removeprefix("/dashboard") or path)
        named = {name.replace("__", "/"): value for name, value in fields.items()}
        return Page(self.http.post(target, data={**form.values, **named}, follow_redirects=True))

    def sign_in(self, password: str | None = None) -> Page:
        right = self.sandbox.dashboard_password.get_secret_value()
        return self.send("/sign-in", user=self.sandbox.dashboard_user, password=password or right)

    # ---------------------------------------------------------------- guide steps 1 and 2

    def application(self, name: str = "PBX", url: str = "https://pbx.example.com/initiate", **more: str) -> Page:
        return self.send("/applications/new", AppName=name, CallInitiatedCallbackUrl=url, **more)

    def realm(self, name: str, **more: str) -> Page:
        return self.send("/account/realms/new", Realm=name, **more)

    def credential(self, username: str = "pbx", password: str = "a-password-never-kept", **more: str) -> Page:
        return self.send("/account/sip-credentials/new", UserName=username, password=password, **more)

    def link(self, path: str, pattern: str) -> str:
        """The first link on a page whose address fits, below /dashboard."""
        found = re.search(rf'href="/dashboard({pattern})"', self.open(path).html)
        assert found, f"no link {pattern} on {path}"
        return found[1]


def only(world: World, path: str, element: str) -> dict[str, str]:
    """The one object of a list of the account API, its elements by name."""
    objects = root(world.account("GET", path)).findall(f"*/{element}")
    assert len(objects) == 1
    return {child.tag: child.text or "" for child in objects[0]}


def every_page(person: Person) -> list[Page]:
    paths = {*PAGES, *re.findall(r'href="/dashboard(/[^"]+)"', "".join(person.open(path).html for path in PAGES))}
    return [person.open(path) for path in sorted(paths) if not path.endswith((".css", ".svg"))]


def call_page(person: Person) -> Page:
    return person.open(person.link("/calls", '/calls/[^"?]+'))


def assert_harmless(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "img", "iframe", "object"} & set(tags)
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert not attributes.get("href", "").startswith("javascript:")
    assert "planted" not in page.headers.get("set-cookie", "")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert " 49{%" not in page.words
