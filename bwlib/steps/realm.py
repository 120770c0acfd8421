"""Guide step 2, first half: a realm, and what to do when the realm is refused or stays pending.

Bandwidth lengthens a realm's name to an FQDN that cannot be computed, so everything after this file takes a `Realm`.
Source: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

from bwlib.bandwidth.client import Client
from bwlib.errors import NotAsExpected, Refused, StillPending
from bwlib.models import Difference, Outcome, Realm
from bwlib.steps.compare import NOBODY, Witness, create_or_find, is_absent

TITLE = "Realm"
_POLL_S = 0.5

Tell = Callable[[str], None]


def _say_nothing(text: str) -> None:
    """The default listener of a wait."""


def find_realm(client: Client, name: str) -> Realm | None:
    """The account's realm of this short name, None when there is none.

    The FQDN is `name` followed by a separator, the account's hex digits and Bandwidth's domain; sources differ on the
    separator, so both are read. "auth." must follow: acme-1a.3efeaa.auth... is the realm acme-1a, not acme.
    Names compare without case.
    """
    return realm_of(name, client.list_realms())


def realm_of(name: str, realms: Iterable[Realm]) -> Realm | None:
    """The one of this short name; see `find_realm`."""
    fqdn = re.compile(rf"^{re.escape(name)}[.-][0-9a-f]+\.auth\.", re.IGNORECASE)
    return next((realm for realm in realms if fqdn.match(realm.fqdn)), None)


def plan_realm(client: Client, name: str, description: str) -> Outcome[Realm]:
    """What Apply would change about the realm; sends nothing that writes."""
    found = find_realm(client, name)
    if found is None:
        rows = (Difference("name", "absent", name), Difference("description", "absent", description))
        return Outcome("planned", TITLE, None, rows, "would be created; Bandwidth decides its full name")
    if found.description != description:
        row = Difference("description", found.description or "not set", description)
        return Outcome("planned", TITLE, found, (row,), "would be updated")
    return Outcome("unchanged", TITLE, found)


def ensure_realm(
    client: Client,
    name: str,
    description: str,
    *,
    timeout_s: float = 60,
    tell: Tell = _say_nothing,
    witness: Witness = NOBODY,
) -> Outcome[Realm]:
    """Make sure the account has an ACTIVE realm of this name, waiting at most `timeout_s` seconds for it.

    Created with Default false, so that the account's default realm stays what it is.
    Raises: NotEntitled when SIP credentials are not enabled for the account (33004); StillPending after the limit;
    NotAsExpected when Bandwidth gave up on it (CREATE_FAILED).
    """
    plan = plan_realm(client, name, description)
    note = ""
    if plan.found is None:
        made, note = create_or_find(
            lambda: client.create_realm(name, description), lambda: find_realm(client, name), witness
        )
    else:
        made = plan.found
        if plan.action == "planned":
            client.update_realm(made, name, description, made.is_default)
    realm = wait_until_active(client, made, timeout_s=timeout_s, tell=tell)
    if realm.description != description:
        raise NotAsExpected(
            f'check the realm "{name}"',
            f'its description is "{realm.description}", wanted "{description}"',
            "run notebook 20_sip_credentials again",
        )
    if plan.action == "unchanged":
        return Outcome("unchanged", TITLE, realm)
    return Outcome("created" if plan.found is None else "updated", TITLE, realm, plan.differences, note)


def wait_until_active(client: Client, realm: Realm, *, timeout_s: float, tell: Tell = _say_nothing) -> Realm:
    """Read the realm until it is ACTIVE. Obeys interrupt; says what it is waiting for."""
    started = time.monotonic()
    while True:
        realm = client.get_realm(realm.id)
        if realm.is_active:
            return realm
        if realm.status != "CREATE_PENDING":
            raise NotAsExpected(f"wait for the realm {realm.fqdn}", f"its status is {realm.status}", _what_now(realm))
        waited = time.monotonic() - started
        if waited > timeout_s:
            raise StillPending(
                f"wait for the realm {realm.fqdn}",
                f"it is still {realm.status} after {timeout_s:g} s",
                "run this cell again: it goes on where it stopped (realm.wait_s sets the limit)",
            )
        tell(f"realm {realm.fqdn} is {realm.status}, {waited:.0f} of at most {timeout_s:g} s")
        time.sleep(_POLL_S)


def _what_now(realm: Realm) -> str:
    if realm.status == "DELETE_PENDING":
        return "it is being deleted: wait until it is gone, then run again, and it is made anew"
    return "delete it in the dashboard and run again, or ask Bandwidth support with its id " + realm.id


def remove_realm(client: Client, realm_id: str, fqdn: str, *, timeout_s: float = 60) -> Outcome[Realm]:
    """Delete the realm that a run created and wait until it is gone.

    A default realm, or one that still holds credentials, cannot be deleted: it is kept, and the note says why.
    """
    try:
        found = client.get_realm(realm_id)
    except Refused as error:
        if is_absent(error):
            return Outcome("unchanged", TITLE, None, note="already gone")
        raise
    if found.fqdn != fqdn:
        return Outcome("kept", TITLE, found, note=f"id {realm_id} is now {found.fqdn}: not ours to remove")
    if found.is_default:
        return Outcome(
            "kept", TITLE, found, note=f"{fqdn} is the account's default realm, which cannot be deleted (33006)"
        )
    try:
        client.delete_realm(found)
    except Refused as error:
        if not is_absent(error):
            return Outcome("kept", TITLE, found, note=f"Bandwidth refused: {error.came_back}")
    _wait_until_gone(client, found, timeout_s)
    return Outcome("removed", TITLE, None)


def _wait_until_gone(client: Client, realm: Realm, timeout_s: float) -> None:
    started = time.monotonic()
    while time.monotonic() - started <= timeout_s:
        try:
            client.get_realm(realm.id)
        except Refused as error:
            if is_absent(error):
                return
            raise
        time.sleep(_POLL_S)
    raise StillPending(
        f"wait until the realm {realm.fqdn} is gone", f"it is still there after {timeout_s:g} s", "run 90_undo again"
    )
