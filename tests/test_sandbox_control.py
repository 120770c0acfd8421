"""The life of a sandbox: started once, found by everyone, gone with everything it started."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from sandbox_world import eventually

from bwlib.errors import BwlibError, SettingsError
from bwlib.readback_client import Readback
from bwlib.sandbox import control
from bwlib.sandbox.environment import KEPT
from bwlib.sandbox.log_limit import LINES
from bwlib.sandbox.readback_keeper import RESTARTS

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    started = control.start(tmp_path_factory.mktemp("home"))
    yield started
    started.down()


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(pids: Iterable[int]) -> None:
    """A process lets go of its lock a moment before it is gone."""
    for pid in pids:
        eventually(lambda pid=pid: not running(pid))


def test_home_is_the_variable_or_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path))
    assert control.home() == tmp_path
    monkeypatch.delenv("BW_RUNBOOK_HOME")
    assert control.home().parts[-3:] == (".local", "state", "bw-runbook")


def test_where_nothing_runs_there_is_nothing_to_attach_to(tmp_path):
    assert control.attach(tmp_path) is None


def test_starting_again_attaches(sandbox):
    again = control.start(sandbox.directory.parent)
    assert (again.pid, again.http_url) == (sandbox.pid, sandbox.http_url)


def test_two_that_start_at_once_get_the_same_one(tmp_path):
    code = "import sys, pathlib; from bwlib.sandbox import control as c; print(c.start(pathlib.Path(sys.argv[1])).pid)"
    starters = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    pids = {starter.communicate(timeout=60)[0] for starter in starters}
    found = control.attach(tmp_path)
    found.down()
    assert pids == {f"{found.pid}\n"}


def test_two_homes_have_two_sandboxes_with_their_own_account(sandbox, tmp_path):
    other = control.start(tmp_path)
    try:
        assert other.edge != sandbox.edge
        assert other.client_secret != sandbox.client_secret
    finally:
        other.down()


def test_a_restart_keeps_the_account_and_its_objects(tmp_path):
    first = control.start(tmp_path)
    first.put_note("kept", {"port": 5060})
    first.set_switch("options", "silent")
    first.down()
    second = control.start(tmp_path)
    try:
        assert (second.account_id, second.numbers) == (first.account_id, first.numbers)
        assert second.client_secret == first.client_secret
        assert second.get_note("kept") == {"port": 5060}
        assert second.switches()["options"] == "silent"
    finally:
        second.down()


def test_down_ends_the_children_too(tmp_path):
    sandbox = control.start(tmp_path)
    pbx = sandbox.start_pbx(SLEEP, dict(os.environ), tmp_path, tmp_path / "pbx.log")
    readback = json.loads((sandbox.directory / "readback.json").read_text())["pid"]
    sandbox.down()
    ended((sandbox.pid, pbx, readback))
    assert control.attach(tmp_path) is None
    sandbox.down()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_supervisor_takes_its_children_along_and_can_be_replaced(tmp_path):
    first = control.start(tmp_path)
    pbx = first.start_pbx(SLEEP, dict(os.environ), tmp_path, tmp_path / "pbx.log")
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: not running(pbx))
    assert control.attach(tmp_path) is None
    second = control.start(tmp_path)
    second.down()
    assert second.pid != first.pid


def test_sigterm_ends_it_in_good_order(tmp_path):
    sandbox = control.start(tmp_path)
    os.kill(sandbox.pid, signal.SIGTERM)
    eventually(lambda: not (sandbox.directory / "state.json").exists())
    sandbox.down()
    ended((sandbox.pid,))


def test_it_ends_by_itself_when_nothing_happens(tmp_path):
    sandbox = control.start(tmp_path, idle_minutes=0.05)
    eventually(lambda: not running(sandbox.pid))
    assert not (sandbox.directory / "state.json").exists()


def test_a_fixed_port_that_is_taken_is_a_clear_settings_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} on 127.0.0.1 cannot be used"):
            control.start(tmp_path, http_port=port)


def test_a_fixed_edge_port_that_is_taken_is_a_clear_settings_error(sandbox, tmp_path):
    with pytest.raises(SettingsError, match="the SIP edge's port cannot be used"):
        control.start(tmp_path, edge_port=sandbox.edge[1])


def test_every_file_is_this_users_alone(sandbox):
    for path in [sandbox.directory, *sandbox.directory.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_handle_shows_no_secret(sandbox):
    secrets = [sandbox.client_secret, sandbox.control_token, sandbox.readback.password, sandbox.readback.token]
    assert not any(secret.get_secret_value() in repr(sandbox) for secret in secrets)


def test_nobody_controls_it_without_its_token(sandbox):
    url = f"{sandbox.http_url}/_sandbox/status"
    assert httpx.get(url, trust_env=False).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer wrong"}, trust_env=False).status_code == 401


def test_readback_is_up_and_asks_for_its_password(sandbox):
    trusted = ssl.create_default_context(cafile=sandbox.readback.ca_file)
    answer = httpx.get(f"{sandbox.readback.url}/health", verify=trusted, trust_env=False)
    assert answer.status_code == 200
    assert sandbox.status()["readback"] == "up"


def environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_no_secret_of_the_environment_outlives_the_run(tmp_path, monkeypatch):
    secret = "only-for-this-run"
    for name in ("BW_CLIENT_SECRET", "BW_RUNBOOK_AMI_SECRET", "MY_SIP_PASSWORD", "LC_PASSWORD"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    sandbox = control.start(tmp_path)
    try:
        readback = json.loads((sandbox.directory / "readback.json").read_text())["pid"]
        pbx = sandbox.start_pbx(SLEEP, {"PATH": os.environ["PATH"]}, tmp_path, tmp_path / "pbx.log")
        inherited = {pid: environment(pid) for pid in (sandbox.pid, readback, pbx)}
    finally:
        sandbox.down()
    assert not [pid for pid, variables in inherited.items() if secret in variables.values()]
    assert inherited[sandbox.pid].keys() <= KEPT
    assert inherited[readback].keys() <= KEPT
    assert inherited[readback]["LC_ALL"] == "C.UTF-8"
    assert inherited[pbx].keys() <= {"PATH"}


def kill_readback(sandbox: control.Sandbox) -> int:
    pid = json.loads((sandbox.directory / "readback.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not running(pid))
    return pid


def health(sandbox: control.Sandbox) -> int:
    trusted = ssl.create_default_context(cafile=sandbox.readback.ca_file)
    return httpx.get(f"{sandbox.readback.url}/health", verify=trusted, trust_env=False).status_code


def test_a_readback_that_died_is_back_for_the_next_run_at_the_same_place(tmp_path):
    first = control.start(tmp_path)
    try:
        dead = kill_readback(first)
        said = f"readback (pid {dead}) is gone: starting it again"
        # A process is a zombie a moment before all its threads are: only then can its parent know.
        eventually(lambda: said in (first.directory / "supervisor.log").read_text())
        second = control.start(tmp_path)
        assert (second.pid, second.readback.url) == (first.pid, first.readback.url)
        address = second.readback
        assert health(second) == 200
        assert Readback(address.url, address.token, address.ca_file).webhooks() == []
    finally:
        first.down()


def test_a_readback_that_keeps_dying_is_given_up_and_the_next_start_replaces_the_sandbox(tmp_path, caplog):
    first = control.start(tmp_path)
    for _ in range(RESTARTS + 1):
        eventually(lambda: first.status()["readback"] == "up")
        kill_readback(first)
        eventually(lambda: first.status()["readback"] != "up")
    eventually(lambda: first.status()["readback"] == "down")
    assert "not started again" in (first.directory / "supervisor.log").read_text()
    second = control.start(tmp_path)
    try:
        assert second.pid != first.pid
        ended((first.pid,))
        assert health(second) == 200
        assert f"(pid {first.pid}) has lost its readback" in caplog.text
    finally:
        second.down()


BAD_INPUT = [
    ("GET", "/exchanges?since=abc", ""),
    ("GET", "/exchanges?since=-1", ""),
    ("GET", "/exchanges?since=99999999999999999999", ""),
    ("GET", "/sip-events?since=abc", ""),
    ("GET", "/sip-events?since=2026-11-23", ""),
    *[("PUT", "/switches/options", body) for body in ("", "x", "[]", "{}", "null", '{"value": 200}', '{"value": []}')],
    *[
        ("PUT", "/notes/k", body)
        for body in ("", "x", "[]", "{}", '{"value": NaN}', '{"value": "\\ud800"}', "[" * 9999)
    ],
    *[("POST", "/pbx", body) for body in ("", "x", "[]", "{}", '{"argv": []}')],
    ("POST", "/pbx", '{"argv": [], "env": {}, "cwd": "/", "log": "/x"}'),
    ("POST", "/pbx", '{"argv": "sh", "env": {}, "cwd": "/", "log": "/x"}'),
    ("POST", "/pbx", '{"argv": ["a", 1], "env": {}, "cwd": "/", "log": "/x"}'),
    ("POST", "/pbx", '{"argv": ["a"], "env": {"b": 1}, "cwd": "/", "log": "/x"}'),
    ("POST", "/pbx", '{"argv": ["a"], "env": {}, "cwd": 1, "log": "/x"}'),
    ("POST", "/pbx", '{"argv": ["a"], "env": {}, "cwd": "/", "log": "/no/such/directory/x"}'),
]


@pytest.mark.parametrize(("method", "path", "body"), BAD_INPUT)
def test_input_that_cannot_be_understood_is_answered_400_with_a_sentence(sandbox, method, path, body):
    bearer = {"Authorization": f"Bearer {sandbox.control_token.get_secret_value()}"}
    url = f"{sandbox.http_url}/_sandbox{path}"
    answer = httpx.request(method, url, content=body, headers=bearer, trust_env=False)
    assert answer.status_code == 400
    assert " " in answer.json()["error"]
    assert "Traceback" not in (sandbox.directory / "supervisor.log").read_text()


def test_audio_that_cannot_be_there_is_404(sandbox):
    bearer = {"Authorization": f"Bearer {sandbox.control_token.get_secret_value()}"}
    for path in (f"{'x' * 5000}/sent", "c-1/elsewhere", "c-1/sent", "%00/sent"):
        url = f"{sandbox.http_url}/_sandbox/audio/{path}"
        assert httpx.get(url, headers=bearer, trust_env=False).status_code == 404


def test_garbage_at_the_edge_is_counted_and_does_not_fill_the_log(tmp_path):
    sandbox = control.start(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(500):
            stranger.sendto(b"\x00\xffgarbage", sandbox.edge)
    eventually(lambda: len(sandbox.sip_events()) >= 100)  # the rest may have been dropped on the way
    sandbox.down()
    log_text = (sandbox.directory / "supervisor.log").read_text()
    assert 1 <= log_text.count("unreadable message from") <= 2 * LINES
    assert re.search(r"\d+ more of bwlib\.sip\.transaction: unreadable message", log_text)


def test_one_pbx_at_a_time(sandbox, tmp_path):
    pid = sandbox.start_pbx(SLEEP, dict(os.environ), tmp_path, tmp_path / "pbx.log")
    assert sandbox.pbx_alive()
    with pytest.raises(BwlibError, match=str(pid)):
        sandbox.start_pbx(SLEEP, dict(os.environ), tmp_path, tmp_path / "pbx.log")
    sandbox.stop_pbx()
    assert not sandbox.pbx_alive()
    ended((pid,))


def test_a_pbx_that_cannot_be_started_says_why(sandbox, tmp_path):
    with pytest.raises(SettingsError, match="/no/such/asterisk"):
        sandbox.start_pbx(["/no/such/asterisk"], {}, tmp_path, tmp_path / "pbx.log")


def test_what_a_pbx_prints_goes_to_its_log(sandbox, tmp_path):
    sandbox.start_pbx([sys.executable, "-c", "print('ready')"], {}, tmp_path, tmp_path / "pbx.log")
    eventually(lambda: "ready" in (tmp_path / "pbx.log").read_text())
    sandbox.stop_pbx()


def test_a_switch_that_was_turned_and_turned_back_is_told(sandbox):
    before = sandbox.status()["switches_turned"]
    sandbox.set_switch("options", "silent")
    sandbox.set_switch("options", "200")
    assert sandbox.status()["switches_turned"] == before + 2


@pytest.mark.parametrize(
    ("name", "value"), [("no_such_switch", "1"), ("options", "perhaps"), ("realm_create_s", "soon"), ("options", "")]
)
def test_a_switch_that_is_not_there_or_a_value_it_does_not_take_is_refused(sandbox, name, value):
    with pytest.raises(SettingsError, match=name):
        sandbox.set_switch(name, value)


def test_a_reset_puts_the_switches_back(sandbox):
    sandbox.set_switch("options", "silent")
    sandbox.reset()
    assert sandbox.switches()["options"] == "200"


def test_a_note_that_was_never_put_is_none(sandbox):
    assert sandbox.get_note("nothing") is None


def test_a_sandbox_that_is_gone_says_so(tmp_path):
    sandbox = control.start(tmp_path)
    sandbox.down()
    with pytest.raises(BwlibError, match="start the sandbox again"):
        sandbox.switches()


def test_a_sandbox_that_comes_back_keeps_its_addresses(tmp_path: Path) -> None:
    """What was configured against them, a callback URL or a trunk's proxy, is still right after a restart."""
    first = control.start(tmp_path)
    seen = (first.http_url, first.edge, first.readback.url)
    first.down()
    second = control.start(tmp_path)
    try:
        assert (second.http_url, second.edge, second.readback.url) == seen
    finally:
        second.down()
