"""From one site to many: what was clicked as a template and a table, and a checked site file for each line."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bwlib import cli, start_site
from bwlib.errors import SettingsError
from bwlib.export import COLUMNS, site_texts, table_of, template_of, write_export, write_sites
from bwlib.record.redact import Redactor
from bwlib.record.run_record import run_folders, start_run
from bwlib.runner.run_site import RunResult
from bwlib.settings import load_settings, starter_site_file

SECRET_WORDS = ("password", "secret")


def site(folder: Path, **answers: str) -> Path:
    path = folder / "site.toml"
    text = starter_site_file("head-office")
    for entry, value in answers.items():
        text = text.replace(f'{entry} = "', f'{entry} = "{value}" #"', 1)
    path.write_text(text, encoding="utf-8")
    return path


def exported(tmp_path: Path) -> Path:
    write_export(load_settings(site(tmp_path)), tmp_path / "export")
    rows = tmp_path / "export" / "sites.csv"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:2]))  # without the example
    return tmp_path / "export"


def table(folder: Path, *rows: dict[str, str], **how: Any) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", **how)
    writer.writeheader()
    writer.writerows(rows)
    path = folder / "table.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    return path


def refused(path: Path, template: Path) -> str:
    with pytest.raises(SettingsError) as error:
        site_texts(path, template)
    return error.value.came_back


def test_the_first_line_gives_this_very_site_again(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    texts = site_texts(folder / "sites.csv", folder / "site.toml")
    [mine] = write_sites(texts, tmp_path / "sites")
    now, again = load_settings(tmp_path / "site.toml"), load_settings(mine)
    assert again.model_dump(exclude={"path"}) == now.model_dump(exclude={"path"})


def test_what_was_changed_by_clicks_is_in_the_template(tmp_path: Path) -> None:
    from bwlib.site_file import write_answers

    path = site(tmp_path)
    write_answers(path, {"realm.description": "our trunks", "test.digit": "7", "pbx.extension": "555"})
    template, rows = template_of(load_settings(path)), table_of(load_settings(path))
    table = tomllib.loads(template)
    assert (table["realm"]["description"], table["test"]["digit"]) == ("our trunks", "7")
    assert "extension" not in table["pbx"]
    assert next(csv.DictReader(io.StringIO(rows)))["pbx.extension"] == "555"


def test_no_secret_is_exported_only_where_it_is_kept(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "file:secrets/sip_password" in text
    assert not any(word in name for name in COLUMNS for word in SECRET_WORDS)


def test_each_site_gets_names_of_its_own(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    texts = site_texts(table(tmp_path, {"name": "north"}, {"name": "south"}), folder / "site.toml")
    north, south = (load_settings(path) for path in write_sites(texts, tmp_path / "sites"))
    for entry in ("realm", "application"):
        assert getattr(north, entry).name != getattr(south, entry).name
    assert north.pbx.trunk == "north"
    assert south.pbx.trunk == "south"


@pytest.mark.parametrize("how", [{}, {"delimiter": ";"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"}])
def test_every_spreadsheets_way_of_writing_is_read(tmp_path: Path, how: dict[str, Any]) -> None:
    folder = exported(tmp_path)
    row = {"name": "north", "test.dial": "+19195550199", "operator_note": 'say "hi", twice; ok'}
    path = table(tmp_path, row, **how)
    path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    [text] = site_texts(path, folder / "site.toml")
    assert tomllib.loads(text.text)["operator_note"] == 'say "hi", twice; ok'
    assert tomllib.loads(text.text)["test"]["dial"] == "+19195550199"


@pytest.mark.parametrize(("rows", "said"), [
    ([{"name": "ok"}, {"name": "Not Ok"}], "line 3, name: use lower-case"),
    ([{"name": "a", "test.dial": "19195550199"}], "a spreadsheet may have eaten its +"),
    ([{"name": "a", "test.dial": "1.9195550199E+10"}], "E.164"),
    ([{"name": "a", "nothing": "x"}], "unknown columns: 'nothing'"),
    ([{"name": "a", "pbx": "x"}], "unknown columns: 'pbx'"),
    ([{"test.dial": "+19195550199"}], "name is missing"),
    ([{"name": "a"}, {"name": "a", "test.dial": "+19195550100"}], "lines 2 and 3 have the same name a"),
    ([{"name": n, "pbx.extension": "200"} for n in "ab"], "same pbx.extension 200 on one PBX"),
    ([{"name": "a", "realm.name": "r"}, {"name": "b", "realm.name": "r"}], "same realm.name r on one account"),
    ([{"name": "a", "application.callback_user": "joe"}], "go together"),
    ([{"name": "a", "sip_credential.password": "hunter2hunter2"}], "reference"),
    ([{"name": n, "pbx.sip_host": f"{n}.example", "pbx.extension": "200"} for n in "ab"], "same pbx.extension 200"),
    ([{"name": n, "bandwidth.number": "+19195550100"} for n in "ab"], "same bandwidth.number"),
    ([{"name": n, "sip_credential.password": "keyring:bw/one"} for n in "ab"], "same sip_credential.password"),
    ([{"name": "branch-2", "bandwidth.number": "+19195550102"}], "line 2: it is the example"),
    ([{"name": "", "test.dial": "+19195550100"}], "line 2, name"),
])  # fmt: skip
def test_a_faulty_line_is_named_and_nothing_is_written(tmp_path: Path, rows: list[dict[str, str]], said: str) -> None:
    folder = exported(tmp_path)
    came_back = refused(table(tmp_path, *rows), folder / "site.toml")
    assert said in came_back
    assert "hunter2" not in came_back


def test_all_faults_come_together(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    rows = [{"name": "A", "test.dial": "x"}, {"name": "B", "test.dial": "y"}]
    came_back = refused(table(tmp_path, *rows), folder / "site.toml")
    assert [f"line {line}, {entry}" in came_back for line in (2, 3) for entry in ("name", "test.dial")] == [True] * 4


def test_an_extension_may_be_used_twice_on_two_pbxs(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    rows = [{"name": n, "pbx.extension": "200", "pbx.ssh": f"root@203.0.113.{i}"} for i, n in enumerate(("a", "b"))]
    assert len(site_texts(table(tmp_path, *rows), folder / "site.toml")) == 2


def test_a_site_file_that_is_there_is_not_written_over_unless_told_so(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    texts = site_texts(table(tmp_path, {"name": "north"}), folder / "site.toml")
    [path] = write_sites(texts, tmp_path / "sites")
    write_sites(texts, tmp_path / "sites")  # the same again
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(SettingsError, match="there are others already"):
        write_sites(texts, tmp_path / "sites")
    assert path.read_text().endswith("# mine\n")
    write_sites(texts, tmp_path / "sites", force=True)
    assert not path.read_text().endswith("# mine\n")


GOOD = st.fixed_dictionaries(
    {},
    optional={
        "bandwidth.number": st.sampled_from(["+19195550100", "+442071838750"]),
        "pbx.sip_host": st.sampled_from(["203.0.113.9", "pbx.example.com"]),
        "pbx.sip_port": st.integers(1, 65535).map(str),
        "pbx.bandwidth_ips": st.sampled_from(["203.0.113.0/24", "203.0.113.0/24 198.51.100.7/32"]),
        "sip_credential.rotate": st.sampled_from(["true", "false"]),
        "realm.wait_s": st.sampled_from(["5", "90"]),
        "test.digit": st.sampled_from("0123456789*#"),
        "operator_note": st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20),
    },
)


def as_typed(cell: str, like: object) -> object:
    if isinstance(like, bool):
        return cell == "true"
    return tuple(cell.split()) if isinstance(like, tuple) else type(like)(cell)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(row=GOOD)
def test_every_cell_of_a_line_is_what_the_site_file_says(tmp_path: Path, row: dict[str, str]) -> None:
    folder = exported(tmp_path)
    [path] = write_sites(
        site_texts(table(tmp_path, {"name": "north", **row}), folder / "site.toml"), tmp_path / "sites", force=True
    )
    found = load_settings(path)
    for entry, cell in row.items():
        value: Any = found
        for name in entry.split("."):
            value = getattr(value, name)
        said = (
            " ".join(value) if isinstance(value, tuple) else str(value).lower() if cell in ("true", "false") else value
        )
        assert str(said) == cell or float(said) == float(cell) or cell == ""


def test_the_command_writes_them_and_names_the_next_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = exported(tmp_path)
    argv = ["bw-runbook", "sites", str(folder / "sites.csv"), "--template", str(folder / "site.toml")]
    monkeypatch.setattr("sys.argv", [*argv, "--into", str(tmp_path / "sites"), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    paths = [Path(path) for path in json.loads(capsys.readouterr().out)]
    assert [load_settings(path).name for path in paths] == ["head-office"]


def test_a_run_of_several_sites_looks_at_all_their_files_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = site(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "Bad"\n')
    monkeypatch.setattr("bwlib.cli_run._run_one", lambda *_: pytest.fail("nothing may be run"))
    monkeypatch.setattr("sys.argv", ["bw-runbook", "run", str(good), str(bad)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 6


@pytest.mark.slow
def test_sites_are_run_one_after_the_other_and_one_that_fails_stops_nobody(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(tmp_path)
    rows = [{"name": name, "bandwidth.sandbox_account": name} for name in ("north", "south")]
    north, south = write_sites(site_texts(table(tmp_path, *rows), folder / "site.toml"), tmp_path / "sites")
    start_site(south)  # north has no secrets, and an unattended run makes none
    argv = ["bw-runbook", "run", str(north), str(south), "--mode", "plan", "--json"]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    codes = {Path(row["site_file"]).parent.name: row["exit_code"] for row in last["sites"]}
    assert codes == {"north": 8, "south": 0}
    assert ended.value.code == 8
    assert len(run_folders(load_settings(south).runs_dir)) == 1


def test_a_table_that_was_filled_in_is_not_written_over(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    mine = (folder / "sites.csv").read_bytes()
    paths = write_export(load_settings(tmp_path / "site.toml"), folder)
    assert (folder / "sites.csv").read_bytes() == mine
    assert [path.name for path in paths] == ["site.toml", "sites.new.csv", "README.txt"]


def test_a_branch_is_never_written_to_the_head_offices_freepbx(tmp_path: Path) -> None:
    path = site(tmp_path)
    hq = '[pbx]\nkind = "freepbx"\nurl = "https://hq.example"\nuser = "a"\npassword = "env:X"'
    path.write_text(path.read_text().replace("[pbx]", hq))
    assert "hq.example" not in template_of(load_settings(path))
    assert "https://hq.example" in table_of(load_settings(path))


@pytest.mark.parametrize("stops", [True, False])
def test_ctrl_c_in_one_site_is_meant_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stops: bool
) -> None:
    ran: list[Path] = []

    def run_one(path: Path, *_: Any) -> RunResult:
        ran.append(path)
        record = start_run(tmp_path / "runs", Redactor())
        record.journal.append("notebook", notebook="00_start", status="failed", reason="interrupted" if stops else "x")
        return RunResult(record.folder, "failed", 1, True)

    monkeypatch.setattr("bwlib.cli_run._run_one", run_one)
    good, other = site(tmp_path), tmp_path / "other.toml"
    other.write_text('name = "other"\n')
    monkeypatch.setattr("sys.argv", ["bw-runbook", "run", str(good), str(other), "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    assert len(ran) == (1 if stops else 2)
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["sites"]
    assert [row["status"] for row in rows] == ["failed", "not run" if stops else "failed"]
