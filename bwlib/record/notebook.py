"""Redact a notebook as a whole: sources, outputs, metadata, widget state.

A secret that was printed in two pieces stands in two outputs, and a list of text pieces may split it anywhere: both are
put together first. The attachments of Markdown cells stay as they are: they are pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Redact = Callable[[Any], Any]
"""A redactor's `value`: a JSON-like value in, the same with its strings redacted out."""

WIDGETS = "application/vnd.jupyter.widget-state+json"


def redact_notebook(notebook: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """The same notebook (nbformat 4, as dicts) with nothing in it that `redact` would replace."""
    merged = merge_streams(notebook)
    return {
        **redact({name: value for name, value in merged.items() if name not in ("cells", "metadata")}),
        "cells": [_redact_cell(cell, redact) for cell in merged.get("cells", [])],
        "metadata": _redact_metadata(merged.get("metadata", {}), redact),
    }


def _redact_cell(cell: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    apart = ("attachments", "outputs", "source")
    redacted: dict[str, Any] = redact({name: value for name, value in cell.items() if name not in apart})
    redacted["source"] = redact(_one_text(cell.get("source", "")))
    if "outputs" in cell:
        redacted["outputs"] = redact_outputs(cell["outputs"], redact)
    if "attachments" in cell:
        redacted["attachments"] = cell["attachments"]
    return redacted


def _redact_metadata(metadata: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    redacted: dict[str, Any] = redact(metadata)
    for bundle in redacted.get("widgets", {}).values():
        if isinstance(bundle, dict):
            for model in (bundle.get("state") or {}).values():
                redact_state(model, redact)
    return redacted


def redact_outputs(outputs: list[Any], redact: Redact) -> list[Any]:
    """The outputs of a cell, adjacent pieces of one stream put together, redacted."""
    return [redact_content(output, redact) for output in merge_streams(outputs)]


def redact_content(content: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """The content of an output or of a message to a front end, redacted.

    Names stay, since the protocol's own names are among them; but in what a cell made itself (JSON data, a widget's
    values) names may be secrets too.
    """
    redacted: dict[str, Any] = redact(content)
    data = redacted.get("data")
    if isinstance(data, dict):
        for kind, value in data.items():
            if kind not in ("state", "buffer_paths") and not isinstance(value, str):
                whole = value if kind.endswith("json") else _one_text(value)
                data[kind] = redact(whole) if isinstance(whole, str) else _redact_names(whole, redact)
        redact_state(data, redact)
    return redacted


def redact_state(model: Any, redact: Redact) -> None:
    """Redact, in place, the names inside the values of a widget's state."""
    state = model.get("state") if isinstance(model, dict) else None
    if isinstance(state, dict):
        for name, value in state.items():
            state[name] = _redact_names(value, redact)


def _redact_names(value: Any, redact: Redact) -> Any:
    if isinstance(value, Mapping):
        return {redact(str(name)): _redact_names(inner, redact) for name, inner in value.items()}
    if isinstance(value, list):
        return [_redact_names(inner, redact) for inner in value]
    return value


def merge_streams(value: Any) -> Any:
    """A copy in which every list of outputs, wherever it stands, has each run of one stream as one output."""
    if isinstance(value, Mapping):
        return {name: merge_streams(inner) for name, inner in value.items()}
    if not isinstance(value, list | tuple):
        return value
    merged: list[Any] = []
    for inner in map(merge_streams, value):
        before = merged[-1] if merged else {}
        if _is_stream(inner):
            inner["text"] = _one_text(inner.get("text", ""))
            if _is_stream(before) and before["name"] == inner.get("name"):
                before["text"] += inner["text"]
                continue
        merged.append(inner)
    return merged


def _is_stream(output: Any) -> bool:
    return isinstance(output, dict) and output.get("output_type") == "stream" and "name" in output


def _one_text(text: Any) -> Any:
    """nbformat lets a text be a list of pieces."""
    is_pieces = isinstance(text, list) and all(isinstance(piece, str) for piece in text)
    return "".join(text) if is_pieces else text
