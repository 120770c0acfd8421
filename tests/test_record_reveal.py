"""A secret on demand, in a real kernel: one message to one widget shows it, the time or the button hides it, and
nothing that is kept has seen it."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from kernel_by_hand import LIMIT_S, KernelByHand, kernel_by_hand
from test_record_kernel import KNOWING, MASK, SECRET, Site

from bwlib.record.jupyter import pre_save
from bwlib.record.notebook import WIDGETS

pytestmark = pytest.mark.slow
SHOWN = f'<code style="user-select:all">{escape(SECRET)}</code>'
@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelByHand]:
    with kernel_by_hand() as started:
        yield started


@pytest.fixture
def site(kernel: KernelByHand, tmp_path: Path) -> Site:
    """With a run that is open, and the widget that a card has for a secret."""
    made = Site(kernel, tmp_path)
    made.open()
    kernel.run("import ipywidgets; from pydantic import SecretStr; w = ipywidgets.HTML()")
    return made


def press(site: Site, source: str, count: int) -> list[dict[str, Any]]:
    """Do what a button would; every message from then on until the widget was told `count` values."""
    client, told = site.kernel.client, list[dict[str, Any]]()
    request, idle, deadline = client.execute(source), False, time.monotonic() + LIMIT_S
    while not idle or len(values(told)) < count:
        assert time.monotonic() < deadline, f"the widget was told {values(told)}"
        try:
            told.append(client.get_iopub_msg(timeout=0.2))
        except queue.Empty:
            continue
        mine = told[-1]["parent_header"].get("msg_id") == request
        idle = idle or (mine and told[-1]["content"].get("execution_state") == "idle")
    return told


def values(told: list[dict[str, Any]]) -> list[str]:
    """What the widget was told to show, in order."""
    states = [message["content"]["data"].get("state", {}) for message in told if message["msg_type"] == "comm_msg"]
    return [state["value"] for state in states if "value" in state]


def findings(told: list[dict[str, Any]]) -> list[str]:
    """The kinds of the messages that the secret stands in."""
    return [one["msg_type"] for one in told if KNOWING.findings(json.dumps([one["content"], one["metadata"]]))]


def test_the_secret_reaches_its_widget_once_and_is_gone_when_the_button_is_up_again(site: Site) -> None:
    shown = press(site, "kernel.reveal(w, SecretStr(S))", 1)
    assert values(shown) == [SHOWN]
    assert findings(shown) == ["comm_msg"]
    assert [one["parent_header"] for one in shown if SHOWN in json.dumps(one["content"]).replace("\\", "")] == [{}]
    hidden = press(site, "kernel.reveal(w, None)", 1)
    assert values(hidden) == [""]
    assert findings(hidden) == []


def test_it_is_gone_by_itself_when_the_time_is_over(site: Site) -> None:
    told = press(site, "up = []; kernel.reveal(w, SecretStr(S), seconds=0.1, hidden=lambda: up.append(1))", 2)
    assert values(told) == [SHOWN, ""]
    assert site.kernel.run("print(up)").printed() == "[1]\n"


def test_while_it_is_shown_the_kernel_gives_it_to_nobody_else(site: Site) -> None:
    press(site, "kernel.reveal(w, SecretStr(S))", 1)
    for source in ("print(S)", "w", "print(repr(w), w.value, w.get_state())", "w.send_state()", "w.value = S"):
        ran = site.kernel.run(source)
        assert KNOWING.findings(ran.everything()) == [], source


def test_a_page_that_is_loaded_anew_meanwhile_does_not_get_it(site: Site) -> None:
    """It asks the kernel for the state of every widget, through a comm for that alone."""
    press(site, "kernel.reveal(w, SecretStr(S))", 1)
    client, told = site.kernel.client, list[dict[str, Any]]()
    opened = {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}}
    client.shell_channel.send(client.session.msg("comm_open", opened, metadata={"version": "1.0.0"}))
    asked = {"comm_id": "control", "data": {"method": "request_states"}}
    client.shell_channel.send(client.session.msg("comm_msg", asked))
    while not told or told[-1]["content"].get("data", {}).get("method") != "update_states":
        told.append(client.get_iopub_msg(timeout=LIMIT_S))
    states = told[-1]["content"]["data"]["states"]
    assert [state["state"]["value"] for state in states.values() if state["model_name"] == "HTMLModel"][-1:] == [""]
    assert findings(told) == []


def test_nothing_of_the_record_has_it(site: Site) -> None:
    press(site, "kernel.reveal(w, SecretStr(S)); w", 1)
    site.kernel.run("kernel.write_transcripts(record)")
    kept = b"".join(path.read_bytes() for folder in site.folders() for path in folder.rglob("*") if path.is_file())
    assert b"kernel.reveal(w, SecretStr(S))" in kept, "the cell itself is written down"
    assert KNOWING.findings(kept) == []


def test_a_notebook_saved_meanwhile_does_not_have_it() -> None:
    """As JupyterLab saves it with "Save Widget State Automatically"."""
    state = {"model_module": "@jupyter-widgets/controls", "model_name": "HTMLModel", "state": {"value": SHOWN}}
    widgets = {WIDGETS: {"version_major": 2, "version_minor": 0, "state": {"an-id": state}}}
    model = {"type": "notebook", "content": {"cells": [], "metadata": {"widgets": widgets}, "nbformat": 4}}
    pre_save(model, "20.ipynb", lambda: KNOWING)
    assert MASK in model["content"]["metadata"]["widgets"][WIDGETS]["state"]["an-id"]["state"]["value"]  # type: ignore[index]
    assert KNOWING.findings(json.dumps(model)) == []


def test_an_unattended_run_shows_no_secret_at_all(kernel: KernelByHand, tmp_path: Path) -> None:
    site = Site(kernel, tmp_path)
    site.open(by_hand=False)
    kernel.run("import ipywidgets; from pydantic import SecretStr")
    told = press(site, "w = ipywidgets.HTML(); kernel.reveal(w, SecretStr(S)); w.send_state('value')", 1)
    assert values(told) == [""]
    assert findings(told) == []


def test_a_secret_with_the_signs_of_html_is_shown_as_it_is(site: Site) -> None:
    told = press(site, "kernel.reveal(w, SecretStr('a<b>&' + '\"horse'))", 1)
    assert values(told) == ['<code style="user-select:all">a&lt;b&gt;&amp;&quot;horse</code>']
    assert site.kernel.run("print('a<b>&' + '\"horse')").printed() == "«redacted:shown secret»\n"
