"""How long a diagnosis takes, in seconds: where nothing is wrong, where something is, and where nothing answers.

    .venv/bin/python benchmarks/diagnose.py [runs]

`bw-runbook diagnose` as a process of its own, from its start to its sealed record, on a sandbox and a site of its own.
Goals: 10 s where all answer, 30 s where nothing does. It measures and prints one line for each case; it judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bwlib import open_run, start_site
from bwlib.sandbox import control
from bwlib.settings import load_settings
from bwlib.site_file import write_answers
from bwlib.training.bandwidth_breaks import application
from bwlib.training.breaking import BY_NAME
from bwlib.training.stage import Stage, open_stage

BREAKS = ("wrong-password", "codec-mismatch", "rtp-from-pbx-lost", "digits-lost", "dtmf-info", "edge-silent",
          "callback-dead", "rate-limited")  # fmt: skip
SECRET = "Zq7mWv3Rt9LpXc5KbN2hYd8F"  # noqa: S105 - of nobody
SITE = """
name = "silent"
target = "live"
[bandwidth]
account_id = "9900000"
client_id = "nobody"
client_secret = "env:SILENT_SECRET"
number = "+19195550100"
[application]
callback_url = "{url}/initiate"
[pbx]
config_dir = "{folder}"
ami_port = {port}
ami_secret = "env:SILENT_SECRET"
sip_host = "127.0.0.1"
sip_port = {sip_port}
bandwidth_ips = ["203.0.113.7"]
[readback]
url = "{url}"
token = "env:SILENT_SECRET"
"""


def look_s(site: Path, *arguments: str, **env: str) -> tuple[float, str]:
    """(seconds, what it comes to) of one diagnosis by the command line."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bwlib.cli", "diagnose", str(site), "--json", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    try:
        return took, str(json.loads(done.stdout)["sentence"])
    except (ValueError, KeyError):  # it ended with an error
        return took, " ".join([*done.stdout.split(), *done.stderr.split()][-40:])


def measure(what: str, runs: int, site: Path, *arguments: str, **env: str) -> None:
    results = [look_s(site, *arguments, **env) for _ in range(runs)]
    times = [seconds for seconds, _ in results]
    print(f"{what}: {statistics.median(times):.1f} s, at most {max(times):.1f} s: {results[-1][1][:110]}", flush=True)


# ---------------------------------------------------------------- a site that has walked the guide


def walked(site: Path) -> Stage:
    """The guide on a sandbox, its progress on stderr: stdout is for figures."""
    with contextlib.redirect_stdout(sys.stderr):
        start_site(site, name="measured")
        run = open_run(site, notebook="benchmark")
        run.application()
        run.sip_credential(run.realm())
        run.trunk()
        run.route()
        run.extension()
    sandbox = control.attach()
    assert sandbox is not None
    return open_stage(load_settings(site), sandbox, 7)


@contextlib.contextmanager
def slow_callback(stage: Stage) -> Iterator[None]:
    """The callback URL answers after 20 s."""
    right = application(stage)
    url = stage.sandbox.broken_url("slow")
    stage.client.update_application(replace(right, call_initiated_url=url, call_status_url=None, callback_user=None))
    try:
        yield
    finally:
        stage.client.update_application(replace(right, callback_password=stage.sandbox.readback.password))


@contextlib.contextmanager
def all_silent(stage: Stage, tcp: int, udp: int) -> Iterator[None]:
    """APIs, callback URL, realm and PBX do not answer; the sandbox's own readback does."""
    pbx = {"config_dir": str(stage.config_dir), "ami_port": tcp, "ami_secret": "env:SILENT_SECRET", "sip_port": udp}
    write_answers(stage.settings.path, {f"pbx.{entry}": value for entry, value in pbx.items()})
    with slow_callback(stage), stage.sandbox.fault("sip-silence"):
        late = stage.sandbox.switch_fault_on("http-delay", value="120", match={"path": "/api/*"})
        try:
            yield
        finally:
            stage.sandbox.switch_faults_off(late["id"])


@contextlib.contextmanager
def silent_ports() -> Iterator[tuple[int, int]]:
    """A TCP port that takes connections and says nothing, and a UDP port."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield tcp.getsockname()[1], udp.getsockname()[1]


def on_sandbox(folder: Path, runs: int) -> None:
    site = folder / "site" / "site.toml"
    stage = walked(site)
    measure("nothing is wrong", runs, site)
    for name in BREAKS:
        BY_NAME[name].put_in(stage)
        try:
            measure(name, runs, site)
        finally:
            BY_NAME[name].mend(stage)
    with slow_callback(stage):
        measure("callback after 20 s", runs, site)
    with silent_ports() as (tcp, udp), all_silent(stage, tcp, udp):
        measure("sandbox: nothing answers", runs, site, SILENT_SECRET=SECRET)


# ---------------------------------------------------------------- nobody answers


def silent_live(folder: Path, runs: int) -> None:
    """A live site of which every address takes connections, and says nothing."""
    with silent_ports() as (port, sip_port):
        url = f"http://127.0.0.1:{port}"
        site = folder / "silent" / "site.toml"
        (site.parent / "secrets").mkdir(parents=True)
        for name in ("sip_password", "extension_secret"):
            secret = site.parent / "secrets" / name
            secret.write_text(SECRET)
            secret.chmod(0o600)
        text = SITE.format(url=url, folder=site.parent, port=port, sip_port=sip_port)
        site.write_text(text)
        env = {"SILENT_SECRET": SECRET, "BW_API_URL": f"{url}/api/v2", "BW_VOICE_URL": f"{url}/api/v2"}
        measure("live: nothing answers", runs, site, **env)
        measure("live: nothing answers, --place-call", runs, site, "--place-call", **env)
        measure("live: nothing answers, --after-call", runs, site, "--after-call", "c-1234", **env)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BW_RUNBOOK_HOME"] = f"{folder}/home"
        try:
            silent_live(Path(folder), runs)
            on_sandbox(Path(folder), runs)
        finally:
            running = control.attach()
            if running is not None:
                running.down()


if __name__ == "__main__":
    main()
