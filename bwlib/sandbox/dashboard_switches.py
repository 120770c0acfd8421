"""What an experimenter turns: switches, faults, reset. The control API does the same (`bwlib.sandbox.control_api`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from bwlib.sandbox.control_api import reset, why_no_reset
from bwlib.sandbox.faults import FaultError, table
from bwlib.sandbox.switches import SECONDS, SWITCHES, check_value

if TYPE_CHECKING:
    from bwlib.sandbox.dashboard import Visit

_NO_FAULT = {"name": "", "value": "", "times": "", "match": ""}


async def sandbox(visit: Visit) -> Response:
    return _show(visit)


async def set_switches(visit: Visit) -> Response:
    """Only what was turned on this page: somebody else may have turned another one meanwhile."""
    if not visit.posted:
        return visit.go("/sandbox")
    wrong, turned = [], []
    for switch in SWITCHES:
        value = visit.form.get(switch.name, "").strip()
        if switch.name not in visit.form or value == visit.form.get(f"was:{switch.name}"):
            continue
        why_not = check_value(switch.name, value)
        if why_not is None:
            _turn(visit, switch.name, value)
            turned.append(f"{switch.name} = {value}")
        else:
            wrong.append(why_not)
    if wrong:
        return _show(visit, 400, wrong=wrong)
    return visit.go("/sandbox", f"Turned: {', '.join(turned)}." if turned else "No switch was turned.")


async def switch_fault_on(visit: Visit) -> Response:
    if not visit.posted:
        return visit.go("/sandbox")
    try:
        times = visit.form.get("times", "").strip()
        fault = visit.control.faults.switch_on(
            visit.form.get("name", ""),
            visit.form.get("value", "").strip() or None,
            _whole_number(times) if times else None,
            _match(visit.form.get("match", "")),
        )
    except FaultError as error:
        return _show(visit, 400, wrong=[str(error)], fault=_NO_FAULT | visit.form)
    return visit.go("/sandbox", f"Fault {fault.kind.name} is switched on.")


async def switch_fault_off(visit: Visit) -> Response:
    """One by its id, or all."""
    if not visit.posted:
        return visit.go("/sandbox")
    fault_id = visit.form.get("fault_id", "")
    count = visit.control.faults.switch_off(int(fault_id) if fault_id.isdecimal() else None)
    return visit.go("/sandbox", f"{count} fault{'' if count == 1 else 's'} switched off.")


async def reset_sandbox(visit: Visit) -> Response:
    if forbidden := why_no_reset(visit.control):
        return _show(visit, 409, wrong=[forbidden])
    if not visit.posted:
        return visit.show(
            "confirm.html", title="Reset the sandbox", button="Reset the sandbox", back="/sandbox", error=None
        )
    await reset(visit.control)
    return visit.go("/sandbox", "The sandbox is reset.")


def _show(
    visit: Visit, status: int = 200, wrong: list[str] | None = None, fault: dict[str, str] | None = None
) -> Response:
    now = {switch.name: visit.state.switch(switch.name) for switch in SWITCHES}
    return visit.show(
        "sandbox.html",
        status,
        switches=SWITCHES,
        seconds=SECONDS,
        now=now,
        turned=[switch.name for switch in SWITCHES if now[switch.name] != switch.default],
        faults_on=[one.described() for one in visit.control.faults.on()],
        faults=table(),
        fault=fault or _NO_FAULT,
        wrong=wrong or [],
        no_reset=why_no_reset(visit.control),
    )


def _turn(visit: Visit, name: str, value: str) -> None:
    """The first account's page turns it for everyone, another account's for itself."""
    visit.control.turned += 1
    if visit.state.identity.account_id == visit.control.state.identity.account_id:
        visit.state.set_switch(name, value)
    else:
        visit.state.set_account_switch(name, value)


def _whole_number(text: str) -> int:
    if not text.isdecimal():
        raise FaultError(f"times is a whole number, not {text[:40]!r}")
    return int(text[:20])


def _match(text: str) -> dict[str, str]:
    """`path=/realms*`, one to a line."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    return {name.strip(): pattern.strip() for name, _, pattern in pairs}


PAGES = {
    "/sandbox": sandbox,
    "/sandbox/switches": set_switches,
    "/sandbox/faults": switch_fault_on,
    "/sandbox/faults/off": switch_fault_off,
    "/sandbox/reset": reset_sandbox,
}
