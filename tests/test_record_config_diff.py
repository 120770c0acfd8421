"""What a run changed in the PBX's configuration: the unified diff, and the page that becomes a picture."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import missing

from bwlib.record.config_diff import DIFF, NO_CHANGE, changes, picture_of
from bwlib.record.redact import redactor_for
from bwlib.record.run_record import RunRecord, start_run
from bwlib.record.screenshots import Shot

SECRET = "correct-horse-battery"
BEFORE = {"pjsip.conf": "one\ntwo\nthree\n"}
AFTER = {"pjsip.conf": "#include ours\none\nTWO\nthree\n", "ours/pjsip.conf": "[demo]\npassword = (not shown)\n"}
LINES = st.lists(st.text(alphabet="ab[]+-@ \\\u2028\x0c\r", max_size=6), max_size=12)


class Rows(HTMLParser):
    """The rows of a page's tables as lists of words, its headings, all of its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.text = ""
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._tag = tag
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        elif tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "h2", "table"):
            self._tag = ""
        elif tag == "code":
            self._tag = "h2"

    def handle_data(self, data: str) -> None:
        self.text += data if self._tag != "style" else ""
        if self._tag == "td":
            self.rows[-1][-1] += data
        elif self._tag in ("h2", "code"):
            self.headings[-1] += data


def recorded(tmp_path: Path, before: Mapping[str, str], after: Mapping[str, str]) -> RunRecord:
    record = start_run(tmp_path / "runs" / "my-site", redactor_for([("file:sip", SECRET)]))
    record.write_config("before", before)
    record.write_config("after", after)
    return record


def shot_of(record: RunRecord, trunk: str = "demo") -> Shot:
    shot = picture_of(record, trunk, step="trunk", file="30_pbx.png", title="x")
    assert shot is not None
    return shot


def test_the_diff_names_new_files_and_what_came_and_went(tmp_path: Path) -> None:
    record = recorded(tmp_path, BEFORE, AFTER)
    shot_of(record)
    assert (record.folder / DIFF).read_text() == (
        "--- /dev/null\n+++ after/ours/pjsip.conf\n@@ -0,0 +1,2 @@\n+[demo]\n+password = (not shown)\n"
        "--- before/pjsip.conf\n+++ after/pjsip.conf\n@@ -1,3 +1,4 @@\n"
        "+#include ours\n one\n-two\n+TWO\n three\n"
    )
    assert (record.folder / DIFF).stat().st_mode & 0o777 == 0o600


def test_the_page_says_by_sign_word_and_number_what_came_and_went(tmp_path: Path) -> None:
    page = Rows(shot_of(recorded(tmp_path, BEFORE, AFTER)).html)
    assert page.headings == [
        "ours/pjsip.conf – new file: 2 lines added, 0 lines removed",
        "pjsip.conf – changed: 2 lines added, 1 line removed",
    ]
    assert "2 files changed: 4 lines added, 1 line removed." in page.text
    assert [row for row in page.rows if row][2:] == [
        ["", "1", "+ added", "#include ours"],
        ["1", "2", "", "one"],
        ["2", "", "− removed", "two"],
        ["", "3", "+ added", "TWO"],
        ["3", "4", "", "three"],
    ]


def test_lines_left_out_between_two_changes_leave_a_gap() -> None:
    far = [f"line {number}\n" for number in range(20)]
    (change,) = changes({"a": "".join(far)}, {"a": "".join(["first\n", *far, "last\n"])})
    kinds = [line.kind for line in change.lines()]
    assert kinds == ["added", "same", "same", "same", "gap", "same", "same", "same", "added"]
    assert [(line.before, line.after) for line in change.lines()][-2:] == [("20", "21"), ("", "22")]


def test_a_second_run_without_changes_shows_the_present_lines_of_the_trunk(tmp_path: Path) -> None:
    record = recorded(tmp_path, AFTER, AFTER)
    shot = shot_of(record)
    page = Rows(shot.html)
    assert NO_CHANGE in page.text
    assert page.headings == ["ours/pjsip.conf – as it is now"]
    assert next(row for row in page.rows if row) == ["1", "1", "", "[demo]"]
    assert (record.folder / DIFF).read_text() == ""


def test_a_change_that_does_not_name_the_trunk_is_followed_by_the_files_that_do(tmp_path: Path) -> None:
    page = Rows(shot_of(recorded(tmp_path, AFTER, {**AFTER, "pjsip.conf": "one\n"})).html)
    assert page.headings[-1] == "ours/pjsip.conf – as it is now"


def test_the_page_itself_names_no_trunk(tmp_path: Path) -> None:
    """Else the picture of a PBX without the trunk would pass."""
    assert "demo" not in Rows(shot_of(recorded(tmp_path, BEFORE, BEFORE)).html).text


def test_without_copies_of_the_configuration_there_is_no_picture(tmp_path: Path) -> None:
    assert picture_of(recorded(tmp_path, {}, {}), "demo", step="trunk", file="x.png", title="x") is None


def test_a_configuration_cannot_write_the_page(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script></td></table>&amp;"
    page = shot_of(recorded(tmp_path, {}, {"<b>.conf": hostile, "ours": "[demo]\n"})).html
    assert "<script" not in page
    assert "<b>" not in page
    assert hostile in [row[3] for row in Rows(page).rows if row]


def test_a_secret_that_got_into_a_copy_is_masked_in_the_diff(tmp_path: Path) -> None:
    record = recorded(tmp_path, {}, {"x": ""})
    (record.folder / "config" / "after" / "x").write_text(f"[demo]\npassword = {SECRET}\n")
    assert SECRET not in shot_of(record).html + (record.folder / DIFF).read_text()


@given(before=LINES, after=LINES, newline=st.booleans())
def test_the_rows_hold_both_texts_whole_where_nothing_is_left_out(
    before: list[str], after: list[str], newline: bool
) -> None:
    texts = ["\n".join(lines) + ("\n" if newline else "") for lines in (before, after)]
    changed = changes({"a": texts[0]}, {"a": texts[1]})
    if texts[0] == texts[1]:
        assert changed == []
        return
    lines = changed[0].lines()
    if len(before) > 4 or len(after) > 4:  # beyond the three lines of context something may be left out
        return
    for text, gone in zip(texts, ("added", "removed"), strict=True):
        assert [line.text for line in lines if line.kind != gone] == text.removesuffix("\n").split("\n")[
            : len(text) or 0
        ]


@pytest.mark.parametrize(("before", "after"), [
    (BEFORE, AFTER), ({"a": "x"}, {"a": "x\ny"}), ({"a": "x\n"}, {"a": "x"}), ({"a": "1\n", "b": "2\n"}, {"a": "1\n"}),
])  # fmt: skip
def test_stock_patch_makes_the_one_from_the_other(
    tmp_path: Path, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    program = shutil.which("patch") or missing("patch", "apt-get install -y patch")
    tree = tmp_path / "tree"
    for name, text in before.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    diff = "".join(change.diff for change in changes(before, after))
    subprocess.run([program, "-s", "-p1", "-E"], cwd=tree, input=diff.encode(), check=True)
    found = {path.relative_to(tree).as_posix(): path.read_text() for path in tree.rglob("*") if path.is_file()}
    assert found == after
