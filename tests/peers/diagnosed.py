"""A look at a walked site, as `bw-runbook diagnose` takes it, for the tests of what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bwlib.calling import request_to_extension
from bwlib.diagnose.facts import Facts
from bwlib.diagnose.look import look
from bwlib.diagnose.scene import Scene
from bwlib.diagnose.verdict import Verdict
from bwlib.guide import Run
from bwlib.models import Trunk
from bwlib.run import open_to_look
from bwlib.sandbox import control
from bwlib.settings import load_settings
from bwlib.training.breaking import BY_NAME
from bwlib.training.config_edits import Edit
from bwlib.training.pbx_breaks import OURS
from bwlib.training.stage import Stage, open_stage

# What is put in around a look; it gives what the Scene needs for it: {"calls": False, "after_call": "c-..."}.
Put = Callable[[Path], AbstractContextManager[dict[str, Any]]]


@dataclass(frozen=True)
class Looked:
    """What one look found, and how long it took."""

    facts: Facts
    verdict: Verdict
    scene: Scene
    seconds: float

    @property
    def names(self) -> list[str]:
        return [cause.name for cause in self.verdict.causes]

    @property
    def first(self) -> str:
        return self.names[0] if self.names else "-"

    @property
    def told(self) -> str:
        """For the message of an assertion, and for whoever reads the test's output."""
        causes = ", ".join(f"{cause.name} ({cause.confidence})" for cause in self.verdict.causes) or "no cause"
        more = (*self.verdict.unexplained, *self.verdict.not_looked)
        return f"{causes}{'; '.join(('', *more))} [{self.seconds:.1f} s]"


def looked_at(site: Path, *, blind: bool = False, **how: Any) -> Looked:
    """One look. how: as `Scene` takes it. blind: nobody of ours sees the realm's messages, as on a live account."""
    began = time.monotonic()
    with open_to_look(site) as run:
        if blind:
            run.on = replace(run.on, sip_events=None)
        scene = Scene(run, **how)
        facts, verdict = look(scene, lambda said: None)
    return Looked(facts, verdict, scene, round(time.monotonic() - began, 1))


def stage_of(site: Path, seed: object = 7) -> Stage:
    sandbox = control.attach()
    assert sandbox is not None
    return open_stage(load_settings(site), sandbox, seed)


def broken(name: str, seed: object = 7) -> Put:
    """A break of the trainer's table, mended afterwards."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        stage = stage_of(site, seed)
        BY_NAME[name].put_in(stage)
        try:
            yield {}
        finally:
            BY_NAME[name].mend(stage)

    return put


def edited(edit: Callable[[Trunk], Edit], file: str = OURS) -> Put:
    """One of the PBX's files of ours as somebody edited it, given the trunk as it was; put back afterwards."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        stage = stage_of(site)
        before, trunk = stage.read(file), stage.pbx.get_trunk(stage.settings.pbx.trunk)
        assert trunk is not None
        after = edit(trunk)(before)
        assert after != before
        stage.write(file, after)
        stage.reload()
        try:
            yield {}
        finally:
            stage.write(file, before)
            stage.reload()

    return put


def switched(**values: str) -> Put:
    """Switches of the sandbox, put back afterwards."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        sandbox = stage_of(site).sandbox
        before = sandbox.switches()
        for name, value in values.items():
            sandbox.set_switch(name, value)
        try:
            yield {}
        finally:
            for name in values:
                sandbox.set_switch(name, before[name])

    return put


def faulty(name: str, **how: Any) -> Put:
    """A fault of the sandbox. how: as `Sandbox.fault` takes it."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        with stage_of(site).sandbox.fault(name, **how):
            yield {}

    return put


def all_of(*puts: Put) -> Put:
    """Several at once; the last one put in is taken out first."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        with ExitStack() as stack:
            given: dict[str, Any] = {}
            for each in puts:
                given |= stack.enter_context(each(site))
            yield given

    return put


def rung(run: Run) -> str:
    """The id of a programmatic call to the extension that nobody answered: returns once it has ended."""
    client = run.on.client
    call = client.create_call(replace(request_to_extension(run), call_timeout_s=3))
    deadline = time.monotonic() + 30
    while call.state != "disconnected" and time.monotonic() < deadline:
        time.sleep(0.1)
        call = client.get_call(call.id)
    assert call.state == "disconnected"
    return call.id
