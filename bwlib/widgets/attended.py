"""Is somebody there who can press a button? A card with buttons is shown only then."""

from __future__ import annotations

import os


def is_attended() -> bool:
    """Whether this kernel was started for a front end that shows widgets: JupyterLab, Notebook, or VS Code.

    papermill, nbclient and nbval start kernels without a session's name; there a cell does what its mode says, and its
    result is plain HTML and text. (A papermill that is started from within a notebook's cell inherits the name: it
    then draws buttons that nobody presses, and still does what mode says unless the site file says walk = "click".)
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if getattr(shell, "kernel", None) is None:
        return False
    in_vs_code = "__vsc_ipynb_file__" in getattr(shell, "user_ns", {})
    return in_vs_code or bool(os.environ.get("JPY_SESSION_NAME"))
