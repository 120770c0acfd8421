"""A PBX in memory that keeps the promises of bwlib.pbx.Pbx."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bwlib.errors import PbxUnreachable
from bwlib.models import Extension, OutboundRoute, PbxInfo, Registration, Trunk
from bwlib.pbx import Kind as Word
from bwlib.pbx import Owner


class MemoryPbx:
    """Two layers, as in a real one: `written` and, after apply(), `running`. `others` belong to a person."""

    def __init__(self) -> None:
        self.written: dict[tuple[str, str], Any] = {}
        self.running: dict[tuple[str, str], Any] = {}
        self.others: dict[tuple[str, str], Any] = {}
        self.calls: list[str] = []
        self.down = False
        self.forgets: dict[str, Any] = {}
        self.deaf = False  # takes up nothing
        self.registered: list[Registration] = []
        self.place = "/memory"
        self.refusal: Exception | None = None  # what it has against anything put

    def _note(self, call: str) -> None:
        if self.down:
            raise PbxUnreachable("ask the PBX", "connection refused", "start it")
        self.calls.append(call)

    def _get(self, word: Word, name: str) -> Any:
        self._note(f"get {word}")
        return self.running.get((word, name)) or self.others.get((word, name))

    def _put(self, word: Word, name: str, thing: Any) -> None:
        self._note(f"put {word}")
        kept = {field: value for field, value in self.forgets.items() if hasattr(thing, field)}
        self.written[word, name] = replace(thing, **kept)

    def _delete(self, word: Word, name: str) -> None:
        self._note(f"delete {word}")
        self.written.pop((word, name), None)

    def info(self) -> PbxInfo:
        return PbxInfo("Memory", "1", "127.0.0.1", 5060)

    def identity(self) -> dict[str, str]:
        return {"config_dir": self.place, "ami_host": "127.0.0.1"}

    def check_put(self, thing: Trunk | OutboundRoute | Extension) -> None:
        self._note("check")
        if self.refusal is not None:
            raise self.refusal

    def get_trunk(self, name: str) -> Trunk | None:
        found: Trunk | None = self._get("trunk", name)
        return found

    def put_trunk(self, trunk: Trunk) -> None:
        self._put("trunk", trunk.name, trunk)

    def delete_trunk(self, name: str) -> None:
        self._delete("trunk", name)

    def get_route(self, name: str) -> OutboundRoute | None:
        found: OutboundRoute | None = self._get("route", name)
        return found

    def put_route(self, route: OutboundRoute) -> None:
        self._put("route", route.name, route)

    def delete_route(self, name: str) -> None:
        self._delete("route", name)

    def get_extension(self, number: str) -> Extension | None:
        found: Extension | None = self._get("extension", number)
        return found

    def put_extension(self, extension: Extension) -> None:
        self._put("extension", extension.number, extension)

    def delete_extension(self, number: str) -> None:
        self._delete("extension", number)

    def owner(self, kind: Word, name: str) -> Owner | None:
        self._note(f"owner {kind}")
        if (kind, name) in self.written or (kind, name) in self.running:
            return "ours"
        return "other" if (kind, name) in self.others else None

    def apply(self) -> None:
        self._note("apply")
        if not self.deaf:
            self.running = dict(self.written)

    def registrations(self) -> list[Registration]:
        self._note("registrations")
        return self.registered

    def snapshot(self) -> dict[str, str]:
        return {}

    def settings_sheet(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
        return ""

    @property
    def wrote(self) -> list[str]:
        return [call for call in self.calls if call.split()[0] in ("put", "delete", "apply")]
