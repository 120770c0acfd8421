"""A button to choose a picture with. *Run all* does not wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bwlib.errors import BwlibError
from bwlib.widgets.main_thread import in_main_thread


def show_upload(label: str, on_picture: Callable[[str, bytes], None]) -> None:
    """Show it below the cell."""
    from IPython.display import display

    display(upload(label, on_picture))  # type: ignore[no-untyped-call]


def upload(label: str, on_picture: Callable[[str, bytes], None]) -> Any:
    """The button as a widget; on_picture(file name, bytes) is called for each file that a person chooses.

    What it shows, and the error that it raises, appear below the button. The file does not stay in the widget: its
    state may be saved with the notebook.
    """
    from ipywidgets import FileUpload, Layout, Output, VBox  # type: ignore[import-untyped]

    button = FileUpload(
        accept="image/png,image/jpeg", description=label, layout=Layout(width="auto", align_self="flex-start")
    )
    below = Output()

    def chosen(change: dict[str, Any]) -> None:
        files = change["new"]
        if not files:
            return
        button.value = ()
        below.clear_output()
        with below:
            for file in files:
                try:
                    on_picture(str(file["name"]), bytes(file["content"]))
                except BwlibError as error:
                    print(error)

    button.observe(lambda change: in_main_thread(lambda: chosen(change)), names="value")
    return VBox([button, below])
