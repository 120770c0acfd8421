"""What JupyterLab saves: redacted, or refused; and pictures that were pasted reach the open run."""

from __future__ import annotations

import base64
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tornado.web import HTTPError

from bwlib import lab_hook
from bwlib.errors import SecretUnavailable
from bwlib.record import jupyter
from bwlib.record.jupyter import PastedPictures, pictures_in, pre_save
from bwlib.record.redact import Redactor, redactor_for
from bwlib.record.run_record import RunRecord, join_or_start_run

SECRET = "correct-horse-battery"
MASK = "«redacted:file:sip»"
PICTURE = b"\x89PNG a picture"


def knowing() -> Redactor:
    return redactor_for([("file:sip", SECRET)])


def model(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"type": "notebook", "content": {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}}


def pasted(source: str = "![the trunk](attachment:image.png)") -> dict[str, Any]:
    attachments = {"image.png": {"image/png": base64.b64encode(PICTURE).decode()}}
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source, "attachments": attachments}


# ---------------------------------------------------------------- the save


def test_a_notebook_is_redacted_before_it_is_written() -> None:
    saved = model({"cell_type": "markdown", "id": "m", "metadata": {}, "source": f"it is {SECRET}"})
    pre_save(saved, "a.ipynb", knowing)
    assert saved["content"]["cells"][0]["source"] == f"it is {MASK}"


def test_a_notebook_in_the_text_editor_is_redacted_too() -> None:
    saved = {"type": "file", "format": "text", "content": f'{{"cells": ["{SECRET}"]}}'}
    pre_save(saved, "a.ipynb", knowing)
    assert saved["content"] == f'{{"cells": ["{MASK}"]}}'


@pytest.mark.parametrize("other", [{"type": "directory"}, {"type": "file", "format": "text", "content": SECRET}])
def test_other_files_are_saved_as_they_are(other: dict[str, Any]) -> None:
    """A secret file itself may be edited in JupyterLab."""
    before = dict(other)
    pre_save(other, "secrets/sip_password", knowing)
    assert other == before


def test_a_notebook_that_cannot_be_redacted_is_refused_with_the_fix() -> None:
    def unreadable() -> Redactor:
        raise SecretUnavailable("read file:sip", "others may read it", "run: chmod 600 sip")

    with pytest.raises(HTTPError, match="chmod 600") as caught:
        pre_save(model(), "a.ipynb", unreadable)
    assert caught.value.status_code == 422


def test_whatever_else_goes_wrong_is_a_refusal_that_repeats_nothing() -> None:
    def broken() -> Redactor:
        raise ValueError(SECRET)

    with pytest.raises(HTTPError) as caught:
        pre_save(model(), "a.ipynb", broken)
    assert "ValueError" in str(caught.value)
    assert SECRET not in str(caught.value)


# ---------------------------------------------------------------- pasted pictures


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, str, str]]:
    """What reaches the part of the record that keeps pictures."""
    calls: list[tuple[str, bytes, str, str]] = []

    def add_picture(record: RunRecord, data: bytes, title: str, operator: str) -> None:
        calls.append((record.folder.name, data, title, operator))

    keeper = types.SimpleNamespace(add_picture=add_picture)
    monkeypatch.setitem(sys.modules, "bwlib.record.screenshots", keeper)
    return calls


def test_a_pasted_picture_is_given_once_with_its_caption(tmp_path: Path, given: list[Any]) -> None:
    record, pictures = join_or_start_run(tmp_path, Redactor()), PastedPictures()
    for _ in range(2):
        pictures.give(model(pasted())["content"], record, "ada")
    assert given == [(record.folder.name, PICTURE, "the trunk", "ada")]


def test_a_picture_that_the_run_holds_already_is_not_given_again(tmp_path: Path, given: list[Any]) -> None:
    record = join_or_start_run(tmp_path, Redactor())
    record.write_bytes("screenshots/30_pbx.png", PICTURE)
    PastedPictures().give(model(pasted())["content"], record, "ada")
    assert given == []


def test_a_picture_that_cannot_be_kept_does_not_hinder_the_save(
    tmp_path: Path, given: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    broken = pasted()
    broken["attachments"]["image.png"]["image/png"] = "a"
    PastedPictures().give(model(broken)["content"], join_or_start_run(tmp_path, Redactor()), "ada")
    assert given == []
    assert "was not put into the record" in caplog.text


def test_a_picture_without_a_caption_has_its_files_name() -> None:
    assert list(pictures_in(model(pasted("text"))["content"])) == [("image.png", PICTURE)]


# ---------------------------------------------------------------- the site's own secrets


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "site.toml"
    monkeypatch.setenv("BW_RUNBOOK_SITE", str(path))
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path / "home"))
    lab_hook._redactor.cache_clear()
    lab_hook._pasted.cache_clear()
    return path


def write_site(path: Path, secret: str = SECRET) -> None:
    path.write_text('name = "my-site"\n')
    (path.parent / "secrets").mkdir(exist_ok=True)
    file = path.parent / "secrets" / "sip_password"
    file.write_text(secret)
    file.chmod(0o600)


def saved_text(text: str) -> str:
    saved = model({"cell_type": "markdown", "id": "m", "metadata": {}, "source": text})
    lab_hook.pre_save(model=saved, path="a.ipynb", contents_manager=None)
    return str(saved["content"]["cells"][0]["source"])


def test_before_there_is_a_site_file_notebooks_can_be_saved(site: Path) -> None:
    assert saved_text(SECRET) == SECRET


def test_secrets_are_learned_at_each_save_and_not_forgotten(site: Path) -> None:
    write_site(site)
    assert saved_text(SECRET) == "«redacted:file:secrets/sip_password»"
    write_site(site, "another-horse-battery")
    assert saved_text(f"{SECRET} another-horse-battery") == " ".join(["«redacted:file:secrets/sip_password»"] * 2)


def test_a_slip_in_the_site_file_refuses_the_save_and_names_the_line(site: Path) -> None:
    site.write_text('name = "my-site"\nraelm = 1\n')
    with pytest.raises(HTTPError, match="raelm: unknown entry"):
        saved_text("x")


def test_a_pasted_picture_goes_to_the_sites_open_run_by_hand(site: Path, given: list[Any]) -> None:
    write_site(site)
    lab_hook.pre_save(model=model(pasted()), path="a.ipynb", contents_manager=None)
    assert given == []
    record = join_or_start_run(site.parent / "runs" / "my-site", Redactor())
    lab_hook.pre_save(model=model(pasted()), path="a.ipynb", contents_manager=None)
    assert [call[:3] for call in given] == [(record.folder.name, PICTURE, "the trunk")]


def test_jupyter_takes_the_hook_by_the_name_that_the_lab_gives_it() -> None:
    from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
    from traitlets.config import Config

    from bwlib.lab import PRE_SAVE_HOOK

    config = Config({"FileContentsManager": {"pre_save_hook": PRE_SAVE_HOOK}})
    assert AsyncLargeFileManager(config=config).pre_save_hook is lab_hook.pre_save
    assert jupyter.pre_save is not lab_hook.pre_save
