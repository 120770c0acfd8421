"""The wire names of Bandwidth's Voice Application Management API: JSON in the envelope {links, data, errors}. Pure.

Source: dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri/quick-start (read 2026-11-23).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pydantic import SecretStr

from bwlib.bandwidth.wire import ApiError, UnreadableBody, mask_secrets
from bwlib.models import InboundSipUri


def platform_url(api_url: str) -> str:
    """Where the JSON APIs are, from where the account API is: ".../api/v2" and ".../api" both lead to ".../v2"."""
    return api_url.removesuffix("/v2").removesuffix("/api") + "/v2"


def voice_application_path(application_id: str) -> str:
    return f"/voice-applications/{quote(application_id, safe='')}"


def inbound_sip_body(
    enabled: bool,
    password_auth: bool | None = None,
    allowed_source_ips: Sequence[str] | None = None,
    allowed_regions: Sequence[str] | None = None,
) -> bytes:
    """The JSON of PATCH: what is None is left as it is."""
    members: dict[str, object | None] = {
        "inboundSipCallsEnabled": enabled,
        "passwordAuthEnabled": password_auth,
        "allowedSourceIps": None if allowed_source_ips is None else list(allowed_source_ips),
        "allowedRegions": None if allowed_regions is None else list(allowed_regions),
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def platform_errors(document: object) -> list[ApiError]:
    """The envelope's errors; a 2xx may carry some too."""
    errors = document.get("errors") if isinstance(document, Mapping) else None
    found = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    return [
        ApiError(str(error["type"]) if error.get("type") else None, mask_secrets(str(error.get("description") or "")))
        for error in found
    ]


def read_inbound_sip(document: object) -> InboundSipUri:
    """The settings in `data`, the one-time password too when it is there. Raises UnreadableBody."""
    data = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(data, Mapping) or not data.get("applicationId"):
        raise UnreadableBody("a voice application without applicationId")
    if not isinstance(data.get("inboundSipCallsEnabled"), bool):
        raise UnreadableBody("a voice application without inboundSipCallsEnabled")
    password = data.get("sipAuthPassword")
    return InboundSipUri(
        application_id=str(data["applicationId"]),
        uri=str(data.get("sipUri") or ""),
        enabled=data["inboundSipCallsEnabled"],
        password_auth=data.get("passwordAuthEnabled") is True,
        allowed_source_ips=_strings(data.get("allowedSourceIps")),
        allowed_regions=_strings(data.get("allowedRegions")),
        password=SecretStr(str(password)) if password else None,
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
