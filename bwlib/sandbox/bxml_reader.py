"""Reading BXML as Bandwidth would: dev.bandwidth.com/docs/voice/bxml (read 2026-11-23).

An independent reading: the sandbox judges documents that `bwlib.bxml` or anyone else built.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

log = logging.getLogger(__name__)
MAX_BYTES = 64 * 1024
MAX_NESTED = 20

_CALLBACK = ("username", "password", "fallbackUsername", "fallbackPassword", "tag")
# Attributes of the verbs that are imitated.
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "SpeakSentence": ("voice", "gender", "locale"),
    "PlayAudio": ("username", "password"),
    "Pause": ("duration",),
    "Ring": ("duration", "answerCall"),
    "Gather": (
        *("gatherUrl", "gatherMethod", "gatherFallbackUrl", "gatherFallbackMethod", *_CALLBACK),
        *("terminatingDigits", "maxDigits", "interDigitTimeout", "firstDigitTimeout", "repeatCount"),
    ),
    "Record": (
        *("recordCompleteUrl", "recordCompleteMethod", "recordCompleteFallbackUrl", "recordCompleteFallbackMethod"),
        *("recordingAvailableUrl", "recordingAvailableMethod", *_CALLBACK),
        *("terminatingDigits", "maxDuration", "silenceTimeout", "fileFormat", "transcribe", "detectLanguage"),
        *("transcriptionAvailableUrl", "transcriptionAvailableMethod"),
    ),
    "Redirect": ("redirectUrl", "redirectMethod", "redirectFallbackUrl", "redirectFallbackMethod", *_CALLBACK),
    "Hangup": (),
}
_NOT_IMITATED = frozenset(
    [
        "StartGather",
        "StopGather",
        "SendDtmf",
        "StartRecording",
        "PauseRecording",
        "ResumeRecording",
        "StopRecording",
        "Transfer",
        "Forward",
        "Refer",
        "Bridge",
        "Conference",
        "Tag",
        "StartStream",
        "StopStream",
        "StartTranscription",
        "StopTranscription",
        "Connect",
    ]
)
_RANGES: dict[tuple[str, str], tuple[float, float]] = {
    ("Pause", "duration"): (0.1, 86400),
    ("Ring", "duration"): (0.1, 86400),
    ("Gather", "maxDigits"): (1, 50),
    ("Gather", "interDigitTimeout"): (1, 60),
    ("Gather", "firstDigitTimeout"): (0, 60),
    ("Gather", "repeatCount"): (1, 20),
    ("Record", "maxDuration"): (0, 10800),
    ("Record", "silenceTimeout"): (0, 10800),
}


class BxmlError(Exception):
    """A document that ends the call. cause: Bandwidth's word for it (invalid-bxml, application-error)."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Verb:
    """One verb. `text` is what is spoken or the URL that is played; `children` are the prompts of a Gather."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: tuple[Verb, ...] = ()

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def number(self, name: str, default: float) -> float:
        """A numeric attribute; its range was checked when the document was read."""
        return float(self.attributes[name]) if name in self.attributes else default


def read(document: str) -> tuple[Verb, ...]:
    """The verbs of a document, all checked before the first one runs. Raises BxmlError."""
    if len(document.encode()) > MAX_BYTES:
        raise BxmlError("invalid-bxml", f"the document is larger than {MAX_BYTES} bytes")
    try:
        root = fromstring(document.strip().encode())
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BxmlError("invalid-bxml", f"the document is not XML we accept: {error}") from error
    if root.tag not in ("Response", "Bxml"):
        raise BxmlError("invalid-bxml", f"the root element is {root.tag}, expected Response")
    return tuple(_verb(element) for element in root)


def _verb(element: Element) -> Verb:
    name = element.tag
    if name in _NOT_IMITATED:
        raise BxmlError("application-error", f"the sandbox does not imitate {name}")
    if name not in _ATTRIBUTES:
        raise BxmlError("invalid-bxml", f"there is no verb {name}")
    verb = Verb(name, dict(element.attrib), _text(element), _children(element))
    _check_attributes(verb)
    _check_required(verb)
    return verb


def _text(element: Element) -> str:
    """SSML marks are read through: only their words count."""
    return " ".join("".join(element.itertext()).split()) if element.tag in ("SpeakSentence", "PlayAudio") else ""


def _children(element: Element) -> tuple[Verb, ...]:
    if element.tag == "SpeakSentence":
        return ()
    children = tuple(_verb(child) for child in element)
    allowed = ("SpeakSentence", "PlayAudio") if element.tag == "Gather" else ()
    for child in children:
        if child.name not in allowed:
            raise BxmlError("invalid-bxml", f"{child.name} must not stand inside {element.tag}")
    if len(children) > MAX_NESTED:
        raise BxmlError("invalid-bxml", f"{element.tag} holds more than {MAX_NESTED} verbs")
    return children


def _check_attributes(verb: Verb) -> None:
    for name, value in verb.attributes.items():
        if name not in _ATTRIBUTES[verb.name]:
            # Older official SDKs write some names wrongly, so this is no reason to end a call.
            log.warning("BXML: %s has no attribute %s", verb.name, name)
        limits = _RANGES.get((verb.name, name))
        if limits is not None and not _within(value, limits):
            raise BxmlError("invalid-bxml", f"{verb.name} {name} must be {limits[0]} to {limits[1]}, not {value!r}")
        if name.endswith("Url") and not _is_url(value):
            raise BxmlError("invalid-bxml", f"{verb.name} {name} is no URL: {value[:200]!r}")
        if name.endswith("Method") and value not in ("GET", "POST"):
            raise BxmlError("invalid-bxml", f"{verb.name} {name} must be GET or POST, not {value!r}")


def _check_required(verb: Verb) -> None:
    if verb.name == "Redirect" and not verb.get("redirectUrl"):
        raise BxmlError("invalid-bxml", "Redirect needs a redirectUrl")
    if verb.name == "PlayAudio" and not verb.text:
        raise BxmlError("invalid-bxml", "PlayAudio needs a URL")
    if verb.name == "PlayAudio" and not _is_url(verb.text):
        raise BxmlError("invalid-bxml", f"PlayAudio is given no URL: {verb.text[:200]!r}")
    if verb.name == "Record" and verb.get("fileFormat", "wav") != "wav":
        raise BxmlError("application-error", "the sandbox records wav only")


def _is_url(value: str) -> bool:
    """Absolute or relative; what cannot be taken apart is none."""
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False


def _within(value: str, limits: tuple[float, float]) -> bool:
    try:
        return limits[0] <= float(value) <= limits[1]
    except ValueError:
        return False
