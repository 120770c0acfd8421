"""A notebook is redacted as a whole, however its texts are cut into pieces."""

from __future__ import annotations

import base64
import copy
import html
import json
from itertools import pairwise
from typing import Any

import nbformat
from hypothesis import given
from hypothesis import strategies as st
from test_record_redact import AROUND, ENCODINGS, SECRETS

from bwlib.record.notebook import WIDGETS, merge_streams, redact_content, redact_notebook
from bwlib.record.redact import redactor_for

SECRET = "correct-horse-battery"
MASK = "«redacted:the-password»"
REDACTOR = redactor_for([("the-password", SECRET)])


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def code(source: Any, *outputs: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": "a",
        "execution_count": 1,
        "metadata": metadata,
        "source": source,
        "outputs": list(outputs),
    }


def notebook(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def redacted(*cells: dict[str, Any], **metadata: Any) -> Any:
    made = notebook(*cells, **metadata)
    before = copy.deepcopy(made)
    after = redact_notebook(made, REDACTOR.value)
    assert made == before, "the notebook that is executed stays as it is"
    nbformat.validate(nbformat.from_dict(after))
    return after


# ---------------------------------------------------------------- every place of a notebook


def test_a_secret_in_two_pieces_of_a_stream_is_replaced() -> None:
    cell = redacted(code("x", stream(SECRET[:9]), stream([SECRET[9:], "\n"]), stream("err", "stderr")))["cells"][0]
    assert [output["text"] for output in cell["outputs"]] == [f"{MASK}\n", "err"]


def test_pieces_of_a_text_are_put_together_wherever_nbformat_allows_them() -> None:
    data = {"output_type": "display_data", "metadata": {}, "data": {"text/html": ["<b>", SECRET[:5], SECRET[5:]]}}
    cell = redacted(code([SECRET[:3], SECRET[3:]], data))["cells"][0]
    assert cell["source"] == MASK
    assert cell["outputs"][0]["data"] == {"text/html": f"<b>{MASK}"}


def test_names_in_json_data_are_replaced_and_the_protocols_own_are_not() -> None:
    output = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"application/json": {SECRET: [{SECRET: 1}], "text": [SECRET, 2]}},
    }
    data = redacted(code("x", output))["cells"][0]["outputs"][0]["data"]
    assert data == {"application/json": {MASK: [{MASK: 1}], "text": [MASK, 2]}}


def test_a_secret_that_is_a_word_of_the_protocol_leaves_a_notebook_that_can_be_read() -> None:
    redactor = redactor_for([("silly", "display_data"), ("sillier", "text/plain")])
    output = {"output_type": "stream", "name": "stdout", "text": "display_data"}
    result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": "x"}}
    cell = redact_notebook(notebook(code("x", output, result)), redactor.value)["cells"][0]
    assert cell["outputs"][0]["text"] == "«redacted:silly»"
    assert cell["outputs"][1]["data"] == {"text/plain": "x"}


def test_an_error_loses_its_value_and_its_traceback() -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": SECRET, "traceback": ["a", f"\x1b[31m{SECRET}"]}
    cell = redacted(code("x", error))["cells"][0]
    assert cell["outputs"][0]["evalue"] == MASK
    assert cell["outputs"][0]["traceback"] == ["a", f"\x1b[31m{MASK}"]


def test_metadata_parameters_and_widget_state_are_redacted() -> None:
    state = {"m1": {"model_name": "Text", "state": {"value": SECRET, "deep": {SECRET: [SECRET]}, "outputs": []}}}
    state["m2"] = {"model_name": "Output", "state": {"outputs": [stream(SECRET[:4]), stream(SECRET[4:])]}}
    bundle = {WIDGETS: {"version_major": 2, "version_minor": 0, "state": state}}
    metadata = redacted(code("x"), papermill={"parameters": {"p": SECRET}}, widgets=bundle)["metadata"]
    kept = metadata["widgets"][WIDGETS]["state"]
    assert metadata["papermill"] == {"parameters": {"p": MASK}}
    assert kept["m1"]["state"] == {"value": MASK, "deep": {MASK: [MASK]}, "outputs": []}
    assert [output["text"] for output in kept["m2"]["state"]["outputs"]] == [MASK]


def test_pasted_pictures_stay_as_they_are() -> None:
    picture = base64.b64encode(SECRET.encode()).decode()
    cell = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": SECRET, "attachments": {"a": {"b": picture}}}
    after = redacted(cell)["cells"][0]
    assert after["source"] == MASK
    assert after["attachments"] == {"a": {"b": picture}}


def test_a_message_to_a_front_end_keeps_the_names_that_widgets_use() -> None:
    comm = {"comm_id": "1", "data": {"state": {"value": SECRET, "map": {SECRET: 1}}, "buffer_paths": []}}
    after = redact_content(comm, REDACTOR.value)
    assert after == {"comm_id": "1", "data": {"state": {"value": MASK, "map": {MASK: 1}}, "buffer_paths": []}}


def test_streams_that_something_stands_between_stay_apart() -> None:
    outputs = [stream("a"), stream("b", "stderr"), stream("c")]
    assert merge_streams(outputs) == outputs


# ---------------------------------------------------------------- whatever the secret


@given(
    secret=SECRETS,
    encoding=st.sampled_from([name for name in ENCODINGS if name != "URL, small hex"]),
    around=AROUND,
    cuts=st.lists(st.integers(0, 200), max_size=4),
)
def test_no_form_of_a_secret_survives_in_streams_html_or_nested_state(
    secret: str, encoding: str, around: str, cuts: list[int]
) -> None:
    form = ENCODINGS[encoding](secret)
    text = f"{around}{form}{around}"
    ends = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(ends)]
    page = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/html": f"<p>{text}</p>", "text/plain": pieces},
    }
    data = {"output_type": "display_data", "metadata": {}, "data": {"application/json": {form: {form: [form]}}}}
    state = {WIDGETS: {"state": {"m": {"state": {"outputs": [stream(piece) for piece in pieces], "v": {form: form}}}}}}
    made = notebook(code(pieces, *(stream(piece) for piece in pieces), page, data), widgets=state)
    redactor = redactor_for([("the-password", secret)])
    after = json.dumps(redact_notebook(made, redactor.value), ensure_ascii=False)
    # The escapes that JSON itself needs are taken away, so that a form cannot hide behind them.
    assert redactor.findings(json.dumps(strings(json.loads(after)), ensure_ascii=False)) == []
    assert [string for string in strings(json.loads(after)) if form in string or form in html.unescape(string)] == []


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [inner for pair in value.items() for item in pair for inner in strings(item)]
    if isinstance(value, list):
        return [inner for item in value for inner in strings(item)]
    return [value] if isinstance(value, str) else []
