"""Pictures in a record, without a browser: what is written down, and what a picture by hand is stripped of."""

from __future__ import annotations

import json
import os
import stat
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwlib import capturing
from bwlib.errors import BrowserMissing, RecordError, SettingsError
from bwlib.live import LIVE_DASHBOARD_URL, live_pages
from bwlib.models import Application, Realm
from bwlib.record import screenshots
from bwlib.record.image_files import MAX_BYTES, cleaned
from bwlib.record.manifest import manifest_faults, run_status, seal
from bwlib.record.redact import redactor_for
from bwlib.record.run_record import RunRecord, start_run
from bwlib.record.screenshots import Shot, add_picture, capture, lacking
from bwlib.surroundings import Pages

SECRET = "correct-horse-battery"
SHOT = Shot("realm", "20_realm.png", "Realm a.test", ("a.test",), url="http://127.0.0.1/realm?key=1")


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return start_run(tmp_path / "runs" / "my-site", redactor_for([("file:sip", SECRET)]), site="my-site")


def lines(record: RunRecord, kind: str = "screenshot") -> list[dict[str, Any]]:
    return [line for line in record.journal.lines() if line["kind"] == kind]


# ---------------------------------------------------------------- PNG and JPEG, made by hand


def chunk(name: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


PNG_HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
PNG_PIXELS = chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
PNG = PNG_HEAD + PNG_PIXELS + chunk(b"IEND")


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def exif(order: str, orientation: int) -> bytes:
    """A camera's Exif segment: how it was held, and a text."""
    tags = struct.pack(f"{order}HHII", 271, 2, 4, 0x41424300) + struct.pack(f"{order}HHIHH", 274, 3, 1, orientation, 0)
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    return b"Exif\0\0" + mark + struct.pack(f"{order}H", 2) + tags + bytes(4) + b"GPS 51.5N"


JFIF = b"JFIF\0\x01\x02\0\0\x48\0\x48"
JPEG_DRAWN = segment(0xDB, bytes(65)) + segment(0xC0, b"\x08\0\x01\0\x01\x01\x01\x11\0") + segment(0xC4, bytes(17))
JPEG_SCAN = segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x12\xff\x00\x34\xff\xd3\x56"
JPEG = b"\xff\xd8" + segment(0xE0, JFIF + b"\0\0") + JPEG_DRAWN + JPEG_SCAN + b"\xff\xd9"


def test_a_clean_picture_stays_as_it_is() -> None:
    assert cleaned(PNG) == (".png", PNG)
    assert cleaned(JPEG) == (".jpg", JPEG)


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"iCCP", b"prVt"])
def test_a_png_keeps_no_text_time_place_or_private_chunk(name: bytes) -> None:
    assert cleaned(PNG_HEAD + chunk(name, b"Author\0ada") + PNG_PIXELS + chunk(b"IEND")) == (".png", PNG)


def test_a_png_keeps_its_colours_but_nothing_in_their_place() -> None:
    colours = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sRGB", b"\0")
    assert cleaned(PNG_HEAD + colours + PNG_PIXELS + chunk(b"IEND"))[1] == PNG_HEAD + colours + PNG_PIXELS + chunk(
        b"IEND"
    )
    assert cleaned(PNG_HEAD + chunk(b"sRGB", b"not a colour") + PNG_PIXELS + chunk(b"IEND"))[1] == PNG


@pytest.mark.parametrize("image", [PNG, JPEG], ids=["png", "jpeg"])
def test_what_stands_behind_the_end_of_a_picture_is_dropped(image: bytes) -> None:
    assert cleaned(image + b"PK\x03\x04 a whole archive")[1] == image


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xFE, 0xEF], ids=hex)
def test_a_jpeg_keeps_no_exif_colour_profile_or_comment(marker: int) -> None:
    dirty = JPEG[:2] + segment(marker, b"Exif\0\0 or anything: 51.5N") + JPEG[2:]
    assert cleaned(dirty) == (".jpg", JPEG)


def test_a_jpeg_keeps_no_thumbnail() -> None:
    dirty = b"\xff\xd8" + segment(0xE0, JFIF + b"\x01\x01RGB") + segment(0xE0, b"JFXX\0\x10x") + JPEG[20:]
    assert JPEG[2:20] == segment(0xE0, JFIF + b"\0\0")
    assert cleaned(dirty) == (".jpg", JPEG)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_photograph_stays_the_right_way_up_and_says_nothing_else(order: str) -> None:
    turned = cleaned(b"\xff\xd8" + segment(0xE1, exif(order, 6)) + JPEG[2:])[1]
    assert cleaned(turned)[1] == turned
    assert b"GPS" not in turned
    assert b"ABC" not in turned
    assert struct.pack(">HHIH", 274, 3, 1, 6) in turned
    assert cleaned(b"\xff\xd8" + segment(0xE1, exif(order, 1)) + JPEG[2:])[1] == JPEG


WRONG = {
    "empty": b"", "a text": b"GIF89a", "a PDF": b"%PDF-1.7", "an SVG": b"<svg/>",
    "a PNG cut off": PNG[:-4], "a PNG without pixels": PNG_HEAD + chunk(b"IEND"),
    "a PNG with a wrong checksum": PNG.replace(b"IHDR\0", b"IHDR\1"), "a PNG's first bytes": PNG[:8],
    "a JPEG cut off": JPEG[:-2], "a JPEG without a scan": JPEG[:2] + JPEG_DRAWN + b"\xff\xd9", "two bytes": b"\xff\xd8",
    "a JPEG that says a wrong length": b"\xff\xd8\xff\xe1\xff\xff", "garbage in a JPEG": b"\xff\xd8\xff\xe1\0\x02xx",
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_whole_png_or_jpeg_is_refused_and_nothing_is_written(record: RunRecord, what: str) -> None:
    with pytest.raises(SettingsError, match="add a picture"):
        add_picture(record, WRONG[what], title="x", operator="ada")
    assert not (record.folder / "screenshots").exists()
    assert lines(record, "picture") == []


def test_a_picture_that_is_too_large_is_refused() -> None:
    with pytest.raises(SettingsError, match="bytes, more than"):
        cleaned(PNG + bytes(MAX_BYTES))


@given(start=st.sampled_from([PNG[:8], PNG[:33], JPEG[:4], JPEG[:60]]), rest=st.binary(max_size=200))
def test_broken_pictures_are_refused_or_cleaned_but_never_anything_else(start: bytes, rest: bytes) -> None:
    try:
        kept = cleaned(start + rest)[1]
    except SettingsError:
        return
    assert cleaned(kept)[1] == kept


# ---------------------------------------------------------------- pictures that a person gives


def test_pictures_by_hand_are_numbered_private_and_in_the_journal(record: RunRecord) -> None:
    assert add_picture(record, PNG, title="The PBX", operator="ada", notebook="30_pbx") == "screenshots/by_hand_1.png"
    assert add_picture(record, JPEG, title="The rack", operator="ada") == "screenshots/by_hand_2.jpg"
    first, second = lines(record, "picture")
    assert (first["file"], first["title"], first["operator"], first["notebook"]) == (
        "screenshots/by_hand_1.png", "The PBX", "ada", "30_pbx")  # fmt: skip
    assert second["file"] == "screenshots/by_hand_2.jpg"
    for line in (first, second):
        assert stat.S_IMODE((record.folder / line["file"]).stat().st_mode) == 0o600
    seal(record)
    assert manifest_faults(record.folder) == []


def test_the_same_picture_given_again_is_there_once(record: RunRecord) -> None:
    dirty = PNG_HEAD + chunk(b"tEXt", b"Time\0now") + PNG_PIXELS + chunk(b"IEND")
    assert {add_picture(record, data, title="x", operator="ada") for data in (PNG, dirty)} == {
        "screenshots/by_hand_1.png"
    }
    assert len(lines(record, "picture")) == 1


def test_a_picture_with_a_secret_in_its_bytes_is_refused_by_name_and_never_by_value(record: RunRecord) -> None:
    hidden = PNG_HEAD + chunk(b"PLTE", SECRET.encode()) + PNG_PIXELS + chunk(b"IEND")
    with pytest.raises(SettingsError, match="file:sip") as caught:
        add_picture(record, hidden, title="x", operator="ada")
    assert SECRET not in str(caught.value)


def test_a_sealed_record_takes_no_picture(record: RunRecord) -> None:
    seal(record)
    with pytest.raises(RecordError, match="sealed"):
        add_picture(record, PNG, title="x", operator="ada")
    assert not (record.folder / "screenshots").exists()


def test_a_secret_in_a_title_is_masked(record: RunRecord) -> None:
    add_picture(record, PNG, title=f"with {SECRET}", operator="ada")
    assert SECRET not in record.journal.path.read_text()


# ---------------------------------------------------------------- what must be held


@pytest.mark.parametrize(("text", "name", "holds"), [
    ("the realm a.test is ACTIVE", "a.test", True), ("[demo]", "demo", True), ("trunk demo.", "demo", True),
    ("PJSIP/+1@demo,60", "demo", True), ("PBX\n  Interconnect", "PBX Interconnect", True),
    ("demo-auth", "demo", False), ("a-demo", "demo", False), ("demo.auth.test", "demo", False),
    ("x.a.test", "a.test", False), ("demos", "demo", False), ("", "demo", False),
])  # fmt: skip
def test_a_name_is_held_as_a_whole_word(text: str, name: str, holds: bool) -> None:
    assert (lacking(text, [name]) == []) is holds


def test_a_shot_cannot_ask_for_the_empty_name() -> None:
    with pytest.raises(ValueError, match="every page"):
        Shot("realm", "x.png", "x", ("a", ""))


# ---------------------------------------------------------------- without a browser


def test_without_a_browser_each_picture_is_skipped_with_the_reason(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BW_BROWSER", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    (taken,) = capture(record, [SHOT], notebook="20_sip_credentials")
    (line,) = lines(record)
    assert (taken.status, taken.file, taken.png) == ("skipped", "", b"")
    assert (line["status"], line["file"], line["holds"], line["step"]) == ("skipped", "", [], "realm")
    assert (line["notebook"], line["title"], line["page"]) == ("20_sip_credentials", "Realm a.test", "/realm")
    assert "no chromium" in line["reason"]
    assert "Do next" in line["reason"]


@pytest.mark.parametrize(("error", "status"), [
    (BrowserMissing("start the browser", "it broke", "x"), "skipped"),
    (RuntimeError(f"typed {SECRET}\nCall log: {SECRET}"), "failed"),
])  # fmt: skip
def test_a_browser_that_fails_is_written_down_without_a_secret_and_fails_nothing(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(screenshots, "with_page", fail)
    record.journal.append("step", step="realm", status="passed")
    taken = capture(record, [SHOT, SHOT], notebook="n")
    assert [one.status for one in taken] == [line["status"] for line in lines(record)] == [status, status]
    assert SECRET not in record.journal.path.read_text() + str(taken)
    assert "Call log" not in taken[0].reason
    assert run_status(record.folder) == "passed"


def test_what_was_taken_before_a_browser_broke_is_kept(record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(visit: Any, **_: object) -> None:
        visit(None)
        raise RuntimeError("it went away")

    good = screenshots.Picture(SHOT, "passed", png=PNG)
    monkeypatch.setattr(screenshots, "with_page", broken)
    monkeypatch.setattr(screenshots, "_take", lambda *_: good)
    assert [one.status for one in capture(record, [SHOT], notebook="n")] == ["passed"]
    assert (record.folder / "screenshots" / "20_realm.png").read_bytes() == PNG


# ---------------------------------------------------------------- which page, when


class FakeRun(SimpleNamespace):
    """What `capture` needs of a run."""

    def __init__(self, record: RunRecord, pages: Pages, **facts: Any) -> None:
        on = SimpleNamespace(pages=pages, target=facts.pop("target", "sandbox"), pbx=lambda: None)
        road = SimpleNamespace(road=facts.pop("road", "realm"))
        super().__init__(**{"record": record, "on": on, "settings": road, "notebook": "n", "writes": True, **facts})


NOWHERE = Pages("nobody's dashboard", "https://dash.test/", ("dash.test",), why_not="nobody is there")
REALM = Realm("1", "a.test", "", False, "ACTIVE")


def test_a_run_that_only_plans_skips_its_pictures(record: RunRecord) -> None:
    capturing.capture(FakeRun(record, NOWHERE, writes=False), {"application": None, "trunk": None})  # type: ignore[arg-type]
    assert [(line["step"], line["status"]) for line in lines(record)] == [
        ("application", "skipped"), ("trunk", "skipped")]  # fmt: skip
    assert all("planned only" in line["reason"] for line in lines(record))


def test_what_no_step_made_has_no_picture(record: RunRecord) -> None:
    capturing.capture(FakeRun(record, NOWHERE), {"realm": None})  # type: ignore[arg-type]
    assert [line["reason"] for line in lines(record)] == ["there is none yet"]


def test_on_the_second_road_realms_are_left_out_quietly(record: RunRecord, capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun(record, NOWHERE, road="sip-uri")
    capturing.capture(run, {"realm": None, "sip_credential": None})  # type: ignore[arg-type]
    assert lines(record) == []
    assert capsys.readouterr().out.count("not on this road") == 2


def test_without_a_signed_in_profile_live_pictures_are_skipped_and_say_so(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BW_BROWSER_PROFILE", raising=False)
    capturing.capture(FakeRun(record, live_pages(), target="live"), {"realm": REALM})  # type: ignore[arg-type]
    assert "BW_BROWSER_PROFILE" in lines(record)[0]["reason"]
    monkeypatch.setenv("BW_BROWSER_PROFILE", "/nowhere")
    assert "names no folder: /nowhere" in live_pages().why_not


def test_on_live_the_operator_names_the_page(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BW_BROWSER_PROFILE", str(tmp_path))
    run: Any = FakeRun(record, live_pages(), target="live")
    capturing.capture(run, {"realm": REALM})
    assert "is not public" in lines(record)[0]["reason"]
    asked: dict[str, Any] = {}

    def told(_: object, shots: list[Shot], **options: Any) -> list[screenshots.Picture]:
        asked.update(options, url=shots[0].url, holds=shots[0].must_hold)
        return []

    monkeypatch.setattr(screenshots, "capture", told)
    capturing.capture(run, {"realm": REALM}, "portal/realms")
    assert (asked["url"], asked["holds"]) == (f"{LIVE_DASHBOARD_URL}portal/realms", ("a.test",))
    assert (asked["profile"], asked["sign_in"]) == (tmp_path, None)


@pytest.mark.parametrize("url", ["ftp://dash.test/x", "https://ada:pw@dash.test/", "http://dash.test/x", "http://[x"])
def test_a_page_that_must_not_be_asked_is_refused_before_anything_is_done(record: RunRecord, url: str) -> None:
    run: Any = FakeRun(record, NOWHERE, target="live")
    with pytest.raises(SettingsError, match="take a picture"):
        capturing.capture(run, {"application": Application("x", "https://x.test/")}, url)
    assert lines(record) == []


def test_an_unknown_kind_of_page_is_refused(record: RunRecord) -> None:
    with pytest.raises(SettingsError, match="no page for phone"):
        capturing.capture(FakeRun(record, NOWHERE), {"phone": None})  # type: ignore[arg-type]


def test_a_picture_can_be_given_as_a_file_or_as_bytes(record: RunRecord, tmp_path: Path) -> None:
    run: Any = FakeRun(record, NOWHERE, operator="ada")
    (tmp_path / "Trunk page.png").write_bytes(PNG)
    capturing.picture(run, tmp_path / "Trunk page.png", "", ask=True)
    capturing.picture(run, JPEG, "", ask=True)
    assert [line["title"] for line in lines(record, "picture")] == ["Trunk page", "Picture"]
    with pytest.raises(SettingsError, match="No such file"):
        capturing.picture(run, str(tmp_path / "none.png"), "", ask=True)


def test_nobody_is_asked_for_a_picture_in_an_unattended_run(
    record: RunRecord, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bwlib.widgets.upload.show_upload", lambda *_: pytest.fail("asked"))
    capturing.picture(FakeRun(record, NOWHERE), None, "", ask=False)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


def test_a_chosen_file_goes_into_the_record_and_not_into_the_widgets_state(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda *widgets, **_: shown.extend(widgets))
    capturing.picture(FakeRun(record, NOWHERE, operator="ada"), None, "", ask=True)  # type: ignore[arg-type]
    button = shown[0].children[0]
    for name, content in (("rack.png", PNG), ("notes.txt", b"no picture")):
        file = {"name": name, "type": "x", "size": 1, "content": memoryview(content)}
        button.value = ({**file, "last_modified": datetime(2026, 11, 23, tzinfo=UTC)},)
        assert button.value == ()
    assert [line["title"] for line in lines(record, "picture")] == ["rack"]
    assert json.dumps(button.get_state(), default=str).count("PNG") == 0
    assert os.listdir(record.folder / "screenshots") == ["by_hand_1.png"]
