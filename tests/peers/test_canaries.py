"""Canary credentials, cells that are careless with them, a real sandbox and PBX: nothing is found afterwards.

Unattended by the command line's own runner, and by hand in a real JupyterLab with its contents API. Two searches look
for the canaries: the project's own, which guards the seal, and one that shares no code with it (tests/canaries.py).
The same with the layer switched off finds them, so that the searches are seen to work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import nbformat
import psutil
import pytest
from canaries import ha1, new_canary, search
from jupyter_client.blocking.client import BlockingKernelClient
from kernel_by_hand import KernelByHand, Ran
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, output_from_msg
from notebook_made import make_notebook
from peers import asterisk

from bwlib.record.journal import read_lines
from bwlib.record.redact import redactor_for
from bwlib.record.scan import scan_folder
from bwlib.runner.run_site import GUIDE_NOTEBOOKS, notebooks_folder
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(600)]

PROJECT = Path(__file__).resolve().parents[2]
CARELESS = "50_careless"
OPEN = f'from bwlib import open_run\nrun = open_run(site_file, notebook="{CARELESS}", mode=mode)'
# What somebody who is looking for a fault might type.
GATHER = """
import base64, hashlib, html, json, os, urllib.parse
from bwlib.sandbox import control
known = {p.name: p.read_text().strip() for p in (run.settings.folder / "secrets").iterdir()}
known |= {name: os.environ[name] for name in ("BW_CLIENT_SECRET", "BW_RUNBOOK_READBACK_TOKEN")}
fqdn = run.realm().fqdn
a1 = f"{run.settings.sip_credential.username}:{fqdn}:{known['sip_password']}"
known["HA1"] = hashlib.md5(a1.encode()).hexdigest()
"""
PRINT = """
import sys
for name, secret in known.items():
    print(name, secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret), html.escape(secret))
    print(json.dumps(secret), secret.encode().hex(), secret.encode().hex().upper(), secret.encode(), repr(secret))
    for lead in ("", "x", "xy"):
        print(base64.b64encode(f"{lead}{secret}:tail".encode()).decode())
    sys.stdout.write(secret[:9]); sys.stdout.flush(); sys.stdout.write(secret[9:] + "\\n"); sys.stdout.flush()
"""
HASHES = """
import httpx
box = control.attach()
basic = (box.client_id, box.client_secret.get_secret_value())
token = httpx.post(box.token_url, data={"grant_type": "client_credentials"}, auth=basic)
realm = run.on.client.list_realms()[0]
url = f"{box.api_url}/accounts/{box.account_id}/realms/{realm.id}/sipcredentials"
answer = httpx.get(url, headers={"Authorization": "Bearer " + token.json()["access_token"]}, follow_redirects=True)
print(token.text, dict(answer.request.headers), answer.status_code, answer.text)
"""
WIDGET = """
import ipywidgets
from IPython.display import HTML, JSON, display
shown = ipywidgets.Output()
with shown:
    print(known)
display(ipywidgets.Password(value=known["sip_password"]), ipywidgets.Text(value=str(known)), shown)
display(HTML(html.escape(str(known))), JSON({secret: name for name, secret in known.items()}))
"""
EXCEPTION = 'raise ValueError(f"it did not work with {known}")'
CELLS = (OPEN, GATHER, PRINT, HASHES, WIDGET, EXCEPTION)
# Imported by every Python that has its folder on the path: the redaction layer, switched off.
LAYER_OFF = """
from bwlib.record.redact import Redactor
Redactor.text = lambda self, text: text
Redactor.value = lambda self, value: value
Redactor.findings = lambda self, data: []
Redactor.open_end = lambda self, text: 0
"""


@dataclass
class Stage:
    """A site with canaries for secrets, on a sandbox of its own."""

    home: Path
    canaries: dict[str, str] = field(default_factory=dict)

    @property
    def site(self) -> Path:
        return self.home / "canary"

    @property
    def site_file(self) -> Path:
        return self.site / "site.toml"

    def environment(self, *, layer: bool) -> dict[str, str]:
        path = [str(PROJECT), *([] if layer else [str(self.home / "off")])]
        named = {name: self.canaries[name] for name in ("BW_CLIENT_SECRET", "BW_RUNBOOK_READBACK_TOKEN")}
        homes = {"BW_RUNBOOK_HOME": self.home, "BW_RUNBOOK_SITE": self.site_file, "HOME": self.home}
        homes |= {"BW_RUNBOOK_CACHE": os.environ.get("BW_RUNBOOK_CACHE") or Path("~/.cache/bw-runbook").expanduser()}
        homes |= {"JUPYTER_RUNTIME_DIR": self.home / "runtime"}
        variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        told = {name: str(value) for name, value in homes.items()}
        return {**variables, **told, **named, "PYTHONPATH": os.pathsep.join(reversed(path))}

    def learn(self) -> None:
        """The canaries that the sandbox made, and the hashes that follow from the realm's name."""
        sandbox = control.attach(self.home)
        assert sandbox is not None
        self.canaries |= {
            "client secret": sandbox.client_secret.get_secret_value(),
            "control token": sandbox.control_token.get_secret_value(),
            "callback password": sandbox.readback.password.get_secret_value(),
            "readback token": sandbox.readback.token.get_secret_value(),
            "AMI secret": sandbox.get_note("pbx")["ami_secret"],
        }
        steps = [line for run in self.records() for line in read_lines(run / "journal.jsonl") if line["kind"] == "step"]
        fqdn = next(line["object"]["fqdn"] for line in steps if line["step"] == "realm" and line.get("object"))
        password = self.canaries["SIP password"]
        self.canaries |= {"HA1": ha1("canary", fqdn, password), "HA1b": ha1(f"canary@{fqdn}", fqdn, password)}

    def records(self) -> list[Path]:
        return sorted(path.parent for path in self.site.glob("runs/*/*/journal.jsonl"))

    def places(self) -> list[Path]:
        """Everything that is written for people: the site but its secrets, logs of whatever ran."""
        logs = [*(self.home / "sandbox").glob("*.log"), *(self.home / "jupyter").rglob("*.log")]
        logs += [path for path in (self.home / "sandbox" / "pbx" / "log").iterdir() if path.is_file()]
        return [path for path in self.site.iterdir() if path.name != "secrets"] + logs


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    asterisk()
    made = Stage(tmp_path_factory.mktemp("canaries") / "home")
    made.canaries = {name: new_canary() for name in ("SIP password", "extension secret")}
    made.canaries |= {name: new_canary() for name in ("BW_CLIENT_SECRET", "BW_RUNBOOK_READBACK_TOKEN")}
    (made.site / "secrets").mkdir(parents=True, mode=0o700)
    made.site_file.write_text('name = "canary"\n')
    for name, canary in (("sip_password", "SIP password"), ("extension_secret", "extension secret")):
        (made.site / "secrets" / name).write_text(made.canaries[canary] + "\n")
        (made.site / "secrets" / name).chmod(0o600)
    shutil.copytree(notebooks_folder(), made.home / "guide")
    make_notebook(made.home / "guide", CARELESS, *CELLS)
    (made.home / "off").mkdir()
    (made.home / "off" / "sitecustomize.py").write_text(LAYER_OFF)
    yield made
    running = control.attach(made.home)
    if running is not None:
        running.down()


# ---------------------------------------------------------------- unattended


@dataclass(frozen=True)
class Batch:
    record: Path
    said: Path


RUN = """
import sys
from pathlib import Path
from bwlib import cli_run
from bwlib.runner import run_site
run_site.notebooks_folder = lambda: Path(sys.argv[1])
cli_run.run_notebooks(Path(sys.argv[2]), {"mode": "apply"}, sys.argv[3:], True)
"""


def unattended(stage: Stage, *notebooks: str, layer: bool) -> Batch:
    said = stage.home / f"batch-{'on' if layer else 'off'}.txt"
    with said.open("w") as stream:
        subprocess.run(
            [sys.executable, "-c", RUN, str(stage.home / "guide"), str(stage.site_file), *notebooks],
            env=stage.environment(layer=layer),
            stdout=stream,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )
    record = stage.records()[-1]
    assert (record / "manifest.json").exists(), said.read_text()
    assert "ValueError" in said.read_text(), "the careless notebook did not come to its end"
    return Batch(record, said)


@pytest.fixture(scope="module")
def batch(stage: Stage) -> Batch:
    """The whole guide with both calls, then the careless cells."""
    done = unattended(stage, *GUIDE_NOTEBOOKS, CARELESS, layer=True)
    stage.learn()
    return done


@pytest.fixture
def batch_off(stage: Stage, batch: Batch) -> Iterator[Batch]:
    done = unattended(stage, CARELESS, layer=False)
    yield done
    shutil.rmtree(done.record)


def own_search(stage: Stage, folder: Path) -> list[str]:
    return [str(hit) for hit in scan_folder(folder, redactor_for(stage.canaries.items()))]


def test_an_unattended_run_leaves_no_canary_anywhere(stage: Stage, batch: Batch) -> None:
    assert search([*stage.places(), batch.said], stage.canaries) == []
    assert own_search(stage, batch.record) == []


def test_the_careless_cells_did_speak_and_the_guide_did_run(batch: Batch) -> None:
    text = (batch.record / "notebooks" / f"{CARELESS}.ipynb").read_text()
    for name in ("file:secrets/sip_password", "file:secrets/extension_secret", "env:BW_CLIENT_SECRET", "HA1"):
        assert f"«redacted:{name}»" in text
    assert "PasswordModel" in text
    assert "<Hash1>" in text
    steps = {
        line["step"]: line["status"] for line in read_lines(batch.record / "journal.jsonl") if line["kind"] == "step"
    }
    assert steps["call_from_extension"] == steps["call_to_extension"] == "passed"
    assert (batch.record / "sip.jsonl").exists()


TOLD = ("SIP password", "extension secret", "BW_CLIENT_SECRET", "BW_RUNBOOK_READBACK_TOKEN", "HA1")
WAYS = ("plain", "URL", "form", "HTML", "hex", "HEX", "base64, 0", "base64, 1", "base64, 2")


def test_the_same_run_with_the_layer_off_is_found_out_by_both_searches(stage: Stage, batch_off: Batch) -> None:
    found = search([batch_off.record], stage.canaries)
    for name in TOLD:
        for way in WAYS:
            assert any(hit.endswith(f": {name}, {way}") for hit in found), (name, way)
    hits = scan_folder(batch_off.record, redactor_for(stage.canaries.items()))
    kinds = {kind for hit in hits if hit.file == f"notebooks/{CARELESS}.ipynb" for kind in hit.kinds}
    assert kinds >= {*TOLD, "hash", "token"}


# ---------------------------------------------------------------- by hand, in JupyterLab


@dataclass(frozen=True)
class Walk:
    record: Path
    saved: Path
    seen: str
    command_lines: str
    refused: httpx.Response


@contextmanager
def lab(stage: Stage, *, layer: bool) -> Iterator[httpx.Client]:
    """JupyterLab by our own command, and a client of its API."""
    command = [sys.executable, "-m", "bwlib.cli", "lab", "--no-browser", str(stage.site_file)]
    with subprocess.Popen(command, env=stage.environment(layer=layer), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(process.stdout.readline().strip())
            headers = {"Authorization": f"token {url.query.partition('token=')[2]}"}
            with httpx.Client(base_url=f"http://{url.netloc}", headers=headers, timeout=60) as client:
                yield client
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def kernel_of(stage: Stage, api: httpx.Client) -> Iterator[KernelByHand]:
    """A kernel that JupyterLab's server starts."""
    made = api.post("/api/kernels", json={"name": "python3", "path": "notebooks"})
    file = stage.home / "runtime" / f"kernel-{made.raise_for_status().json()['id']}.json"
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    try:
        kernel = KernelByHand(None, client)  # type: ignore[arg-type]  # never interrupted
        kernel.wait_until_it_answers()
        yield kernel
    finally:
        client.stop_channels()


def as_shown(sources: tuple[str, ...], ran: list[Ran]) -> Any:
    """The notebook as JupyterLab would save it: each cell with what its front end was told."""
    kinds = ("stream", "display_data", "execute_result", "error")
    cells = [new_markdown_cell("# by hand")]
    for source, one in zip(sources, ran, strict=True):
        outputs = [output_from_msg(message) for message in one.messages if message["header"]["msg_type"] in kinds]
        cells.append(new_code_cell(source, outputs=outputs, execution_count=1))
    return new_notebook(cells=cells)


EARLY = "\n".join([
    "# before the run is opened nothing is known in this kernel",
    "import os, pathlib, sys",
    "site_file, mode = None, 'auto'",
    "folder = pathlib.Path(os.environ['BW_RUNBOOK_SITE']).parent / 'secrets'",
    "for name in ('sip_password', 'extension_secret'):",
    "    secret = (folder / name).read_text().strip()",
    "    print(secret); sys.stdout.write(secret[:7]); sys.stdout.flush(); print(secret[7:])",
])  # fmt: skip


def by_hand(stage: Stage, *, layer: bool) -> Walk:
    sources = (EARLY, *CELLS)
    with lab(stage, layer=layer) as api, kernel_of(stage, api) as kernel:
        ran = [kernel.run(source, f"cell-{number}") for number, source in enumerate(sources)]
        notebook = as_shown(sources, ran)
        body = {"type": "notebook", "format": "json", "content": notebook}
        name = f"careless-{'on' if layer else 'off'}.ipynb"
        assert api.put(f"/api/contents/notebooks/{name}", json=body).status_code == 201
        sandbox = control.attach(stage.home)
        assert sandbox is not None
        processes = [p for p in psutil.process_iter() if _is_of(p, stage.home)]
        lines = "\n".join(" ".join(_command_line(process)) for process in processes)
        refused = _save_with_an_unreadable_secret(stage, api, body)
    environment = stage.environment(layer=layer)
    sealed = [sys.executable, "-m", "bwlib.cli", "seal", str(stage.site_file)]
    done = subprocess.run(sealed, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    seen = "\n".join(one.everything() for one in ran[1:])
    return Walk(Path(done.stdout.strip()), stage.site / "notebooks" / name, seen, lines, refused)


def _save_with_an_unreadable_secret(stage: Stage, api: httpx.Client, body: Mapping[str, Any]) -> httpx.Response:
    secret = stage.site / "secrets" / "sip_password"
    secret.chmod(0o644)
    try:
        return api.put("/api/contents/notebooks/refused.ipynb", json=body)
    finally:
        secret.chmod(0o600)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_of(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get("BW_RUNBOOK_HOME") == str(home)
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def hand(stage: Stage, batch: Batch) -> Walk:
    return by_hand(stage, layer=True)


@pytest.fixture
def hand_off(stage: Stage, hand: Walk) -> Iterator[Walk]:
    done = by_hand(stage, layer=False)
    yield done
    shutil.rmtree(done.record)
    done.saved.unlink()


def test_a_run_by_hand_leaves_no_canary_anywhere(stage: Stage, hand: Walk) -> None:
    assert search(stage.places(), stage.canaries) == []
    assert own_search(stage, hand.record) == []
    assert redactor_for(stage.canaries.items()).findings(hand.saved.read_bytes()) == []


def test_no_canary_reached_the_screen_once_the_run_was_open(stage: Stage, hand: Walk, tmp_path: Path) -> None:
    (tmp_path / "seen.jsonl").write_text(hand.seen)
    assert search([tmp_path], stage.canaries) == []
    assert "«redacted:file:secrets/sip_password»" in hand.seen


def test_no_canary_can_be_read_in_a_command_line(stage: Stage, hand: Walk) -> None:
    assert "jupyterlab" in hand.command_lines
    assert [name for name, secret in stage.canaries.items() if secret in hand.command_lines] == []


def test_what_was_printed_before_the_run_was_open_is_masked_when_it_is_saved(hand: Walk) -> None:
    early = nbformat.read(hand.saved, as_version=4).cells[1]
    assert early.outputs[0].text == (
        "«redacted:file:secrets/sip_password»\n" * 2 + "«redacted:file:secrets/extension_secret»\n" * 2
    )


def test_a_notebook_that_cannot_be_freed_of_secrets_is_not_saved(stage: Stage, hand: Walk) -> None:
    assert hand.refused.status_code == 422
    assert "chmod 600" in hand.refused.json()["message"]
    assert not (stage.site / "notebooks" / "refused.ipynb").exists()


def test_the_record_of_the_run_by_hand_holds_its_cells(hand: Walk) -> None:
    lines = [line for line in read_lines(hand.record / "journal.jsonl") if line["kind"] == "cell"]
    assert [(line["cell"], line["status"]) for line in lines] == [
        (f"cell-{number}", status)
        for number in range(1, 7)
        for status in ("running", "failed" if number == 6 else "passed")
    ]
    executed = nbformat.read(hand.record / "notebooks" / f"{CARELESS}.ipynb", as_version=4)
    nbformat.validate(executed)
    assert [cell.source for cell in executed.cells] == list(CELLS)
    assert executed.cells[-1].outputs[-1].ename == "ValueError"


def test_by_hand_with_the_layer_off_both_searches_find_them_on_the_disk(stage: Stage, hand_off: Walk) -> None:
    for place in (hand_off.record, hand_off.saved):
        found = search([place], stage.canaries)
        for name in TOLD:
            assert any(hit.endswith(f": {name}, plain") for hit in found), (place, name)
    assert own_search(stage, hand_off.record)


# ---------------------------------------------------------------- stock papermill, by hand


@pytest.mark.parametrize("engine", [[], ["--engine", "bw"]])
def test_papermill_by_hand_writes_and_prints_no_canary(
    stage: Stage, batch: Batch, engine: list[str], tmp_path: Path
) -> None:
    """papermill's own command line on the careless notebook: the kernel itself keeps the secrets."""
    source, output, said = stage.home / "guide" / f"{CARELESS}.ipynb", tmp_path / "out.ipynb", tmp_path / "said.txt"
    command = [sys.executable, "-m", "papermill", *engine, "-p", "site_file", str(stage.site_file), "--log-output"]
    before = set(stage.records())
    done = subprocess.run(
        [*command, str(source), str(output)],
        env=stage.environment(layer=True),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said.write_text(done.stdout + done.stderr)
    assert "«redacted:file:secrets/sip_password»" in output.read_text()
    assert "it did not work with" in said.read_text()
    assert search([output, said], stage.canaries) == []
    for record in set(stage.records()) - before:
        shutil.rmtree(record)
