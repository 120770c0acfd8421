"""What a lab's notebook works with: the trainee's side. It asks the judge, which is another process, and shows.

from bwlib import open_lab
lab = open_lab("01_nobody_gets_out")
lab.call(); lab.tools(); lab.hint(); lab.check()
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bwlib.errors import BwlibError, SettingsError
from bwlib.guide import Run
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.pbx.asterisk_text import mask_secrets
from bwlib.record.signers import CONFIG_VARIABLE, config_folder
from bwlib.run import sandbox_pbx
from bwlib.sandbox import control
from bwlib.sandbox.control import Sandbox
from bwlib.sandbox.home import HOME_VARIABLE, write_private
from bwlib.starting import SITE_FILE
from bwlib.training.labs import HINTS, check_id, labs_folder
from bwlib.training.pbx_breaks import OUR_DIALPLAN, OURS
from bwlib.training.seat import TRAIN, Seat, own_trainee, trainee_folder
from bwlib.training.stage import ami_of
from bwlib.widgets import card, show
from bwlib.widgets.glossary import show_explained

PREPARE_TIMEOUT_S = 180.0  # unpacking an Asterisk included
CHECK_TIMEOUT_S = 180.0
CLASS = "class.json"  # in the trainee's folder: seed and labs, as the trainer gave them
# A sandbox that ended forgot its faults, and the judge cannot tell one that was mended from one that was forgotten.
_BACK = "until the lab is passed, what was wrong there is back after half an hour idle, which ends the sandbox"
_NOT_OURS = (SITE_FILE, "BW_RUNBOOK_RUN")


class Lab:
    """One lab of one trainee. Nothing here knows what is broken."""

    def __init__(self, seat: Seat, about: dict[str, Any]) -> None:
        self.seat, self.about = seat, about

    def __repr__(self) -> str:
        return f"Lab({self.seat.lab!r}, trainee {self.seat.trainee!r})"

    def run(self) -> Run:
        """The site's run, to look with: it plans and changes nothing."""
        from bwlib.run import open_run

        self._as_left()
        return open_run(self.seat.site_file, notebook=self.seat.lab, mode="plan")

    def call(self) -> None:
        """Place the call that the customer complains about, from your own site file; judged by nobody."""
        from bwlib.run import open_run

        self._as_left()
        run = open_run(self.seat.site_file, notebook=self.seat.lab, mode="apply", test_answer_timeout_s=8)
        run.names_causes = False  # that is the trainee's to find
        calls = {"outward": run.call_from_extension, "inward": run.call_to_extension}
        for way, place in calls.items():
            if self.about["call"] in (way, "both"):
                try:
                    place()
                except BwlibError as error:  # that it fails is what the lab is about; its advice would be a hint
                    error.do_next = "find out why: lab.tools() tells where to look"
                    show.show_fault(error)

    def tools(self) -> None:
        """Where to look, and the command lines with this lab's sandbox in them."""
        self._as_left()
        facts = _what_you_have(self.seat, control.start(self.seat.home))
        show.show_facts("What you have", facts, links=["dashboard"])

    def _as_left(self) -> None:
        """Half an hour idle ends the sandbox, and what was wrong with the network goes with it: the judge puts it back,
        or the call would be heard here and not by the judge."""
        begin_lab(self.seat)

    def reload(self) -> None:
        """Have the lab's PBX read its files again, as `core reload` would.

        Raises: PbxRefused with what its log then says against them.
        """
        pbx = sandbox_pbx(control.start(self.seat.home))
        assert isinstance(pbx, AsteriskPbx)
        pbx.reload_and_listen()
        show.show_text("Reloaded", ["the PBX has read its files, and its log complains of none"])

    def asterisk(self, command: str) -> None:
        """What the PBX answers to one of its show commands, such as "pjsip show contacts". Changes nothing."""
        words = command.split()
        if "show" not in words[:3]:
            raise SettingsError(f"ask the PBX: {command}", "that is no show command", "change things in its files")
        with ami_of(control.start(self.seat.home)) as ami:
            show.show_sheet(command, mask_secrets("\n".join(ami.command(" ".join(words)))))

    def hint(self) -> None:
        """The next of three hints; each one taken stands in the certificate."""
        given = ask_judge("hint", self.seat)
        show_explained(f"Hint {given['number']} of {given['of']}", given["hint"])

    def hints(self, count: int) -> None:
        """The first `count` hints; those that were not taken before are counted."""
        if not 0 <= count <= HINTS:
            raise SettingsError("show hints", f"{count} are asked for", f"use 0 to {HINTS}")
        taken = int(self.about["hints"])
        if count == 0:
            show.show_text("Hints", [f"none shown; {taken} of {HINTS} were taken so far"])
        for number in range(1, count + 1):
            given = ask_judge("hint", self.seat, "--number", str(number))
            self.about["hints"] = max(taken, number)
            show_explained(f"Hint {given['number']} of {given['of']}", given["hint"])

    def check(self) -> bool:
        """Let the judge place the calls: only calls that both sides heard pass the lab. Says it, and returns it."""
        show.show_progress("the judge places the call")
        verdict = ask_judge("check", self.seat)
        if not verdict["passed"]:
            tried = f"attempt {verdict['attempts']}"
            _show_verdict(False, [*verdict["reasons"], f"{tried}; mend it, then run this cell again"])
            return False
        folder = verdict["certificate"]
        told = (Path(folder) / "certificate.txt").read_text(encoding="utf-8").splitlines()
        check = f"checked by: bw-runbook verify {folder}"
        collected = f"all of yours, to hand in: {self.seat.all_certificates}"
        _show_verdict(True, [*told, f"the certificate: {folder}", check, collected, "how it was meant: lab.solution()"])
        return True

    def solution(self, show: bool = True) -> None:
        """The written solution. Before the lab is passed, looking stands in the certificate."""
        told = ask_judge("solution", self.seat)["solution"] if show else "not shown; solution(show=True) shows it"
        show_explained("Solution", told)


def open_lab(lab: str, *, trainee: str | None = None, seed: str | int | None = None, labs: str | None = None) -> Lab:
    """Open a lab: a site that has walked the guide, on a sandbox of its own, and something is wrong with it.

    lab: its id, or the number that it begins with. trainee: the name in the certificate and of the folder; None: who
    sits here. seed, labs: None as `train start` said, else 0 and the labs of the project. From here on this kernel
    works on the lab's sandbox.
    Raises: SettingsError for a name that is none, BwlibError when the sandbox or its PBX cannot be had.
    """
    check_id(lab)
    folder = trainee_folder(trainee or own_trainee())
    begun_before = Seat(folder, lab).is_open
    doing = "opening the lab as it was left" if begun_before else "preparing the lab: a sandbox, a PBX, the whole guide"
    show.show_progress(doing)
    opened = begin_lab(Seat(folder, lab), seed=seed, labs=labs)
    seat = opened.seat
    os.environ |= variables_of(seat)
    about = opened.about
    show.show_text(
        f"{about['title']} ({about['level']})",
        [about["story"], f"begun {about['started'][:16]} UTC by {seat.trainee}; what must be heard: {about['call']}"],
    )
    if begun_before and seed is not None and str(seed) != about["seed"]:
        anew = f"bw-runbook train start {seat.trainee} --lab {seat.lab} --seed {seed} --again begins it anew"
        show.show_text("Another seed", [f"this lab was begun with the seed {about['seed']}, which stays; {anew}"])
    return opened


def _what_you_have(seat: Seat, sandbox: Sandbox) -> dict[str, str]:
    """Secrets by the files that hold them."""
    config, readback, kept = Path(sandbox.get_note("pbx")["config_dir"]), sandbox.readback, sandbox.directory
    edge = "{}:{}".format(*sandbox.edge)
    return {
        "site file": str(seat.site_file),
        "trunk and extension": f"{config / OURS} (pjsip.conf below; yours to edit, whatever its first line says)",
        "dialplan": f"{config / OUR_DIALPLAN} (extensions.conf below; the same)",
        "then": "lab.reload(): the PBX reads its files; in a terminal bw-runbook sandbox reload",
        "PBX's log": str(config.parent / "log" / "messages"),
        "ask the PBX": 'lab.asterisk("pjsip show registrations"), and every other show command',
        "dashboard": sandbox.dashboard_url,
        "signing in there": f"user {sandbox.dashboard_user}, password in {kept / 'dashboard.json'}",
        "every message with its SDP": "dashboard, Calls, the call's ladder, Every message in full",
        "Bandwidth's SIP address": f"{edge}: the trunk sends there, and calls to the extension come from there",
        "the account's number": sandbox.number,
        "the application": f"readback, {readback.url}, user {readback.user}, password in {kept / 'readback-password'}",
        "in a terminal, first": " ".join(["export", *map(_assigned, variables_of(seat).items())]),
        "name the cause": f"bw-runbook diagnose {shlex.quote(str(seat.site_file))}",
        "what the network does": "bw-runbook sandbox faults; --clear: as if its administrator mended it",
        "and then": _BACK,
    }


def _show_verdict(passed: bool, lines: Sequence[str]) -> None:
    """The judge's word, for all to see."""
    sign, colour = card.STATUS["passed" if passed else "failed"]
    word = "PASSED" if passed else "NOT PASSED YET"
    html = card.frame(card.chip(sign, word, colour) + "".join(map(card.line, lines)), colour)
    show.show_html(html, "\n".join([word, *(f"  {line}" for line in lines)]))


def variables_of(seat: Seat) -> dict[str, str]:
    """The environment of whoever works on a lab. The signing key stays where it is: a lab's home has none."""
    return {
        HOME_VARIABLE: str(seat.home),
        SITE_FILE: str(seat.site_file),
        TRAIN: str(seat.folder),
        CONFIG_VARIABLE: str(config_folder()),
    }


def begin_lab(seat: Seat, *, seed: str | int | None = None, labs: str | Path | None = None, again: bool = False) -> Lab:
    """Have the judge put the lab in, or find it as it was left."""
    said = class_of(seat.folder)
    folder = Path(labs or said.get("labs") or labs_folder()).absolute()
    wanted = str(said.get("seed", "0") if seed is None else seed)
    more = ["--labs", str(folder), "--seed", wanted, *(["--again"] if again else [])]
    about = ask_judge("open", seat, *more, timeout_s=PREPARE_TIMEOUT_S)
    return Lab(Seat(seat.folder, about["id"]), about)


def class_of(folder: Path) -> dict[str, Any]:
    """Seed and labs that `train start` has kept for a trainee; empty when there are none."""
    try:
        said = json.loads((folder / CLASS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def keep_class(folder: Path, seed: str, labs: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / CLASS, json.dumps({"seed": seed, "labs": str(labs)}))


def ask_judge(verb: str, seat: Seat, *more: str, timeout_s: float = CHECK_TIMEOUT_S) -> dict[str, Any]:
    """One question to the judge's process. Raises BwlibError with what it raised, or when it said nothing."""
    argv = [sys.executable, "-P", "-m", "bwlib.training.judge", verb, str(seat.folder), seat.lab, *more]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            argv, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        came_back = f"no answer within {timeout_s:.0f} s"
        raise BwlibError(f"ask the judge: {verb}", came_back, "look at the sandbox, then run this again") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        tail = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise BwlibError(f"ask the judge: {verb}", f"no answer: {tail}", "run this again, or report it") from None
    if "error" in answer:
        raise _as_error(answer["error"], int(answer["exit_code"]))
    return answer


def _as_error(sentences: Sequence[str], exit_code: int) -> BwlibError:
    error = BwlibError(*sentences)
    error.exit_code = exit_code
    return error


def _assigned(pair: tuple[str, str]) -> str:
    return f"{pair[0]}={shlex.quote(pair[1])}"


def _environment() -> dict[str, str]:
    """Ours, without what names a site or a run of this kernel; where this code is, so that a clone finds itself."""
    env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    env[CONFIG_VARIABLE] = str(config_folder())
    source = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [source, env.get("PYTHONPATH")]))
    return env
