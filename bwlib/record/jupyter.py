"""JupyterLab's hand on the disk: a notebook is redacted when it is saved, and pasted pictures go to the open run.

Why a save may be refused: when the site's secrets cannot be read (a site file with a slip, a secret file that others
may read), nobody knows what to redact, and a notebook on the disk is what people send to each other. The notebook is
still in the browser; the message says what to mend, and the next save succeeds. Jupyter would only log any other error
and then save the notebook as it is, so here everything that goes wrong is a refusal.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bwlib.errors import BwlibError
from bwlib.record.notebook import redact_notebook
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord

log = logging.getLogger(__name__)

_PICTURE = re.compile(r"!\[([^\]]*)\]\(attachment:([^)\s]+)\)")


def pre_save(model: dict[str, Any], path: str, redactor_now: Callable[[], Redactor]) -> None:
    """Redact the notebook in a contents model, in place; leave what is no notebook.

    redactor_now: gives a redactor that knows the site's secrets as they are now.
    Raises: tornado's HTTPError, the one way to refuse a save, when the notebook cannot be redacted.
    """
    is_notebook = model.get("type") == "notebook" and isinstance(model.get("content"), Mapping)
    as_text = model.get("type") == "file" and path.endswith(".ipynb") and model.get("format") == "text"
    if not (is_notebook or as_text):
        return
    try:
        redactor = redactor_now()
        if is_notebook:
            model["content"] = redact_notebook(model["content"], redactor.value)
        else:  # opened in the text editor
            model["content"] = redactor.text(str(model["content"]))
    except BwlibError as error:
        raise _refusal(path, f"{error.attempted}: {error.came_back}. Do next: {error.do_next}") from None
    except Exception as error:  # its text may hold a secret: its name must do
        raise _refusal(path, type(error).__name__) from None


def _refusal(path: str, reason: str) -> Exception:
    from tornado.web import HTTPError

    said = f"{path} is not saved, because it cannot be freed of secrets: {reason}"
    return HTTPError(422, said, reason="Not saved")


class PastedPictures:
    """Gives pictures that a person put into Markdown cells to the open run, each once."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str]] = set()

    def give(self, notebook: Mapping[str, Any], record: RunRecord, operator: str) -> None:
        """Never raises: a picture that cannot be kept must not hinder the save. It is tried again at the next one."""
        try:
            self._give(notebook, record, operator)
        except Exception as error:
            log.warning("a pasted picture was not put into the record: %s", type(error).__name__)

    def _give(self, notebook: Mapping[str, Any], record: RunRecord, operator: str) -> None:
        for title, data in pictures_in(notebook):
            key = (record.folder.name, hashlib.sha256(data).hexdigest())
            if key not in self._given and key[1] not in _digests_in(record):
                importlib.import_module("bwlib.record.screenshots").add_picture(record, data, title, operator)
                self._given.add(key)


def pictures_in(notebook: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(caption, content) of every picture that was pasted or dropped into a Markdown cell."""
    for cell in notebook.get("cells", []):
        attachments = cell.get("attachments") or {}
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        captions = {name: caption for caption, name in _PICTURE.findall(text)}
        for name, bundle in attachments.items():
            for kind, content in bundle.items():
                if kind.startswith("image/"):
                    yield captions.get(name) or name, base64.b64decode(content)


def _digests_in(record: RunRecord) -> set[str]:
    """Of the pictures that the run holds by now, also from before this server was started."""
    pictures = (record.folder / "screenshots").glob("*")
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures if path.is_file()}
