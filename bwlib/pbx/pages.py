"""A PBX's own pages, for those that have some: which show what, and how a browser gets in. For pictures only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bwlib.models import Trunk
from bwlib.pbx import Kind

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass(frozen=True)
class Screen:
    """One page: what it shows, its title for people, its address, and a name that must be seen on it.

    tabs: what to click, in this order, for what is behind tabs. cover: selectors of the fields that can hold a secret:
    they are emptied and covered before a picture is taken.
    """

    kind: Kind
    title: str
    url: str
    holds: str
    tabs: tuple[str, ...] = ()
    cover: tuple[str, ...] = ()


@dataclass(frozen=True)
class PbxPages:
    """name: whose pages, for people. hosts: all that they may ask. sign_in, sign_out: as a person does.

    trusted_keys: of a certificate that the browser's usual authorities do not know, as `with_page` takes them.
    """

    name: str
    hosts: tuple[str, ...]
    sign_in: Callable[[Page], None]
    sign_out: Callable[[Page], None]
    screens: tuple[Screen, ...]
    trusted_keys: tuple[str, ...] = ()


@runtime_checkable
class HasPages(Protocol):
    """A PBX that has pages of its own."""

    def pages(self, trunk: Trunk) -> PbxPages | None:
        """Those that show the trunk and what belongs to it; None where nobody knows how to get in.

        Raises: PbxUnreachable, PbxRefused.
        """
