"""Answers that a form saves: into the file beside its comments, checked first, and never two tabs at once."""

from __future__ import annotations

import multiprocessing
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bwlib.entries import fault_in, field_of
from bwlib.errors import SettingsError
from bwlib.settings import Settings, load_settings, starter_site_file
from bwlib.site_file import write_answers

GOOD: dict[str, Any] = {
    "walk": st.sampled_from(["run", "click"]),
    "road": st.sampled_from(["realm", "sip-uri"]),
    "operator_note": st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30),
    "realm.name": st.from_regex(r"[a-z0-9]{1,30}", fullmatch=True),
    "realm.wait_s": st.floats(1, 600, allow_nan=False).map(lambda x: round(x, 2)),
    "sip_credential.rotate": st.booleans(),
    "test.digit": st.sampled_from("0123456789*#"),
    "pbx.sip_port": st.integers(1, 65535),
    "pbx.bandwidth_ips": st.lists(st.sampled_from(["203.0.113.0/24", "198.51.100.7/32"]), max_size=2, unique=True),
    "bandwidth.number": st.sampled_from(["", "+19195550100", "+442071838750"]),
}  # fmt: skip


def site(folder: Path, text: str = "") -> Path:
    path = folder / "site.toml"
    path.write_text(text or starter_site_file("my-site"), encoding="utf-8")
    return path


def answer(path: Path, entry: str) -> Any:
    found: Any = load_settings(path)
    for name in entry.split("."):
        found = getattr(found, name)
    return list(found) if isinstance(found, tuple) else found


def comments(text: str) -> list[str]:
    return re.findall(r"(?:^|\s)#(.*)$", text, re.MULTILINE)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), starter=st.booleans())
def test_what_is_written_is_read_back_and_every_comment_stays(
    tmp_path: Path, data: st.DataObject, starter: bool
) -> None:
    path = site(tmp_path, "" if starter else '# mine\nname = "my-site"  # its name\n\n[realm] # a table\n# the end\n')
    before = comments(path.read_text(encoding="utf-8"))
    entries = data.draw(st.lists(st.sampled_from(sorted(GOOD)), min_size=1, unique=True))
    answers = {entry: data.draw(GOOD[entry], label=entry) for entry in entries}
    write_answers(path, answers)
    assert {entry: answer(path, entry) for entry in answers} == answers
    text = path.read_text(encoding="utf-8")
    assert [line for line in comments(text) if line in before] == before
    assert write_answers(path, answers) == []
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("answers", "said"), [
    ({"realm.name": "Not Good"}, "realm.name: use lower-case letters"),
    ({"application.callback_user": "joe"}, "go together"),
    ({"nothing.such": "x"}, "there is no entry nothing.such"),
    ({"realm.nothing": "x"}, "there is no entry realm.nothing"),
    ({"pbx.extension_secret": "hunter2hunter2"}, "reference"),
    ({"walk": "fly"}, "walk"),
    ({"target": "live"}, "callback_url is empty"),
])  # fmt: skip
def test_a_refused_answer_leaves_the_file_as_it_was(tmp_path: Path, answers: dict[str, object], said: str) -> None:
    path = site(tmp_path)
    before = path.read_bytes()
    with pytest.raises(SettingsError) as error:
        write_answers(path, answers)
    assert said in str(error.value)
    assert "hunter2" not in str(error.value)
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.endswith(".toml")) == ["site.toml"]


def test_the_files_mode_and_a_link_to_it_stay(tmp_path: Path) -> None:
    path = site(tmp_path)
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    write_answers(link, {"walk": "click"})
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert load_settings(path).walk == "click"


def test_each_change_is_told_with_what_was_before(tmp_path: Path) -> None:
    path = site(tmp_path)
    assert write_answers(path, {"walk": "click", "test.digit": "4"}) == ["walk: run -> click"]


def test_a_file_that_was_broken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = site(tmp_path)
    path.write_text('name = "half', encoding="utf-8")
    with pytest.raises(SettingsError):
        write_answers(path, {"walk": "click"})
    assert path.read_text(encoding="utf-8") == 'name = "half'


def _save(path: Path, entry: str, value: object, go: Any) -> None:
    go.wait(10)
    write_answers(path, {entry: value})


def test_two_tabs_that_save_at_once_lose_nothing(tmp_path: Path) -> None:
    path = site(tmp_path)
    context = multiprocessing.get_context("fork")
    go = context.Event()
    wanted = {"walk": "click", "realm.name": "other", "test.digit": "7", "pbx.trunk": "t2", "pbx.route": "r2"}
    tabs = [context.Process(target=_save, args=(path, entry, value, go)) for entry, value in wanted.items()]
    for tab in tabs:
        tab.start()
    go.set()
    for tab in tabs:
        tab.join(20)
    assert [tab.exitcode for tab in tabs] == [0] * len(tabs)
    assert {entry: answer(path, entry) for entry in wanted} == wanted


# ---------------------------------------------------------------- one entry by itself

WRONG = {
    "realm.name": ("", "Big", "with space", "x" * 31),
    "test.dial": ("", "5550100", "+1", "abc", "+1919555010O"),
    "bandwidth.number": ("5550100",),
    "application.name": ("", "x" * 101, "a\nb"),
    "application.callback_url": ("ftp://x", "nonsense", "https://user:pw@host/", "https://host:0/"),
    "pbx.extension": ("1", "abc", "12345678901"),
    "pbx.trunk": ("", "a b", "ä"),
    "sip_credential.username": ("", "a b", "x" * 33),
    "realm.wait_s": ("soon", 0.0, -1.0, 601.0),
    "walk": ("fly",),
    "test.digit": ("", "10", "a"),
}


@pytest.mark.parametrize(("entry", "value"), [(entry, value) for entry, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named_alone_as_it_is_in_the_whole_file(tmp_path: Path, entry: str, value: object) -> None:
    fault = fault_in(entry, value)
    assert fault
    assert entry not in fault
    with pytest.raises(SettingsError) as error:
        load_settings(site(tmp_path), {entry: value})
    assert fault.split(",")[0] in str(error.value)


def test_a_good_value_has_no_fault(tmp_path: Path) -> None:
    values = load_settings(site(tmp_path))
    for entry in GOOD:
        found: Any = values
        for name in entry.split("."):
            found = getattr(found, name)
        assert fault_in(entry, found) == "", entry


def test_a_fault_repeats_no_secret() -> None:
    assert "hunter2" not in fault_in("sip_credential.password", "hunter2hunter2")
    assert "reference" in fault_in("sip_credential.password", "hunter2hunter2")


def test_every_entry_that_a_card_asks_for_is_one_of_the_site_files() -> None:
    from bwlib.asking_words import CARDS

    for asked in CARDS.values():
        for entry in asked.entries:
            assert field_of(entry.name) is not None


def test_the_starter_file_has_the_walk_with_a_word_on_it() -> None:
    text = starter_site_file("my-site")
    assert tomllib.loads(text)["walk"] == "run" == Settings(name="x").walk
    assert tomlkit.parse(text)["walk"].trivia.comment  # type: ignore[union-attr]
