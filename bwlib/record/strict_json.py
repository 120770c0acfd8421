"""JSON from somebody who may mean harm: one reading only, and never a traceback."""

from __future__ import annotations

import json
from typing import Any

_LONGEST_NUMBER = 40  # digits


def read_json(data: bytes, *, nan: bool = False) -> Any:
    """Parse UTF-8 JSON. A name said twice, a byte order mark, numbers without end: refused.

    nan: allow NaN and Infinity, which Python writes and JSON does not know.
    Raises: ValueError with a reason.
    """
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_name_twice,
            parse_constant=None if nan else _no_constant,
            parse_float=_finite,
            parse_int=_short,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it says a name twice")
    return found


def _no_constant(constant: str) -> float:
    raise ValueError(f"it holds {constant}, which is no JSON")


def _short(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("it holds a number that is too large")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("it holds a number that is too large")
    return number
