"""Who an imitated account is: its id, its API Credential, its numbers, the hex in its realms' names."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, field

_AREA_CODES = ("919", "984", "704", "980", "336", "743", "252", "910", "828")  # North Carolina's


@dataclass(frozen=True)
class Identity:
    """Random at first start, then kept, so that a restart does not lock anyone out.

    Readback's user and password, and the key that signs tokens, are the first account's for the whole sandbox.
    """

    account_id: str
    client_id: str
    client_secret: str = field(repr=False)
    token_key: str = field(repr=False)
    numbers: tuple[str, ...]
    realm_hex: str
    readback_user: str
    readback_password: str = field(repr=False)


def new_identity(others: Collection[Identity] = ()) -> Identity:
    """A random account that shares nothing with `others`."""
    while True:
        made = _random()
        if not any(_clash(made, other) for other in others):
            return made


def _clash(one: Identity, other: Identity) -> bool:
    return (
        one.account_id == other.account_id
        or one.realm_hex == other.realm_hex
        or one.client_id == other.client_id
        or bool(set(one.numbers) & set(other.numbers))
    )


def _random() -> Identity:
    number = f"+1{secrets.choice(_AREA_CODES)}555{100 + secrets.randbelow(100):04d}"  # 555-0100 to 0199: nobody's
    return Identity(
        account_id=str(5_000_000 + secrets.randbelow(4_999_999)),
        client_id=f"sandbox-{secrets.token_hex(6)}",
        client_secret=secrets.token_urlsafe(32),
        token_key=secrets.token_urlsafe(32),
        numbers=(number,),
        realm_hex=secrets.token_hex(3),
        readback_user=f"callback-{secrets.token_hex(3)}",
        readback_password=secrets.token_urlsafe(24),
    )


def to_json(identity: Identity) -> str:
    return json.dumps(asdict(identity))


def from_json(text: str) -> Identity:
    kept = json.loads(text)
    return Identity(**{**kept, "numbers": tuple(kept["numbers"])})
