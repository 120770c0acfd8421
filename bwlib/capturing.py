"""The pictures of notebooks 10, 20 and 30: which page shows which object, and what it must say.

How a picture is taken, and what stops one, is in `bwlib.record.screenshots`; whose pages they are, in the run's
`Surroundings`; a PBX's own pages are told by its adapter. A plain Asterisk has none: there the picture is of what
changed in its configuration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from bwlib.errors import PbxError, SettingsError
from bwlib.guide import Run
from bwlib.pbx.pages import HasPages, PbxPages
from bwlib.record import config_diff, screenshots
from bwlib.record.image_files import MAX_BYTES
from bwlib.record.screenshots import Picture, Shot
from bwlib.widgets import show

_SETTLE_S = 10.0  # a PBX's own pages are built by scripts


@dataclass(frozen=True)
class _Kind:
    """file: the picture's name. title: its caption without a name. names(object): what every page of it must say."""

    file: str
    title: str
    names: Callable[[Any], tuple[str, ...]]


KINDS = {
    "application": _Kind("10_application.png", "Voice application", lambda found: (found.name,)),
    "realm": _Kind("20_realm.png", "Realm", lambda found: (found.fqdn,)),
    "sip_credential": _Kind(
        "20_sip_credential.png", "SIP credential", lambda found: (found.username, found.realm_fqdn)
    ),
    "trunk": _Kind("30_pbx.png", "PBX", lambda found: (found.name,)),
}
_OF_REALM_ROAD = ("realm", "sip_credential")


def capture(run: Run, shown: Mapping[str, object], url: str | None = None) -> str:
    """Take and show a picture for each object; an object is None when its step made none.

    "passed" when every picture was taken, else "skipped".

    Raises: SettingsError for an unknown kind or a url that is none.
    """
    for kind in shown:
        if kind not in KINDS:
            raise SettingsError("take a picture", f"there is no page for {kind}", f"use one of: {', '.join(KINDS)}")
    address = _address(run, url, shown) if url else ""
    wanted = {kind: found for kind, found in shown.items() if _is_on_road(run, kind)}
    at_bandwidth = {kind: found for kind, found in wanted.items() if kind != "trunk"}
    pictures = _of_dashboard(run, at_bandwidth, address)
    if "trunk" in wanted:
        pictures += _of_pbx(run, wanted["trunk"], address)
    for one in pictures:
        holds = one.shot.must_hold
        show.show_picture(one.shot.title, one.status, one.reason, holds, one.png, one.file)
    return "passed" if all(one.status == "passed" for one in pictures) else "skipped"


def _is_on_road(run: Run, kind: str) -> bool:
    """A realm has no page on the second road: say so, and write nothing down."""
    away = kind in _OF_REALM_ROAD and run.settings.road != "realm"
    if away:
        road = f'not on this road: the site file says road = "{run.settings.road}"'
        show.show_text(f"Picture: {KINDS[kind].title}", [road])
    return not away


def _of_dashboard(run: Run, wanted: Mapping[str, Any], address: str) -> list[Picture]:
    pages = run.on.pages
    here, pictures, shots = f"in {pages.name}", [], []
    for kind, found in wanted.items():
        why_not = _why_none(run, found) or pages.why_not
        if not why_not and not address and pages.find is None:
            why_not = f"where {pages.name} shows it is not public: give the page's address (screenshot_url)"
        if why_not:
            pictures += screenshots.skip(run.record, [_no_shot(kind, here)], why_not, notebook=run.notebook)
            continue
        says: tuple[str, ...] = ()
        page = address
        if not page and pages.find is not None:
            page, says = pages.find(kind, found)
        names = KINDS[kind].names(found)
        title = f"{KINDS[kind].title} {names[0]} {here}"
        shots.append(Shot(kind, KINDS[kind].file, title, (*names, *says), url=page))
    if shots:
        pictures += screenshots.capture(
            run.record,
            shots,
            notebook=run.notebook,
            hosts=pages.hosts,
            sign_in=pages.sign_in,
            profile=pages.profile,
            settle_s=pages.settle_s,
        )
    return pictures


def _of_pbx(run: Run, trunk: Any, address: str) -> list[Picture]:
    """The page that is named; else the PBX's own, where it has some, and what changed in its configuration."""
    kind = KINDS["trunk"]
    why_not = _why_none(run, trunk)
    if address and not why_not:
        return _of_named_page(run, trunk, address)
    title = "PBX configuration, before and after"
    own = [] if why_not else _of_own_pages(run, trunk)
    made = None
    if not why_not:
        made = config_diff.picture_of(run.record, trunk.name, step="trunk", file=kind.file, title=title)
        why_not = "" if made else "the record holds no copy of the PBX's configuration"
    if made is None:
        return own + screenshots.skip(run.record, [_no_shot("trunk", "configuration")], why_not, notebook=run.notebook)
    return own + screenshots.capture(run.record, [made], notebook=run.notebook)


def _own_pages(run: Run, trunk: Any) -> PbxPages | None:
    pbx = run.on.pbx()
    return pbx.pages(trunk) if isinstance(pbx, HasPages) else None


def _of_named_page(run: Run, trunk: Any, address: str) -> list[Picture]:
    """The page that the operator names; signed in to, and covered, where it is one of the PBX's own."""
    kind, host = KINDS["trunk"], urlsplit(address).hostname or ""
    pages = None
    with contextlib.suppress(PbxError):  # then it is a page like any other, and its picture says what it lacks
        pages = _own_pages(run, trunk)
    own = pages if pages is not None and host in pages.hosts else None
    cover = tuple(dict.fromkeys(one for screen in own.screens for one in screen.cover)) if own else ()
    shot = Shot(
        "trunk", kind.file, f"Trunk {trunk.name} in the PBX's own pages", kind.names(trunk), url=address, cover=cover
    )
    return screenshots.capture(
        run.record,
        [shot],
        notebook=run.notebook,
        hosts=(host,),
        sign_in=own.sign_in if own else None,
        sign_out=own.sign_out if own else None,
        profile=None if own else run.on.pages.profile,
        settle_s=_SETTLE_S,
        trusted_keys=own.trusted_keys if own else (),
    )


def _of_own_pages(run: Run, trunk: Any) -> list[Picture]:
    """The PBX's pages of trunk, route and extension, signed in to as the site file says; none where it has none."""
    try:
        pages = _own_pages(run, trunk)
    except PbxError as error:
        shot = _no_shot("trunk", "in the PBX's own pages")
        return screenshots.skip(run.record, [shot], error.came_back, notebook=run.notebook)
    if pages is None:
        return []
    files: dict[str, int] = {}
    shots = []
    for screen in pages.screens:
        files[screen.kind] = files.get(screen.kind, 0) + 1
        shots.append(
            Shot(
                screen.kind,
                f"30_pbx_{screen.kind}_{files[screen.kind]}.png",
                f"{screen.title} in {pages.name}",
                (screen.holds,),
                url=screen.url,
                tabs=screen.tabs,
                cover=screen.cover,
            )
        )
    return screenshots.capture(
        run.record,
        shots,
        notebook=run.notebook,
        hosts=pages.hosts,
        sign_in=pages.sign_in,
        sign_out=pages.sign_out,
        settle_s=_SETTLE_S,
        trusted_keys=pages.trusted_keys,
    )


def _why_none(run: Run, found: object) -> str:
    if not run.writes:
        return "planned only: there is nothing new to take a picture of"
    return "there is none yet" if found is None else ""


def _no_shot(kind: str, where: str) -> Shot:
    return Shot(kind, KINDS[kind].file, f"{KINDS[kind].title} {where}", ())


def _address(run: Run, url: str, shown: Mapping[str, object]) -> str:
    """The page that the operator names; one without a host is of the dashboard."""
    try:
        address = urljoin(run.on.pages.home, url)
        parts = urlsplit(address)
    except ValueError:
        raise SettingsError("take a picture", "its page is no URL", "mend the URL") from None
    secure = run.on.target == "live" and set(shown) != {"trunk"}
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise SettingsError("take a picture", "its page is no http:// or https:// URL without a user", "mend the URL")
    if secure and parts.scheme != "https":
        raise SettingsError("take a picture", "the dashboard's page is not https", "use its https:// URL")
    return address


# ---------------------------------------------------------------- pictures by hand


def picture(run: Run, source: str | Path | bytes | None, title: str, *, ask: bool) -> None:
    """Add a picture that a person gives; without one, show the button for it, where there is somebody to ask."""
    if source is not None:
        _add(run, source if isinstance(source, bytes) else _read(Path(source)), title or _name_of(source))
    elif ask:
        from bwlib.widgets.upload import show_upload

        show_upload("Add a picture of your own", lambda name, data: _add(run, data, title or Path(name).stem))


def _add(run: Run, data: bytes, title: str) -> None:
    file = screenshots.add_picture(run.record, data, title=title, operator=run.operator, notebook=run.notebook)
    show.show_picture(title, "passed", "", (), (run.record.folder / file).read_bytes(), file)


def _name_of(source: str | Path | bytes) -> str:
    return "Picture" if isinstance(source, bytes) else Path(source).stem


def _read(path: Path) -> bytes:
    try:
        with path.expanduser().open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise SettingsError(f"add the picture {path}", said, "name a PNG or JPEG file") from None
