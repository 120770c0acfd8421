"""Reading a JSON body that anyone may have sent."""

from __future__ import annotations

import json
from typing import Any


def read_json(body: bytes) -> Any:
    """What the body says. Raises ValueError for what is no JSON, nests too deep, or holds half a surrogate pair.

    Such a half could be neither stored nor sent back as UTF-8 (RFC 8259 section 8.2).
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    except ValueError as error:
        raise ValueError(str(error)[:200]) from error
    return value
