"""The handle on one account of a sandbox: `control.start().account("site-7")`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pydantic import SecretStr

from bwlib.sandbox.control import Sandbox


@dataclass(frozen=True)
class SandboxAccount(Sandbox):
    """The sandbox as one account sees it: a `Sandbox` whose account_id, credentials and numbers are its own.

    exchanges(), sip_events(), calls(), deliveries() and audio are those of this account; switches set here count for it
    alone; reset() forgets its objects, calls, log and switches and nobody else's. The edge, readback, the PBX, notes
    and faults are the sandbox's, shared by all; down() ends it for all.
    """

    def _send(self, method: str, path: str, **options: Any) -> Any:
        params = {**(options.pop("params", None) or {}), "account": self.account_id}
        return super()._send(method, path, params=params, **options)


def account_of(sandbox: Sandbox, name: str) -> SandboxAccount:
    """See `Sandbox.account`."""
    made = sandbox._json("POST", "/accounts", json={"name": name})
    own: dict[str, Any] = {each.name: getattr(sandbox, each.name) for each in fields(Sandbox)}
    own |= {"account_id": made["account_id"], "client_id": made["client_id"], "numbers": tuple(made["numbers"])}
    return SandboxAccount(**{**own, "client_secret": SecretStr(made["client_secret"])})
