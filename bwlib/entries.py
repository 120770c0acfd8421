"""One entry of a site file, checked by itself: for a form that says what is wrong while it is typed."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from bwlib.settings import Settings, explain

# What is said of a file's text and not of a form's field.
_OF_TOML = re.compile(r", (in|without) quotes\b")


def fault_in(entry: str, value: object) -> str:
    """What is wrong with this value for a dotted entry ("realm.name"), in the words of `load_settings`; "" if nothing.

    The value is never repeated. Raises: KeyError for an entry that there is none of.
    """
    try:
        _adapter(entry).validate_python(value)
    except ValidationError as error:
        return _OF_TOML.sub("", explain(error, entry))
    return ""


def answer_of(settings: Settings, entry: str) -> Any:
    """The present answer to a dotted entry; a tuple for a list. Raises: AttributeError when there is no such entry."""
    found: Any = settings
    for name in entry.split("."):
        found = getattr(found, name)
    return found


def field_of(entry: str) -> FieldInfo:
    """The entry as the model has it. Raises: KeyError."""
    table, _, name = entry.rpartition(".")
    model: Any = Settings.model_fields[table].annotation if table else Settings
    field: FieldInfo = model.model_fields[name]
    return field


@cache
def _adapter(entry: str) -> TypeAdapter[Any]:
    field = field_of(entry)
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(kind, config=ConfigDict(str_strip_whitespace=True))
