"""Take the pictures of the tab *By hand* from a sandbox of its own: python tools/by_hand_pictures.py

Walks guide steps 1 and 2 at the sandbox's dashboard with example values, draws on each page the numbers of the clicks
of `bwlib.by_hand_walk`, and writes bwlib/widgets/pictures/*.png. What the pages said meanwhile goes to pictures.json
beside them: tests/peers/test_by_hand_pictures.py walks again and compares, so a picture cannot go stale unseen.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from bwlib.browser import with_page  # noqa: E402
from bwlib.models import Application  # noqa: E402
from bwlib.sandbox import control  # noqa: E402
from bwlib.sandbox.control import Sandbox  # noqa: E402
from bwlib.sandbox_pages import sandbox_pages  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PICTURES = PROJECT / "bwlib" / "widgets" / "pictures"
FACTS = PICTURES / "pictures.json"
WIDTH = 900
APPLICATION = Application(
    "PBX Interconnect", "https://pbx.example.com/initiate", call_status_url="https://pbx.example.com/status"
)
REALM, DESCRIPTION, USERNAME = "acme", "PBX at the head office", "pbx"

# What is of the sandbox alone is taken out, ids become examples. Through the CSSOM, which the pages' content security
# policy leaves open.
_TIDY = """([account, hex, user]) => {
    document.activeElement.blur();
    document.querySelector('.extra').style.display = 'none';
    document.querySelector('main').style.paddingBottom = '4px';
    document.querySelector('header').style.paddingTop = '14px';
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        for (const [mine, example] of [[account, '9900000'], [hex, '1a2b3c'], [user, 'your name']])
            text.data = text.data.replaceAll(mine, example);
    }
}"""
_DRAW = """marks => {
    const draw = style => {
        const made = document.createElement('div');
        const always = {position: 'absolute', boxSizing: 'border-box', zIndex: 9, pointerEvents: 'none'};
        Object.assign(made.style, always, style);
        document.body.append(made);
        return made;
    };
    const px = values => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value + 'px']));
    for (const [number, left, box] of marks) {
        draw({...px({left: box.x - 5, top: box.y - 5, width: box.width + 10, height: box.height + 10}),
            border: '2px solid #9b1c1c', borderRadius: '8px'});
        const at = left ? {left: box.x - 33, top: box.y + box.height / 2 - 13}
            : {left: box.x + box.width - 8, top: box.y - 18};
        draw({...px(at), width: '26px', height: '26px', borderRadius: '50%', background: '#9b1c1c', color: '#fff',
            border: '2px solid #fff', font: '700 14px/22px system-ui, sans-serif', textAlign: 'center'})
            .textContent = number;
    }
}"""
_PIXELS = """async png => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + png;
    await image.decode();
    const {width, height} = image, canvas = Object.assign(document.createElement('canvas'), {width, height});
    const drawing = canvas.getContext('2d');
    drawing.drawImage(image, 0, 0);
    const bytes = drawing.getImageData(0, 0, width, height).data;
    let text = '';
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return [width, height, btoa(text)];
}"""


@dataclass(frozen=True)
class Mark:
    """A place that a number is drawn on: at its upper right corner, or left of it. name: as the page has it."""

    number: int
    name: str
    place: Locator
    left: bool = False


@dataclass(frozen=True)
class Shot:
    """One page as it was pictured. labels: roles and names of what the picture shows, in their order."""

    labels: list[str]
    marks: list[tuple[int, str]]
    image: bytes


class Walk:
    """Somebody who walks guide steps 1 and 2 with a camera."""

    def __init__(self, page: Page, sandbox: Sandbox) -> None:
        self.page, self.sandbox = page, sandbox
        self.shots: dict[str, Shot] = {}

    def take(self, name: str, parts: list[Locator], marks: list[Mark], above: int = 0) -> None:
        """parts: what it shows, from the top of the first to the bottom of the last, and so many pixels above."""
        fqdn = re.search(rf"{REALM}[.-]([0-9a-f]+)\.auth", self.page.locator("main").inner_text())
        mine = [self.sandbox.account_id, fqdn[1] if fqdn else "1a2b3c", self.sandbox.dashboard_user]
        self.page.evaluate(_TIDY, mine)
        labels = [line for part in parts for line in said(part.aria_snapshot())]
        self.page.evaluate(_DRAW, [[mark.number, mark.left, _box(mark.place)] for mark in marks])
        boxes = [_box(part) for part in parts]
        top, bottom = min(box["y"] for box in boxes), max(box["y"] + box["height"] for box in boxes)
        clip: Any = {"x": 0, "y": top - above, "width": WIDTH, "height": bottom - top + above + 8}
        image = self.page.screenshot(clip=clip, full_page=True)
        self.shots[name] = Shot(labels, [(mark.number, mark.name) for mark in marks], image)

    # ------------------------------------------------------------ places on a page

    def link(self, name: str, inside: str = "") -> Locator:
        place = self.page.get_by_role("region", name=inside, exact=True) if inside else self.page
        return place.get_by_role("link", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, name: str) -> Locator:
        return self.page.get_by_label(re.compile(rf"^{re.escape(name)}(?: \(required\))?$"))

    def on(self, number: int, *names: str) -> list[Mark]:
        return [Mark(number, name, self.field(name)) for name in names]

    def part(self, selector: str) -> Locator:
        return self.page.locator(selector).first


def said(snapshot: str) -> list[str]:
    """Lines of an accessibility snapshot without addresses, and with numbers that differ by sandbox left out."""
    lines = [line.strip().removeprefix("- ") for line in snapshot.splitlines() if "/url:" not in line]
    lines = [re.sub(rf"(?<={REALM}[.-])[0-9a-f]+(?=\.auth)", "1a2b3c", line) for line in lines]
    return [re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|:\d{4,5}\b", "…", line) for line in lines]


def _box(place: Locator) -> dict[str, float]:
    box = place.bounding_box()
    if box is None:
        raise SystemExit(f"{place} is not to be seen")
    return {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}


def walk(page: Page, sandbox: Sandbox) -> dict[str, Shot]:
    """The pages of guide steps 1 and 2, by the file name of their picture. The sandbox must be new."""
    page.set_viewport_size({"width": WIDTH, "height": 900})
    sign_in = sandbox_pages(sandbox, "").sign_in
    assert sign_in is not None
    sign_in(page)
    there = Walk(page, sandbox)
    for step in (_name_menu, _step_1, _realm, _credential):
        step(there)
    return there.shots


def _name_menu(there: Walk) -> None:
    """While the account is empty: what is behind the menu would only be in its way."""
    menu = there.page.locator("details.name-menu")
    menu.locator("summary").click()
    marks = [Mark(1, "name", menu.locator("summary")), Mark(2, "Account", there.link("Account"))]
    there.take("name_menu.png", [there.part("header"), menu.locator(".menu")], marks)


def _step_1(there: Walk) -> None:
    page = there.page
    page.goto(f"{there.sandbox.dashboard_url}/applications")
    marks = [Mark(2, "Applications", there.link("Applications")), Mark(3, "Create New", there.link("Create New"))]
    there.take("applications.png", [there.part("header"), there.part("main")], marks)
    there.link("Create New").click()
    urls = {"Call initiated": APPLICATION.call_initiated_url, "Call status": str(APPLICATION.call_status_url)}
    there.field("Application name").fill(APPLICATION.name)
    page.get_by_label("Voice", exact=True).check()
    for name, url in urls.items():
        there.field(f"{name} callback URL").fill(url)
    voice = page.locator("label").filter(has=page.get_by_label("Voice", exact=True))
    pairs = [
        there.on(number, f"{name} callback URL", f"{name} method") for number, name in zip((6, 7), urls, strict=True)
    ]
    there.take(
        "application_form.png",
        [there.part(".panel")],
        [
            *there.on(4, "Application name"),
            Mark(5, "Voice", voice, left=True),
            *pairs[0],
            *pairs[1],
            *there.on(8, "Callback user ID", "Callback password"),
            Mark(9, "Save changes", there.button("Save changes")),
        ],
        above=12,
    )
    there.button("Save changes").click()
    page.get_by_text("The application is created.").wait_for()


def _realm(there: Walk) -> None:
    page = there.page
    page.goto(f"{there.sandbox.dashboard_url}/account")
    tab = Mark(3, "SIP Credentials", there.link("SIP Credentials"))
    there.take("account.png", [there.part("header"), there.part("main h1"), there.part("main nav")], [tab])
    there.link("SIP Credentials").click()
    add = Mark(4, "Add", there.link("Add", "Manage Realms"))
    there.take("manage_realms.png", [there.part("main")], [add])
    there.link("Add", "Manage Realms").click()
    there.field("Name").fill(REALM)
    there.field("Description").fill(DESCRIPTION)
    marks = [*there.on(5, "Name"), *there.on(6, "Description"), Mark(7, "Add", there.button("Add"))]
    there.take("realm_form.png", [there.part("main")], marks)
    there.button("Add").click()
    while page.get_by_text("CREATE_PENDING").count():
        page.wait_for_timeout(200)
        page.goto(f"{there.sandbox.dashboard_url}/account/sip-credentials")
    page.goto(f"{there.sandbox.dashboard_url}/account/sip-credentials")
    active = Mark(8, "ACTIVE", page.get_by_text("ACTIVE", exact=True))
    there.take("realm_active.png", [there.part("main")], [active])


def _credential(there: Walk) -> None:
    page = there.page
    page.goto(f"{there.sandbox.dashboard_url}/account/sip-credentials")
    add = Mark(2, "Add", there.link("Add", "SIP Credentials"))
    there.take("sip_credentials.png", [there.part("main")], [add])
    there.link("Add", "SIP Credentials").click()
    there.field("User name").fill(USERNAME)
    there.field("Password").fill("not-a-real-password")
    there.field("Application").select_option(APPLICATION.name)
    marks = [
        *there.on(3, "User name"), *there.on(4, "Password"), *there.on(5, "Realm"), *there.on(6, "Application"),
        Mark(7, "Add SIP Credentials", there.button("Add SIP Credentials")),
    ]  # fmt: skip
    there.take("credential_form.png", [there.part("main")], marks)
    there.button("Add SIP Credentials").click()
    page.get_by_text("is added.").wait_for()
    page.goto(f"{there.sandbox.dashboard_url}/account/sip-credentials")
    row = page.locator("tr").filter(has_text=APPLICATION.name)
    there.take("credential_listed.png", [there.part("main")], [Mark(8, USERNAME, row)])


def facts(shots: dict[str, Shot]) -> dict[str, Any]:
    """What pictures.json holds of each picture, but for the digest of its file."""
    return {name: {"marks": [list(mark) for mark in shot.marks], "labels": shot.labels} for name, shot in shots.items()}


def small(page: Page, image: bytes) -> bytes:
    """The same picture as a PNG of at most 256 colours: the less frequent ones become their nearest neighbours."""
    width, height, data = page.evaluate(_PIXELS, b64encode(image).decode())
    pixels = np.frombuffer(b64decode(data), np.uint8).reshape(-1, 4)[:, :3]
    colours, where, often = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    palette = colours[np.argsort(-often)[:256]]
    nearest = [int(np.abs(palette.astype(int) - colour).sum(axis=1).argmin()) for colour in colours.astype(int)]
    rows = np.array(nearest, np.uint8)[where.reshape(-1)].reshape(height, width)
    lines = np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()  # before each row the filter: none
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _walk_and_shrink(page: Page, sandbox: Sandbox) -> dict[str, Shot]:
    shots = walk(page, sandbox)
    page.goto("about:blank")
    return {name: replace(shot, image=small(page, shot.image)) for name, shot in shots.items()}


def in_new_sandbox(do: Callable[[Page, Sandbox], dict[str, Shot]]) -> dict[str, Shot]:
    with tempfile.TemporaryDirectory(prefix="bw-pictures-") as home:
        sandbox = control.start(Path(home))
        try:
            return with_page(lambda page: do(page, sandbox), hosts=("127.0.0.1",))
        finally:
            sandbox.down()


def main() -> None:
    shots = in_new_sandbox(_walk_and_shrink)
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    written = facts(shots)
    for name, shot in shots.items():
        (PICTURES / name).write_bytes(shot.image)
        written[name]["sha256"] = sha256(shot.image).hexdigest()
        print(f"{name}: {len(shot.image) / 1024:.0f} KB, numbers {sorted({number for number, _ in shot.marks})}")
    FACTS.write_text(json.dumps(written, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
