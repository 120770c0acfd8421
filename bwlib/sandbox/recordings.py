"""Recordings of the Record verb: kept as WAV, listed and served by the Voice API.

github.com/Bandwidth/python-sdk bandwidth.yml, tag Recordings (read 2026-11-23).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from bwlib.sandbox import wav
from bwlib.sandbox.state import State, new_id, timestamp


def add_recording(
    state: State, call: dict[str, Any], pcm: wav.Pcm, started_at: float, ended_at: float
) -> dict[str, Any]:
    """Store it; its fields as GET shows them. Times in seconds since 1970."""
    recording_id = f"r-{new_id()}"
    recording = {
        **{name: call.get(name) for name in ("applicationId", "accountId", "callId", "parentCallId", "to", "from")},
        "recordingId": recording_id,
        "direction": call["direction"],
        "duration": iso_duration(len(pcm) / wav.RATE),
        "channels": 1,
        "startTime": timestamp(started_at),
        "endTime": timestamp(ended_at),
        "fileFormat": "wav",
        "status": "complete",
        "mediaUrl": f"{call['callUrl']}/recordings/{recording_id}/media",
    }
    state.run(
        "insert into recordings values (?, ?, ?, ?)",
        recording_id,
        call["callId"],
        json.dumps(recording),
        wav.encode(pcm),
    )
    return recording


def recordings_of(state: State, call_id: str) -> list[dict[str, Any]]:
    return [json.loads(row["fields"]) for row in state.all("select fields from recordings where call_id = ?", call_id)]


def media_of(state: State, call_id: str, recording_id: str) -> bytes | None:
    row = state.one("select wav from recordings where call_id = ? and id = ?", call_id, recording_id)
    return bytes(row["wav"]) if row else None


def iso_duration(seconds: float) -> str:
    """ISO 8601, as Bandwidth writes it: PT3.5S, PT1M2S."""
    minutes, rest = divmod(timedelta(seconds=seconds).total_seconds(), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"PT{int(minutes)}M{text}S" if minutes else f"PT{text}S"
