"""Build and read BXML, Bandwidth's call instructions. Pure: no file, no network.

Build: `document(SpeakSentence("Hello"), Gather(max_digits=1, gather_url="gather"), Hangup())`.
Read: `read(text)` gives the verbs as plain data, with warnings for what the documentation does not know.

Source: dev.bandwidth.com/docs/voice/programmable-voice/bxml (read 2026-11-23).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # only to build; everything read goes through defusedxml
from collections.abc import Mapping
from dataclasses import dataclass

import defusedxml.ElementTree
from pydantic import SecretStr

from bwlib.errors import NotAsExpected, SettingsError

MAX_BYTES = 64 * 1024
MAX_GATHER_VERBS = 20
DIGITS = "0123456789*#ABCD"

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Attributes by verb, for the verbs this project builds. Bandwidth adds new ones: others are warnings, not errors.
_CALLBACK = ("username", "password", "fallbackUsername", "fallbackPassword", "tag")
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Response": (),
    "SpeakSentence": ("voice", "gender", "locale"),
    "PlayAudio": ("username", "password"),
    "Pause": ("duration",),
    "Ring": ("duration", "answerCall"),
    "Gather": (
        "gatherUrl",
        "gatherMethod",
        "gatherFallbackUrl",
        "gatherFallbackMethod",
        "terminatingDigits",
        "maxDigits",
        "interDigitTimeout",
        "firstDigitTimeout",
        "repeatCount",
        *_CALLBACK,
    ),
    "Record": (
        "recordCompleteUrl",
        "recordCompleteMethod",
        "recordCompleteFallbackUrl",
        "recordCompleteFallbackMethod",
        "recordingAvailableUrl",
        "recordingAvailableMethod",
        "transcribe",
        "detectLanguage",
        "transcriptionAvailableUrl",
        "transcriptionAvailableMethod",
        "terminatingDigits",
        "maxDuration",
        "silenceTimeout",
        "fileFormat",
        *_CALLBACK,
    ),
    "Redirect": ("redirectUrl", "redirectMethod", "redirectFallbackUrl", "redirectFallbackMethod", *_CALLBACK),
    "Hangup": (),
}
# Verbs that exist and that we neither build nor check in detail.
OTHER_VERBS = frozenset(
    {
        *("StartGather", "StopGather", "SendDtmf", "StartRecording", "PauseRecording", "ResumeRecording"),
        *("StopRecording", "Transfer", "Forward", "Refer", "Bridge", "Conference", "Tag", "StartStream"),
        *("StopStream", "StartTranscription", "StopTranscription", "Connect"),
    }
)


@dataclass(frozen=True)
class SpeakSentence:
    text: str
    voice: str | None = None
    gender: str | None = None
    locale: str | None = None


@dataclass(frozen=True)
class PlayAudio:
    url: str


@dataclass(frozen=True)
class Pause:
    duration_s: float = 1


@dataclass(frozen=True)
class Ring:
    duration_s: float = 5
    answer_call: bool = True


@dataclass(frozen=True)
class Gather:
    """Collect digits while the prompts play. Without gather_url the digits are thrown away.

    username and password are what gather_url's own server asks for: the application's callback credentials
    do not count for the URLs inside BXML.
    """

    prompts: tuple[SpeakSentence | PlayAudio, ...] = ()
    gather_url: str | None = None
    gather_method: str = "POST"
    max_digits: int = 50
    terminating_digits: str = ""
    first_digit_timeout_s: float = 5
    inter_digit_timeout_s: float = 5
    repeat_count: int = 1
    tag: str | None = None
    username: str | None = None
    password: SecretStr | None = None


@dataclass(frozen=True)
class Record:
    record_complete_url: str | None = None
    record_complete_method: str = "POST"
    recording_available_url: str | None = None
    max_duration_s: int = 60
    silence_timeout_s: float = 0
    terminating_digits: str = "#"
    file_format: str = "wav"
    tag: str | None = None


@dataclass(frozen=True)
class Redirect:
    redirect_url: str
    redirect_method: str = "POST"
    tag: str | None = None


@dataclass(frozen=True)
class Hangup:
    pass


Verb = SpeakSentence | PlayAudio | Pause | Ring | Gather | Record | Redirect | Hangup


# ---------------------------------------------------------------- build


def document(*verbs: Verb) -> str:
    """The `<Response>` document. No verb at all hangs up (or rejects a call not yet answered).

    Raises SettingsError for a value outside Bandwidth's documented range, or a document over 64 KB.
    """
    root = ET.Element("Response")
    root.extend([_element(verb) for verb in verbs])  # a generator would hide the error
    text: str = ET.tostring(root, encoding="unicode")
    text = '<?xml version="1.0" encoding="UTF-8"?>' + text
    _require(len(text.encode()) <= MAX_BYTES, "Response", "length", f"at most {MAX_BYTES} bytes")
    return text


def _element(verb: Verb) -> ET.Element:
    match verb:
        case SpeakSentence():
            return _speak(verb)
        case PlayAudio():
            return _verb("PlayAudio", {}, _url("PlayAudio", "URL", verb.url))
        case Pause():
            return _verb("Pause", {"duration": _number("Pause", "duration", verb.duration_s, 0.1, 86400)})
        case Ring():
            duration = _number("Ring", "duration", verb.duration_s, 0.1, 86400)
            return _verb("Ring", {"duration": duration, "answerCall": "true" if verb.answer_call else "false"})
        case Gather():
            return _gather(verb)
        case Record():
            return _record(verb)
        case Redirect():
            attributes = {
                "redirectUrl": _url("Redirect", "redirectUrl", verb.redirect_url),
                "redirectMethod": _method("Redirect", "redirectMethod", verb.redirect_method),
                "tag": _tag("Redirect", verb.tag),
            }
            return _verb("Redirect", attributes)
        case Hangup():
            return _verb("Hangup", {})


def _speak(verb: SpeakSentence) -> ET.Element:
    _require(bool(verb.text.strip()), "SpeakSentence", "text", "something to say")
    _require(verb.gender in (None, "female", "male"), "SpeakSentence", "gender", "female or male")
    attributes = {"voice": verb.voice, "gender": verb.gender, "locale": verb.locale}
    return _verb("SpeakSentence", attributes, verb.text)


def _gather(verb: Gather) -> ET.Element:
    _require(len(verb.prompts) * verb.repeat_count <= MAX_GATHER_VERBS, "Gather", "prompts x repeatCount", "at most 20")
    url = verb.gather_url
    element = _verb(
        "Gather",
        {
            "gatherUrl": None if url is None else _url("Gather", "gatherUrl", url),
            "gatherMethod": None if url is None else _method("Gather", "gatherMethod", verb.gather_method),
            "terminatingDigits": _digits("Gather", "terminatingDigits", verb.terminating_digits),
            "maxDigits": _number("Gather", "maxDigits", verb.max_digits, 1, 50),
            "interDigitTimeout": _number("Gather", "interDigitTimeout", verb.inter_digit_timeout_s, 1, 60),
            "firstDigitTimeout": _number("Gather", "firstDigitTimeout", verb.first_digit_timeout_s, 0, 60),
            "repeatCount": _number("Gather", "repeatCount", verb.repeat_count, 1, MAX_GATHER_VERBS),
            "username": verb.username,
            "password": verb.password.get_secret_value() if verb.password else None,
            "tag": _tag("Gather", verb.tag),
        },
    )
    element.extend([_element(prompt) for prompt in verb.prompts])
    return element


def _record(verb: Record) -> ET.Element:
    url, available = verb.record_complete_url, verb.recording_available_url
    _require(verb.file_format in ("wav", "mp3"), "Record", "fileFormat", "wav or mp3")
    attributes = {
        "recordCompleteUrl": None if url is None else _url("Record", "recordCompleteUrl", url),
        "recordCompleteMethod": (
            None if url is None else _method("Record", "recordCompleteMethod", verb.record_complete_method)
        ),
        "recordingAvailableUrl": None if available is None else _url("Record", "recordingAvailableUrl", available),
        "terminatingDigits": _digits("Record", "terminatingDigits", verb.terminating_digits),
        "maxDuration": _number("Record", "maxDuration", verb.max_duration_s, 1, 10800),
        "silenceTimeout": _number("Record", "silenceTimeout", verb.silence_timeout_s, 0, 10800),
        "fileFormat": verb.file_format,
        "tag": _tag("Record", verb.tag),
    }
    return _verb("Record", attributes)


def _verb(tag: str, attributes: Mapping[str, str | None], text: str | None = None) -> ET.Element:
    present = {name: value for name, value in attributes.items() if value is not None}
    for name, value in [*present.items(), ("text", text or "")]:
        _require(not _NOT_XML.search(value), tag, name, "free of control characters")
    element = ET.Element(tag, present)
    element.text = text
    return element


def _require(holds: bool, verb: str, name: str, wanted: str) -> None:
    if not holds:
        raise SettingsError(f"build BXML <{verb}>", f"{name} must be {wanted}.", f"Correct {name} of <{verb}>.")


def _number(verb: str, name: str, value: float, least: float, most: float) -> str:
    _require(least <= value <= most, verb, name, f"from {least:g} to {most:g}")  # nan compares false
    return f"{value:g}" if isinstance(value, float) else str(value)


def _url(verb: str, name: str, value: str) -> str:
    plain = bool(value) and not re.search(r"\s", value) and len(value) <= 2048
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", value)
    known = scheme is None or scheme.group(1).lower() in ("http", "https")
    _require(plain and known, verb, name, "an http(s) URL or a relative one, without spaces, at most 2048 characters")
    return value


def _method(verb: str, name: str, value: str) -> str:
    _require(value in ("GET", "POST"), verb, name, "GET or POST")
    return value


def _digits(verb: str, name: str, value: str) -> str:
    _require(all(digit in DIGITS for digit in value), verb, name, f"some of {DIGITS}")
    return value


def _tag(verb: str, value: str | None) -> str | None:
    _require(value is None or len(value) <= 256, verb, "tag", "at most 256 characters")
    return value


# ---------------------------------------------------------------- read


@dataclass(frozen=True)
class ReadVerb:
    """One verb as it was written: its attributes, its text (all text below it), its child verbs."""

    name: str
    attributes: Mapping[str, str]
    text: str
    children: tuple[ReadVerb, ...]


@dataclass(frozen=True)
class ReadDocument:
    """The verbs in order, and `warnings` about names that Bandwidth's documentation does not have."""

    verbs: tuple[ReadVerb, ...]
    warnings: tuple[str, ...]


def read(text: str | bytes) -> ReadDocument:
    """What a BXML document says. Raises NotAsExpected when Bandwidth could not execute it at all."""
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(body) > MAX_BYTES:
        raise _unreadable(f"It is {len(body)} bytes long; Bandwidth takes at most {MAX_BYTES}.")
    try:
        root: ET.Element = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise _unreadable(f"It is not plain, well-formed XML ({type(error).__name__}).") from None
    if root.tag not in ("Response", "Bxml"):  # the SDKs also emit <Bxml>
        raise _unreadable(f"The root element is <{root.tag[:60]}>, not <Response>.")
    warnings: list[str] = []
    verbs = tuple(_read_verb(element, warnings, top=True) for element in root)
    return ReadDocument(verbs, tuple(warnings))


def _read_verb(element: ET.Element, warnings: list[str], *, top: bool) -> ReadVerb:
    name = element.tag
    known = ATTRIBUTES.get(name)
    if known is None and name not in OTHER_VERBS:
        warnings.append(f"<{name}> is not a documented verb")
    for attribute in element.attrib:
        if known is not None and attribute not in known:
            warnings.append(f"<{name}> has no documented attribute {attribute}")
    # below <SpeakSentence> is SSML; only a <Gather> at the top nests verbs among those we check
    inside = element if top and name == "Gather" else ()
    nested = tuple(_read_verb(child, warnings, top=False) for child in inside)
    text = "" if nested else " ".join("".join(element.itertext()).split())
    return ReadVerb(name, dict(element.attrib), text, nested)


def _unreadable(came_back: str) -> NotAsExpected:
    return NotAsExpected(
        "read a BXML document",
        came_back,
        "Correct what the application answers; Bandwidth would end the call with cause invalid-bxml.",
    )
