"""Drift: each recorded fact looked at again, on a real sandbox with a PBX in memory; nothing is written to either."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib import cli, open_run, start_site
from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.drift import Checked, check_record
from bwlib.errors import RecordError, SettingsError
from bwlib.guide import Run
from bwlib.models import Registration
from bwlib.record.cited import citation
from bwlib.record.journal import read_lines
from bwlib.record.manifest import manifest_faults
from bwlib.record.run_record import run_folders
from bwlib.sandbox import control
from bwlib.settings import load_settings

pytestmark = pytest.mark.slow

NUMBERS = itertools.count(1)  # no two sites share anything at the account that they share
OTHER = "not-the-password-at-all"
REALM_ROAD = ["application", "realm", "sip_credential", "trunk", "route", "extension", "no_registration"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(folder)
    control.start(folder).set_switch("realm_create_s", "0")
    yield folder
    os.environ["BW_RUNBOOK_HOME"] = before
    running = control.attach(folder)
    if running is not None:
        running.down()


class Site:
    """A site that walked the guide up to notebook 30, its sealed record, and other hands on what it set up."""

    def __init__(self, home: Path, path: Path, pbx: MemoryPbx, road: str) -> None:
        self.path, self.pbx = path, pbx
        start_site(path, name=f"site-{next(NUMBERS)}", road=road)
        self.run = self.opened()
        self.walk(road)
        self.record = self.run.seal()
        sandbox = control.attach(home)
        assert sandbox is not None
        self.sandbox = sandbox
        auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
        self.client = Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url)
        self.told: list[dict[str, Any]] = []

    def opened(self) -> Run:
        return open_run(self.path, notebook="by_hand")

    def walk(self, road: str = "realm") -> None:
        run = self.run
        run.application()
        if road == "realm":
            run.sip_credential(run.realm())
        else:
            run.inbound_sip_uri()
        trunk = run.trunk()
        run.route()
        run.extension()
        run.no_registration(trunk)

    def fact(self, step: str) -> dict[str, str]:
        lines = [line for line in read_lines(self.record / "journal.jsonl") if line["kind"] == "step"]
        return next(line["object"] for line in reversed(lines) if line["step"] == step and line.get("object"))

    def check(self) -> Checked:
        self.told.clear()
        return check_record(self.record, load_settings(self.path), lambda line: self.told.append(dict(line)))

    def words(self) -> dict[str, str]:
        return {seen.step: seen.word for seen in self.check().facts}

    def named(self) -> dict[str, list[str]]:
        """By step: what is said to have changed, in words; everything else must be still so."""
        self.check()
        assert {line["action"] for line in self.told} <= {"still so", "changed", "gone"}, self.told
        return {
            line["step"].removeprefix("drift "): line["came_back"].split("; ")
            for line in self.told
            if line["action"] != "still so"
        }

    # ------------------------------------------------------------ other hands

    def on_pbx(self, kind: str, **fields: Any) -> None:
        [key] = [key for key in self.pbx.written if key[0] == kind]
        self.pbx.written[key] = self.pbx.running[key] = replace(self.pbx.written[key], **fields)

    def delete_credential(self) -> None:
        realm = self.client.get_realm(self.fact("realm")["id"])
        self.client.delete_sip_credential(realm, self.fact("sip_credential")["id"])

    def change_application(self, **fields: Any) -> None:
        now = self.client.get_application(self.fact("application")["id"])
        self.client.update_application(replace(now, **fields))

    def secret_file(self, name: str = "sip_password") -> Path:
        return self.path.parent / "secrets" / name


@pytest.fixture
def pbx(monkeypatch: pytest.MonkeyPatch) -> MemoryPbx:
    made = MemoryPbx()
    monkeypatch.setattr("bwlib.run.sandbox_pbx", lambda sandbox, record=None, site="": made)
    return made


@pytest.fixture
def site(home: Path, tmp_path: Path, pbx: MemoryPbx) -> Site:
    return Site(home, tmp_path / "site" / "site.toml", pbx, "realm")


def command_line(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bw-runbook", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------- nothing changed


def test_what_nobody_touched_is_still_so_and_a_sealed_record_of_its_own_cites_the_one_checked(site: Site) -> None:
    checked = site.check()
    assert {seen.step: seen.word for seen in checked.facts} == dict.fromkeys(REALM_ROAD, "still so")
    assert (checked.word, checked.exit_code, checked.why_not_sealed) == ("still so", 0, "")
    assert manifest_faults(checked.folder) == []
    first = next(read_lines(checked.folder / "journal.jsonl"))
    assert (first["command"], first["cites"]) == ("drift", citation(site.record))
    assert len(first["cites"]["manifest_sha256"]) == 64


def test_it_only_reads(site: Site) -> None:
    since = max(exchange["id"] for exchange in site.sandbox.exchanges())
    site.pbx.calls.clear()
    before = everything_in(site.record)
    site.on_pbx("trunk", password=SecretStr(OTHER))
    site.check()
    asked = [(each["method"], str(each["path"])) for each in site.sandbox.exchanges(since)]
    assert [method for method, path in asked if not path.endswith("/token")] == ["GET"] * 3
    assert {call.split()[0] for call in site.pbx.calls} == {"get", "registrations"}
    assert everything_in(site.record) == before


def test_each_fact_names_the_exchanges_that_prove_it(site: Site) -> None:
    checked = site.check()
    known = {json.loads(line)["id"] for line in (checked.folder / "http.jsonl").read_text().splitlines()}
    cited = {line["step"]: line["exchanges"] for line in site.told}
    assert all(cited[f"drift {step}"] for step in ("application", "realm", "sip_credential"))
    assert {one for each in cited.values() for one in each} <= known


def test_what_others_did_in_the_realm_is_no_drift(site: Site) -> None:
    client = site.client
    realm = client.get_realm(site.fact("realm")["id"])
    client.create_sip_credential(realm, "somebody", SecretStr(OTHER), None)
    assert client.get_realm(realm.id).credential_count == 2
    assert set(site.words().values()) == {"still so"}


# ---------------------------------------------------------------- changed, gone


def test_four_changes_by_other_hands_are_named_and_nothing_else(site: Site) -> None:
    site.change_application(call_initiated_url="https://elsewhere.example.com/initiate")
    site.on_pbx("trunk", password=SecretStr(OTHER))
    site.on_pbx("route", pattern="9XXX")
    site.delete_credential()
    was = site.fact("application")["call_initiated_url"]
    assert site.named() == {
        "application": [f"call_initiated_url: was {was}, is https://elsewhere.example.com/initiate"],
        "sip_credential": ["it is gone"],
        "trunk": ["password differs from the reference file:secrets/sip_password"],
        "route": ["pattern: was NXXNXXXXXX, is 9XXX"],
    }
    assert site.check().exit_code == 9


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("extension", {"secret": SecretStr(OTHER)}, "secret differs from the reference file:secrets/extension_secret"),
        ("extension", {"display_name": ""}, r"display_name: was Extension \d+, is not set"),
        ("trunk", {"bandwidth_ips": ("0.0.0.0/0",)}, r"bandwidth_ips: was [\d.]+, is 0.0.0.0/0"),
        ("trunk", {"transfers": True}, "transfers: was False, is True"),
        ("route", {"forwarding": True}, "forwarding: was False, is True"),
    ],
)
def test_a_field_on_the_pbx_is_named_with_what_it_was(site: Site, kind: str, fields: Any, said: str) -> None:
    site.on_pbx(kind, **fields)
    [(step, words)] = site.named().items()
    assert step == kind
    assert re.fullmatch(said, words[0])
    assert len(words) == 1


@pytest.mark.parametrize("kind", ["trunk", "route", "extension"])
def test_what_the_pbx_has_no_more_is_gone(site: Site, kind: str) -> None:
    [key] = [key for key in site.pbx.running if key[0] == kind]
    del site.pbx.written[key], site.pbx.running[key]
    assert site.named() == {kind: ["it is gone"]}


def test_a_registration_switched_on_is_named_once(site: Site) -> None:
    site.on_pbx("trunk", registration=True)
    name, server = site.fact("trunk")["name"], site.fact("realm")["fqdn"]
    site.pbx.registered = [Registration.read(name, f"sip:{server}", f"{name} sip:{server} Registered")]
    assert list(site.named()) == ["no_registration"]


def test_a_credential_with_another_password_is_named_without_a_value(site: Site) -> None:
    client = site.client
    realm = client.get_realm(site.fact("realm")["id"])
    credential = client.get_sip_credential(realm, site.fact("sip_credential")["id"])
    client.update_sip_credential(realm, credential, SecretStr(OTHER), credential.application_id)
    now = client.get_sip_credential(realm, credential.id)
    assert site.named() == {"sip_credential": ["password differs from the reference file:secrets/sip_password"]}
    written = everything_in(site.check().folder)
    assert now.ha1.get_secret_value().encode() not in written
    assert credential.ha1.get_secret_value().encode() not in written


def test_a_reference_that_leads_elsewhere_now_names_both_that_use_it_and_holds_no_secret(site: Site) -> None:
    before = site.secret_file().read_text().strip()
    site.secret_file().write_text(OTHER + "\n")
    assert sorted(site.named()) == ["sip_credential", "trunk"]
    checked = site.check()
    assert checked.why_not_sealed == ""
    written = everything_in(checked.folder)
    assert [secret for secret in (before, OTHER) if secret.encode() in written] == []


def test_a_credential_unbound_because_its_application_is_gone_is_not_named_for_it(site: Site) -> None:
    client = site.client
    realm = client.get_realm(site.fact("realm")["id"])
    credential = client.get_sip_credential(realm, site.fact("sip_credential")["id"])
    site.sandbox.set_switch("credential_app_omitted", "clear")
    try:
        client.update_sip_credential(realm, credential, None, None)
    finally:
        site.sandbox.set_switch("credential_app_omitted", "keep")
    assert client.get_sip_credential(realm, credential.id).application_id is None
    assert list(site.named()) == ["sip_credential"]
    client.delete_application(site.fact("application")["id"])
    assert list(site.named()) == ["application"]


# ---------------------------------------------------------------- unknown


def test_a_silent_pbx_makes_its_facts_unknown_and_the_rest_is_still_said(site: Site) -> None:
    site.pbx.down = True
    checked = site.check()
    words = {seen.step: seen.word for seen in checked.facts}
    assert [step for step, word in words.items() if word == "unknown"] == REALM_ROAD[3:]
    assert {words[step] for step in REALM_ROAD[:3]} == {"still so"}
    assert {line["note"] for line in site.told if line["status"] == "skipped"} == {"connection refused"}
    assert (checked.exit_code, checked.word) == (0, "still so")


@pytest.mark.parametrize("status", ["400", "403"])
def test_a_look_that_is_refused_is_unknown_and_never_gone(site: Site, status: str) -> None:
    with site.sandbox.fault("http-status", value=status, match={"path": "/realms*"}):
        checked = site.check()
    words = {seen.step: seen.word for seen in checked.facts if seen.word != "still so"}
    assert words == {"realm": "unknown", "sip_credential": "unknown"}


def test_where_nothing_could_be_looked_at_the_exit_code_is_of_what_was_in_the_way(site: Site) -> None:
    site.pbx.down = True
    faults = [site.sandbox.fault("http-status", value="401", match={"path": path}) for path in ("/a*", "/r*")]
    with faults[0], faults[1]:
        checked = site.check()
    assert (checked.word, checked.exit_code) == ("unknown", 2)
    assert manifest_faults(checked.folder) == []


def test_a_credential_whose_realm_is_gone_is_not_named_for_it(site: Site) -> None:
    realm = site.fact("realm")["id"]
    with site.sandbox.fault("http-status", value="404", match={"path": f"/realms/{realm}*"}):
        checked = site.check()
    seen = {seen.step: (seen.word, seen.reason) for seen in checked.facts if seen.word != "still so"}
    assert seen == {"realm": ("gone", ""), "sip_credential": ("unknown", "its realm is gone")}


def test_a_reference_that_gives_nothing_makes_only_the_secret_unknown(site: Site) -> None:
    site.secret_file().unlink()
    site.on_pbx("trunk", dtmf="inband")
    checked = site.check()
    seen = {seen.step: seen for seen in checked.facts if seen.word != "still so"}
    assert {step: one.word for step, one in seen.items()} == {"sip_credential": "unknown", "trunk": "changed"}
    assert seen["trunk"].reason.startswith("its password cannot be compared: file:secrets/sip_password")
    assert [row.field for row in seen["trunk"].differences] == ["dtmf"]
    assert (checked.exit_code, checked.why_not_sealed) == (9, "")


# ---------------------------------------------------------------- the record that is checked


def test_a_tampered_record_is_refused_before_anything_is_looked_at(site: Site) -> None:
    sheet = site.record / "journal.jsonl"
    sheet.write_bytes(sheet.read_bytes().replace(b"NXXNXXXXXX", b"NXXNXXXXXN", 1))
    since, runs = max(each["id"] for each in site.sandbox.exchanges()), run_folders(site.record.parent)
    with pytest.raises(RecordError, match="it is not what it was"):
        site.check()
    assert site.sandbox.exchanges(since) == []
    assert run_folders(site.record.parent) == runs


def test_a_record_that_lost_its_manifest_is_no_open_record(site: Site) -> None:
    (site.record / "manifest.json").unlink()
    with pytest.raises(RecordError, match="its manifest is missing"):
        site.check()


@pytest.fixture
def open_site(site: Site) -> Site:
    """The same site, walked once more into a record that is not sealed."""
    site.run = site.opened()
    site.walk()
    site.record = site.run.record.folder
    return site


def test_an_open_record_can_be_read_and_its_chain_must_hold(open_site: Site) -> None:
    checked = open_site.check()
    assert {seen.word for seen in checked.facts} == {"still so"}
    assert next(read_lines(checked.folder / "journal.jsonl"))["cites"]["manifest_sha256"] == ""
    journal = open_site.record / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"kind": "st')  # cut off in the middle of a line
    assert {seen.word for seen in open_site.check().facts} == {"still so"}
    journal.write_bytes(whole.replace(b"NXXNXXXXXX", b"NXXNXXXXXN", 1))
    with pytest.raises(RecordError, match="does not follow the line before it"):
        open_site.check()


def test_what_the_same_run_took_back_is_no_fact_of_it(open_site: Site) -> None:
    open_site.run.undo(run_folders(open_site.record.parent)[0].name)
    with pytest.raises(SettingsError, match="of nothing that it was set up"):
        open_site.check()


def test_a_record_of_another_site_is_refused(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('name = "another-one"\n')
    with pytest.raises(SettingsError, match="another-one"):
        check_record(site.record, load_settings(other), lambda line: None)
    assert not (tmp_path / "runs").exists()


def test_a_record_of_another_account_is_refused_and_that_is_written_down(site: Site) -> None:
    site.path.write_text(site.path.read_text() + '\n[bandwidth]\nsandbox_account = "somebody-else"\n')
    runs = len(run_folders(site.record.parent))
    with pytest.raises(SettingsError, match=r"of account \d+, and the site file leads to account \d+"):
        site.check()
    assert site.told == []
    newest = run_folders(site.record.parent)
    assert len(newest) == runs + 1
    assert manifest_faults(newest[-1]) == []
    assert "of account" in list(read_lines(newest[-1] / "journal.jsonl"))[-2]["came_back"]


def test_a_record_of_another_pbx_is_refused(site: Site) -> None:
    site.pbx.place = "/elsewhere"
    with pytest.raises(SettingsError, match=r"of the PBX /memory at .*, and the site file leads to /elsewhere"):
        site.check()


# ---------------------------------------------------------------- the second road


@pytest.fixture
def by_uri(home: Path, tmp_path: Path, pbx: MemoryPbx) -> Iterator[Site]:
    site = Site(home, tmp_path / "site" / "site.toml", pbx, "sip-uri")
    yield site
    site.sandbox.set_switch("voice_application_get", "405")


def test_a_uri_that_nobody_may_read_is_unknown_and_never_gone(by_uri: Site) -> None:
    seen = {seen.step: (seen.word, seen.reason) for seen in by_uri.check().facts if seen.word != "still so"}
    assert seen == {"inbound_sip_uri": ("unknown", "Bandwidth lets nobody read it")}


def test_a_uri_that_was_disabled_is_named(by_uri: Site) -> None:
    by_uri.sandbox.set_switch("voice_application_get", "200")
    assert by_uri.named() == {}
    by_uri.client.update_voice_application(by_uri.fact("application")["id"], enabled=False)
    [(step, words)] = by_uri.named().items()
    assert step == "inbound_sip_uri"
    assert "enabled: was True, is False" in words


def test_the_trunk_of_the_second_road_is_held_to_the_password_that_bandwidth_made(by_uri: Site) -> None:
    by_uri.on_pbx("trunk", password=SecretStr(OTHER))
    line = next(line for line in by_uri.told or (by_uri.check() and by_uri.told) if line["step"] == "drift trunk")
    assert line["came_back"] == "password differs from the reference file:secrets/sip_uri_password"


def test_a_uri_whose_application_is_gone_is_not_named_for_it(by_uri: Site) -> None:
    by_uri.client.delete_application(by_uri.fact("application")["id"])
    seen = {seen.step: (seen.word, seen.reason) for seen in by_uri.check().facts if seen.word != "still so"}
    assert seen == {"application": ("gone", ""), "inbound_sip_uri": ("unknown", "its application is gone")}


# ---------------------------------------------------------------- the command line


def test_the_command_prints_one_line_a_fact_and_the_record_last(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.on_pbx("route", prepend="\x1b[31m+44")
    capsys.readouterr()
    assert command_line(monkeypatch, "drift", str(site.record)) == 9
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("✘")] == [
        f"✘ Outbound route {site.fact('route')['name']}: changed"
    ]
    assert "    prepend: was +1, is \\x1b[31m+44" in lines
    assert sum(line.startswith("✔") for line in lines) == 6
    assert manifest_faults(Path(lines[-1])) == []
    assert err.strip() == "status: changed (6 still so, 1 changed)"


def test_json_lines_end_in_the_result(
    open_site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert command_line(monkeypatch, "drift", str(open_site.record), "--json") == 0
    out, err = capsys.readouterr()
    *facts, result = [json.loads(line) for line in out.splitlines()]
    assert [fact["step"] for fact in facts] == [f"drift {step}" for step in REALM_ROAD]
    assert (result["status"], result["of_sealed"], result["counts"]) == ("still so", False, {"still so": 7})
    assert "the record is not sealed" in err


def test_a_moved_record_is_checked_with_its_site_file_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "archive"
    shutil.move(site.record, moved)
    there = site.path.parent.rename(tmp_path / "moved-site") / "site.toml"
    assert command_line(monkeypatch, "drift", str(moved)) == 6
    assert "--site" in capsys.readouterr().err
    assert command_line(monkeypatch, "drift", str(moved), "--site", str(there)) == 0


def test_the_command_refuses_a_tampered_record_with_exit_9(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.record / "added.txt").write_text("")
    assert command_line(monkeypatch, "drift", str(site.record)) == 9
    assert "added.txt was added" in capsys.readouterr().err
