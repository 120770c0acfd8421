"""XML as the account API speaks it: reading with defusedxml, writing answers and error envelopes.

Error envelope: github.com/Bandwidth/api-docs site/docs/numbers/errors.mdx.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from starlette.responses import Response

MAX_BODY_BYTES = 1_000_000
_MAX_DESCRIPTION = 600  # what a body held is repeated, but not a megabyte of it


# What XML 1.0 section 2.2 leaves out, and a path or a form may hold all the same.
_NO_XML_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class AccountError(Exception):
    """An answer that is an error. code None: the envelope has a Description only (as for an unknown realm)."""

    def __init__(self, status: int, code: int | None, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description[:_MAX_DESCRIPTION]


def parse(body: bytes, root: str) -> Element:
    """The request's root element, which must be `root`. Raises AccountError 400 (1019)."""
    try:
        element: Element = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise AccountError(400, 1019, f"Bad request: the body is not XML we accept ({str(error)[:200]})") from error
    if element.tag != root:
        raise AccountError(400, 1019, f"Bad request: the root element is {element.tag[:80]}, expected {root}")
    return element


def text(element: Element, path: str) -> str | None:
    """The stripped text below `path`; None when the element is absent, "" when it is empty."""
    found = element.find(path)
    return None if found is None else (found.text or "").strip()


def build(tag: str, content: Any) -> Element:
    """An element from a string, a mapping (children by name) or a list of (name, content) pairs."""
    element = Element(tag)
    if isinstance(content, dict):
        content = list(content.items())
    if isinstance(content, list):
        for name, child in content:
            element.append(build(name, child))
    elif content is not None:
        element.text = str(content)
    return element


def answer(root: Element, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = tostring(root, encoding="unicode")
    body = "<?xml version='1.0' encoding='utf-8'?>\n" + _NO_XML_CHARACTER.sub("\ufffd", text)
    return Response(body.encode(), status, headers=headers, media_type="application/xml")


def status_element(error: AccountError) -> Element:
    status = Element("ResponseStatus")
    if error.code is not None:
        SubElement(status, "ErrorCode").text = str(error.code)
    SubElement(status, "Description").text = error.description
    return status


def error_answer(root: str, error: AccountError, headers: dict[str, str] | None = None) -> Response:
    element = Element(root)
    element.append(status_element(error))
    return answer(element, error.status, headers)


def boolean(value: str | None, name: str) -> bool | None:
    """xs:boolean; None when absent. Raises AccountError 400 (1008)."""
    if value is None or value == "":
        return None
    if value.lower() not in ("true", "false", "1", "0"):
        raise AccountError(400, 1008, f"{name} must be true or false")
    return value.lower() in ("true", "1")
