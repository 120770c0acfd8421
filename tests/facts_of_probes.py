"""Which facts the probes of bwlib.diagnose can produce, read out of their source: names, and values as far as they
stand there. A name or value that a rule waits for and that nobody produces is a rule that never fires.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import bwlib.diagnose
from bwlib.bandwidth.callback import CallbackFaultKind
from bwlib.diagnose import facts, ladder
from bwlib.diagnose.at_pbx import _APART
from bwlib.diagnose.by_log import DECIDING
from bwlib.diagnose.row import ENDED_BADLY
from bwlib.models import Trunk
from bwlib.steps.application import FIELDS

FOLDER = Path(bwlib.diagnose.__file__).parent
PROBES = [path for path in sorted(FOLDER.glob("*.py")) if path.stem.startswith(("at_", "by_", "look", "pbx_state"))]
WAYS = ("outward", "inward")
_TRUNK_FIELDS = tuple(f"trunk.{field.name}" for field in fields(Trunk) if field.name not in _APART)
_ROUTE_FIELDS = tuple(f"route.{field}" for field in ("trunk", "caller_id", "request_uri", "number_header"))

#: function: a name that it computes -> what that may be
NAMES: dict[str, tuple[str, ...]] = {
    "_answer: f'account.{what}'": tuple(
        f"account.{what}" for what in ("applications", "application", "realms", "credentials", "voice application")
    ),
    "_application: f'application.{field}'": tuple(f"application.{field}" for field in FIELDS),
    "_there: what": ("trunk", "route", "extension"),
    "rows: f'{what}.{name}'": (*_TRUNK_FIELDS, *_ROUTE_FIELDS),
    "_bye: f'{way}.bye'": tuple(f"{way}.bye" for way in WAYS),
    "_ended: f'{way}.bye'": tuple(f"{way}.bye" for way in WAYS),
    "_ended: f'{way}.hangup'": tuple(f"{way}.hangup" for way in WAYS),
    "_cut: f'{way}.cut'": tuple(f"{way}.cut" for way in WAYS),
    "traps: f'trap.{index}'": ("trap.0",),
    "_arrived: f'{talk.way}.webhook'": tuple(f"{way}.webhook" for way in WAYS),
    **{
        f"{function}: f'{{way}}.{what}'": tuple(f"{way}.{what}" for way in WAYS)
        for function, what in (
            ("_digits", "digits"), ("_not_tried", "digits"), ("_ears", "spoken"), ("_by_phone", "heard"),
            ("_counters", "rtp"), ("_facts", "code"),
        )
    },
    "_not_tried: f'probe.{way}.digits'": tuple(f"probe.{way}.digits" for way in WAYS),
    "_facts: f'{way}.{what}'": ("outward.trunk", "inward.pbx"),
    "of_call: f'log.{name}'": tuple(f"log.{name}" for name in DECIDING),
    **{
        f"{function}: f'probe.{{name}}'": tuple(f"probe.{name}" for name in ("bandwidth", "callback", "pbx", "calls"))
        for function in ("_side_by_side", "_found")
    },
}  # fmt: skip
#: name -> the values that are computed elsewhere
VALUES: dict[str, set[str]] = {
    "callback": set(get_args(CallbackFaultKind)),
    # numbers.yml of github.com/Bandwidth/api-docs (read 2026-11-23); the sandbox has the same
    "realm": {"ACTIVE", "CREATE_PENDING", "CREATE_FAILED", "DELETE_PENDING", "DELETE_FAILED"},
    "outward.trunk": {value for name, value in vars(ladder).items() if name.isupper() and isinstance(value, str)},
    "inward.pbx": {value for name, value in vars(ladder).items() if name.isupper() and isinstance(value, str)},
    "extension.contact": {"alive", "silent"},
    "call.cause": {"hangup", "cancel", "none", *ENDED_BADLY},
}
#: a value that is computed in a way that this file does not follow
OPEN = "*"


def produced() -> dict[str, set[str]]:
    """name -> its values; OPEN among them where some are computed."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PROBES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            read = _Reader(tree, function)
            for call in _facts_made(function):
                for name in read.texts(call.args[0]):
                    found[name] |= read.texts(call.args[1]) | VALUES.get(name, set())
    return dict(found)


def _facts_made(function: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fact":
            yield node


class _Reader:
    """What an expression in one function can be."""

    def __init__(self, tree: ast.Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.tree, self.function = tree, function

    def texts(self, node: ast.expr) -> set[str]:
        if isinstance(node, ast.Constant):
            return {str(node.value)}
        if isinstance(node, ast.IfExp):
            return self.texts(node.body) | self.texts(node.orelse)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ladder":
            return {getattr(ladder, node.attr)}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._returned(node.func.id)
        listed = NAMES.get(f"{self.function.name}: {ast.unparse(node)}")
        if listed is not None:
            return set(listed)
        return self._assigned(node.id) if isinstance(node, ast.Name) else {OPEN}

    def _assigned(self, name: str) -> set[str]:
        """All that a name of the function is ever set to, or a constant of bwlib.diagnose.facts."""
        if hasattr(facts, name):
            return {getattr(facts, name)}
        values = [value for target, value in self._assignments() if target == name]
        return set().union(*map(self.texts, values)) if values else {OPEN}

    def _assignments(self) -> Iterator[tuple[str, ast.expr]]:
        for node in ast.walk(self.function):
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Name):
                    yield target.id, node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from (
                        (ast.unparse(one), value) for one, value in zip(target.elts, node.value.elts, strict=True)
                    )

    def _returned(self, name: str) -> set[str]:
        found = [node for node in self.tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        values = [node.value for one in found for node in ast.walk(one) if isinstance(node, ast.Return) and node.value]
        return set().union(*map(self.texts, values)) if values else {OPEN}


def values_of(name: str, made: dict[str, set[str]]) -> set[str]:
    """The values of a name, or with .* of all below it; empty when nobody produces it."""
    if not name.endswith(".*"):
        return made.get(name, set())
    return set().union(*(values for one, values in made.items() if one.startswith(name[:-1])))
