"""Write docs/sandbox-coverage.md from the tables the sandbox runs by: python tools/sandbox_coverage.py [--check]

--check writes nothing and exits 1 when the file is not what would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from bwlib.sandbox.coverage import APIS, NOT_IMITATED, Api, other_switches  # noqa: E402
from bwlib.sandbox.endpoint import Common, Endpoint  # noqa: E402
from bwlib.sandbox.error_codes import MEANINGS, NOT_MET  # noqa: E402
from bwlib.sandbox.switches import SWITCHES, Switch  # noqa: E402

FILE = PROJECT / "docs" / "sandbox-coverage.md"


def document() -> str:
    """The whole file."""
    lines = ["# What the sandbox covers", "", "Made by `tools/sandbox_coverage.py` from the code; do not edit it.", ""]
    lines += ["## What it does not imitate", "", *(f"- {text}" for text in NOT_IMITATED), ""]
    lines += ["## Routes", ""]
    for api in APIS:
        lines += [*_api(api), ""]
    lines += ["## Error codes of the account API", "", *_codes(), ""]
    lines += ["## Switches", "", *_switches(), ""]
    return "\n".join(lines)


def _api(api: Api) -> Iterator[str]:
    yield f"### {api.title}"
    yield ""
    if api.prefix:
        yield f"Below `{api.prefix}`:"
        yield ""
    yield from _table(("route", "answers", "error codes", "switches", "source"), map(_row, _each(api)))


def _each(api: Api) -> Iterator[Endpoint | Common]:
    if api.common is not None:
        yield api.common
    yield from api.endpoints


def _row(each: Endpoint | Common) -> tuple[str, ...]:
    route = f"`{each.method} {each.path}`" if isinstance(each, Endpoint) else "*every route, besides its own*"
    statuses, codes = _list(sorted(each.statuses)), _list(sorted(each.codes))
    return route, statuses, codes, _list(f"`{name}`" for name in each.switches), each.source


def _codes() -> Iterator[str]:
    where: dict[int, list[str]] = {code: [] for code in MEANINGS}
    for api in APIS:
        for each in _each(api):
            for code in each.codes:
                where[code].append(f"{each.method} {each.path}" if isinstance(each, Endpoint) else "every route")
    rows = ((str(code), MEANINGS[code], _list(f"`{name}`" for name in where[code])) for code in sorted(MEANINGS))
    yield from _table(("code", "meaning", "answered by"), rows)
    yield ""
    yield "Documented for these APIs, and never answered here:"
    yield ""
    yield from _table(("code", "why not"), ((str(code), why) for code, why in sorted(NOT_MET.items())))


def _switches() -> Iterator[str]:
    yield "Whatever the public sources leave open is a switch; its default is the best evidence there is. Turn one with"
    yield "`Sandbox.set_switch`, or for one account with `Sandbox.account(name).set_switch`."
    others = other_switches()
    for title, wanted in (
        ("Of the routes", tuple(switch for switch in SWITCHES if switch not in others)),
        ("Of the SIP edge, webhooks and BXML", others),
    ):
        yield from ("", f"### {title}", "")
        yield from _table(("switch", "default", "values", "meaning", "source"), map(_switch_row, wanted))


def _switch_row(switch: Switch) -> tuple[str, ...]:
    values = _list(f"`{value}`" for value in switch.allowed)
    return f"`{switch.name}`", f"`{switch.default}`", values, switch.meaning, switch.source


def _list(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def main(arguments: list[str]) -> int:
    wanted = document()
    if arguments == ["--check"]:
        fresh = FILE.exists() and FILE.read_text(encoding="utf-8") == wanted
        if not fresh:
            print(f"{FILE.relative_to(PROJECT)} is stale. Do next: python tools/sandbox_coverage.py", file=sys.stderr)
        return 0 if fresh else 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
