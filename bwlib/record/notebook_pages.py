"""An executed notebook as one HTML page that asks nobody for anything: what one sees of it without Jupyter."""

from __future__ import annotations

import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

# In nbconvert's own page four places fetch from elsewhere; nothing of a finished notebook needs them. The policy is the
# second lock: a page whose outputs were written by somebody else asks nobody either, and runs no script.
_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; font-src data:">
<style>
body { max-width: 66rem; margin: 0 auto; }
@media (max-width: 40rem) { .jp-InputPrompt, .jp-OutputPrompt { display: none; } }
</style>
{%- endblock -%}
{%- block footer_js -%}{%- endblock -%}
"""
_SCRIPT = re.compile(r"<script\b[^>]*>.*?</script>", re.IGNORECASE | re.DOTALL)


@cache
def _exporter() -> Any:
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        extra_loaders=[DictLoader({"record_notebook.html.j2": _TEMPLATE})],
        template_file="record_notebook.html.j2",
        theme="light",
        embed_images=True,
    )
    # It complains of every picture without words, in the middle of a run's own lines.
    exporter.log = logging.getLogger(f"{__name__}.nbconvert")
    exporter.log.setLevel(logging.ERROR)
    for url in ("require_js_url", "mathjax_url", "jquery_url", "jupyter_widgets_base_url", "widget_renderer_url"):
        if exporter.has_trait(url):
            setattr(exporter, url, "")
    return exporter


def notebook_page(path: Path) -> str:
    """The notebook at `path` as a page.

    Raises: whatever nbformat and nbconvert raise for a file that is no whole notebook.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    notebook.metadata["title"] = path.stem
    page, _ = _exporter().from_notebook_node(notebook)
    return _SCRIPT.sub("", page)
