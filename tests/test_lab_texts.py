"""Labs as text: what a trainer may write, the notebooks made of it, and edits that can be taken back line by line."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from test_cli import bw_runbook
from test_notebooks import FORBIDDEN, ORDER, read

from bwlib import open_lab
from bwlib.cli_train import _cell
from bwlib.cli_train import passed as collect
from bwlib.errors import NotAsExpected, SettingsError
from bwlib.record.pack import pack
from bwlib.record.redact import Redactor
from bwlib.record.run_record import start_run
from bwlib.training.breaking import BREAKS, BY_NAME
from bwlib.training.certificate import certificates_in, one_each, write_certificate
from bwlib.training.config_edits import add_section, drop_option, drop_section, option_of, set_option
from bwlib.training.judge import about, hint, main, solution
from bwlib.training.labs import LEVELS, LabText, find_lab, labs_folder, labs_in, read_lab
from bwlib.training.notebook import notebook_text, write_notebooks
from bwlib.training.opening import _earlier
from bwlib.training.seat import Notes, Seat, read_notes, trainee_folder, write_notes
from bwlib.training.stage import hunks

LABS = labs_in(labs_folder())
LAB = """\
title = "Silence"
level = "easy"
story = "Nobody hears us."
breaks = ["wrong-password"]
call = "outward"
hints = ["a", "b", "c"]
solution = "The password."
"""
PJSIP = """\
; >>> trunk t of site s
[t]
type = endpoint
allow = !all,ulaw
outbound_auth = t-auth

[t-auth]
type = auth
password = a\\;b

[t-identify]
type = identify
match = 127.0.0.2
; <<<
"""


# ------------------------------------------------------------------ the labs that there are


def test_there_are_labs_of_every_level_and_combinations_among_them() -> None:
    assert len(LABS) >= 10
    assert {lab.level for lab in LABS} == set(LEVELS)
    assert sum(len(lab.breaks) > 1 for lab in LABS) >= 3
    levels = [LEVELS.index(lab.level) for lab in LABS]
    assert levels == sorted(levels), "from easy to nasty"


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.id)
def test_a_labs_notebook_is_made_from_its_text(lab: LabText) -> None:
    path = labs_folder() / f"{lab.id}.ipynb"
    assert path.read_text(encoding="utf-8") == notebook_text(lab), "python tools/lab_notebooks.py"


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.id)
def test_a_labs_notebook_does_not_hold_the_answer(lab: LabText) -> None:
    text = notebook_text(lab)
    for told in (*lab.breaks, *lab.hints, lab.solution, *(BY_NAME[name].said for name in lab.breaks)):
        assert told not in text


def test_a_labs_notebook_keeps_the_form_of_the_others() -> None:
    import ast

    for lab in LABS:
        notebook = read(labs_folder() / f"{lab.id}.ipynb")
        nbformat.validate(notebook)
        markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        assert re.findall(r"(?m)^## (.+)$", "\n".join(markdown)) == ORDER
        assert "**Afterwards**" in markdown[0]
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in code:
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, FORBIDDEN)]
        for cell, following in pairwise(notebook.cells):
            if cell.cell_type == "code" and "lab." in cell.source and "hints" not in cell.source:
                assert following.cell_type == "markdown"


def test_every_break_that_can_be_a_lab_fails_something_that_a_judge_notices() -> None:
    assert [
        each.name for each in BREAKS if each.lab and not {"outward", "inward", "registration"} & set(each.fails)
    ] == []
    assert len({each.name for each in BREAKS}) == len(BREAKS)


def test_the_command_line_lists_them_without_the_answers() -> None:
    listed = bw_runbook("train", "list", "--json").stdout
    assert [row["id"] for row in json.loads(listed)] == [lab.id for lab in LABS]
    assert not [lab.id for lab in LABS if lab.breaks[0] in listed]


# ------------------------------------------------------------------ what a trainer writes


def test_a_lab_of_ten_lines_is_read(tmp_path: Path) -> None:
    (tmp_path / "21_silence.toml").write_text(LAB)
    lab = read_lab(tmp_path / "21_silence.toml")
    assert (lab.id, lab.breaks, lab.ways) == ("21_silence", ("wrong-password",), ("outward",))
    assert find_lab(tmp_path, "21") == lab
    assert [path.name for path in write_notebooks([lab], tmp_path)] == ["21_silence.ipynb"]
    assert write_notebooks([lab], tmp_path) == [], "what is there is the trainee's"


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ('"wrong-password"', '"wrong-pasword"', "did you mean wrong-password"),
        ('"wrong-password"', '"not-entitled"', "cannot be judged"),
        ('call = "outward"', 'call = "inward"', "would pass with it"),
        ('call = "outward"', 'call = "sideways"', "call is none of"),
        ('"c"]', "]", "2 entries"),
        ("level", "levle", "unknown entry levle; level is missing"),
        ('title = "Silence"', "title = 1", "title is missing"),
        ("hints = [", "hints = [1, ", "no list of texts"),
        ("title", "", "Invalid"),
    ],
)
def test_a_lab_that_is_wrong_is_refused_with_the_entry(tmp_path: Path, was: str, now: str, words: str) -> None:
    (tmp_path / "21_silence.toml").write_text(LAB.replace(was, now))
    with pytest.raises(SettingsError) as said:
        read_lab(tmp_path / "21_silence.toml")
    assert words.partition(";")[0] in said.value.came_back


@pytest.mark.parametrize("name", ["certificates", "notebooks", "jupyter", "21 silence", "-21", "Silence"])
def test_a_lab_has_no_name_that_its_folder_could_not_have(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.toml").write_text(LAB)
    with pytest.raises(SettingsError, match="the name") as said:
        read_lab(tmp_path / f"{name}.toml")
    assert name in said.value.came_back


@pytest.mark.parametrize("name", ["../ada", "certificates", "", "01/.."])
def test_a_name_that_is_no_labs_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path / "home"))
    with pytest.raises(SettingsError, match="the name"):
        open_lab(name, trainee="ada")
    main(["check", str(tmp_path / "home" / "train" / "ada"), name])
    assert "the name" in json.loads(capsys.readouterr().out)["error"][1]
    assert list(tmp_path.iterdir()) == []


def test_a_trainee_is_no_path() -> None:
    for name in ("../x", "Ada", "a b", "", "-a", "a" * 21):
        with pytest.raises(SettingsError):
            trainee_folder(name)


# ------------------------------------------------------------------ the judge's notes


def test_notes_come_back_and_do_not_show_the_answer_to_a_look(tmp_path: Path) -> None:
    seat, lab = Seat(tmp_path / "ada", LABS[0].id), LABS[0]
    seat.judge.mkdir(parents=True)
    notes = Notes("ada", lab, "7", "2026-11-27T09:00:00+00:00", {"challenge": "on"}, 1)
    write_notes(seat, notes)
    kept = (seat.judge / "notes").read_text()
    assert read_notes(seat) == notes
    assert not [name for name in lab.breaks if name in kept]
    assert (seat.judge / "notes").stat().st_mode & 0o777 == 0o600
    assert not set(about(notes)) & {"breaks", "hint", "solution", "switches"}
    copied = Seat(tmp_path / "eve", seat.lab)
    shutil.copytree(seat.home, copied.home)
    with pytest.raises(NotAsExpected, match="begun by ada"):
        read_notes(copied)
    (seat.judge / "notes").write_text("x" + kept)
    with pytest.raises(NotAsExpected):
        read_notes(seat)


def test_hints_and_the_solution_count_on_when_a_lab_is_begun_again(tmp_path: Path) -> None:
    seat, lab = Seat(tmp_path / "ada", LABS[0].id), LABS[0]
    seat.judge.mkdir(parents=True)
    assert _earlier(seat) == {}
    write_notes(seat, Notes("ada", lab, "7", "2026-11-27T09:00:00+00:00", {}, 1, certificate="passed/before"))
    assert hint(seat, -2)["number"] == 1
    assert hint(seat)["number"] == 2
    solution(seat)
    assert _earlier(seat) == {"hints": 2, "attempts": 0, "saw_solution": True, "begun": 2}


def test_whatever_lies_beside_certificates_is_passed_over(tmp_path: Path) -> None:
    for name, text in {"words": "garbage\n", "list": "[1]\n", "cut": '{"kind"', "other": '{"kind": "step"}\n'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_text(text)
    (tmp_path / "folder" / "journal.jsonl").mkdir(parents=True)
    (tmp_path / "endless").mkdir()
    (tmp_path / "endless" / "journal.jsonl").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "folder.zip").mkdir()
    assert certificates_in(tmp_path, LABS) == []


def passed(folder: Path, trainee: str, lab: LabText) -> Path:
    """A certificate, handed in below `folder`."""
    seat = Seat(folder / trainee, lab.id)
    notes = Notes(trainee, lab, "7", "2026-11-27T09:00:00+00:00", {}, 1)
    record = start_run(seat.certificates, Redactor(), site=lab.id, target="sandbox", operator=trainee, lab=lab.id)
    return write_certificate(record, seat, notes, [{"direction": "outward", "by_phone": 1.0, "by_bandwidth": 1.0}])


def test_a_copy_of_a_certificate_is_no_second_one_unless_it_was_changed(tmp_path: Path) -> None:
    folder = passed(tmp_path, "ada", LABS[0])
    pack(folder, tmp_path / "again.zip")
    shutil.copytree(folder, tmp_path / "mail" / "ada")
    assert [(each.trainee, each.holds) for each in certificates_in(tmp_path, LABS)] == [("ada", True)]
    (tmp_path / "mail" / "ada" / "certificate.txt").write_text("ada passed everything")
    assert sorted(each.holds for each in certificates_in(tmp_path, LABS)) == [False, True]


def test_a_class_has_a_line_for_each_trainee_and_lab_and_one_that_was_changed_has_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for trainee, lab in (("bob", LABS[1]), ("ada", LABS[1]), ("ada", LABS[0]), ("ada", LABS[0])):
        last = passed(tmp_path, trainee, lab)
    (last / "certificate.txt").write_text("ada passed everything")
    passed(tmp_path, "ada", LABS[0])
    found = certificates_in(tmp_path, LABS)
    lines = sorted((each.trainee, each.lab, each.holds, times) for each, times in one_each(found))
    ada, second = LABS[0].id, LABS[1].id
    assert lines == [("ada", ada, False, 1), ("ada", ada, True, 2), ("ada", second, True, 1), ("bob", second, True, 1)]
    with pytest.raises(typer.Exit) as ended:
        collect(tmp_path)
    assert ended.value.exit_code == 9
    table = capsys.readouterr().out
    assert len(table.splitlines()) == 1 + len(lines)
    assert "(the first of 2)" in table
    with pytest.raises(typer.Exit):
        collect(tmp_path, as_csv=True)
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [row["trainee"] for row in rows] == ["ada"] * 4 + ["bob"]


def test_what_a_certificate_says_is_no_formula_in_a_spreadsheet() -> None:
    assert _cell('=HYPERLINK("x")') == '\'=HYPERLINK("x")'
    assert (_cell("ada"), _cell(3), _cell(None)) == ("ada", 3, None)


# ------------------------------------------------------------------ edits


def test_edits_change_one_option_of_one_section() -> None:
    assert option_of(PJSIP, "t-auth", "auth", "password") == "a;b"
    changed = set_option("t-auth", "auth", "password", "c;d")(PJSIP)
    assert option_of(changed, "t-auth", "auth", "password") == "c;d"
    assert option_of(set_option("t", "endpoint", "dtmf_mode", "info")(PJSIP), "t", "endpoint", "dtmf_mode") == "info"
    assert "outbound_auth" not in drop_option("t", "endpoint", "outbound_auth")(PJSIP)
    dropped = drop_section("t-identify", "identify")(PJSIP)
    assert "identify" not in dropped
    assert dropped.endswith("; <<<\n"), "the block's end is not the section's"
    assert "[t-reg]\ntype = registration\na = b\n" in add_section("t", "t-reg", "registration", {"a": "b"})(PJSIP)


@given(st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\n"]), max_size=12), st.data())
def test_what_an_edit_changed_can_be_put_right_again(lines: list[str], data: st.DataObject) -> None:
    """As long as the changed lines are found only once; else `mend_file` says so and writes nothing."""
    changed = list(lines)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed)))
        changed[at : at + data.draw(st.integers(0, 2))] = [data.draw(st.sampled_from(["x\n", "y\n"]))]
    before, after = "".join(lines), "".join(changed)
    text = after
    for right, wrong in reversed(hunks(before, after)):
        if text.count(wrong) != 1:
            return
        text = text.replace(wrong, right)
    assert text == before
