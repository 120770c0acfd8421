"""Guide step 2, second half: a SIP credential bound to the application.

Bandwidth stores hashes over the realm's FQDN and never the password, so this file compares HA1 values.
Source: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23).
"""

from __future__ import annotations

from pydantic import SecretStr

from bwlib.bandwidth.client import Client
from bwlib.bandwidth.wire import hash1
from bwlib.errors import NotAsExpected, Refused
from bwlib.models import Application, Difference, Outcome, Realm, SipCredential
from bwlib.steps.compare import NOBODY, Witness, create_or_find, is_absent

TITLE = "SIP credential"


def find_sip_credential(client: Client, realm: Realm, username: str) -> SipCredential | None:
    """The realm's credential of this user name (compared without case, as Bandwidth does), None when there is none."""
    same = [c for c in client.list_sip_credentials(realm) if c.username.lower() == username.lower()]
    return client.get_sip_credential(realm, same[0].id) if same else None


def plan_sip_credential(
    client: Client, realm: Realm, username: str, password: SecretStr, application: Application
) -> Outcome[SipCredential]:
    """What Apply would change about the credential; sends nothing that writes. A new password cannot be undone."""
    found = find_sip_credential(client, realm, username)
    if found is None:
        new = (
            Difference("username", "absent", username),
            Difference("password", "absent", "from the secret reference (only its hashes are sent)"),
            Difference("application", "absent", application.id),
        )
        return Outcome("planned", TITLE, None, new, "would be created")
    rows = _differences(found, realm, username, password, application)
    if not rows:
        return Outcome("unchanged", TITLE, found)
    note = "would be updated"
    if any(row.field == "password" for row in rows):
        note += "; its password only with sip_credential.rotate = true, and the one it has now cannot be restored"
    return Outcome("planned", TITLE, found, rows, note)


def ensure_sip_credential(
    client: Client,
    realm: Realm,
    username: str,
    password: SecretStr,
    application: Application,
    *,
    rotate: bool = False,
    witness: Witness = NOBODY,
) -> Outcome[SipCredential]:
    """Make sure the realm has this credential, bound to the application, with this password; read it back.

    A differing password is replaced only when `rotate` is True: other devices may be using it.
    Raises: NotAsExpected when it differs and rotate is False, or when Bandwidth kept something else;
    Refused, NotEntitled with Bandwidth's own words (also for an error inside a 201).
    """
    plan = plan_sip_credential(client, realm, username, password, application)
    if plan.action == "unchanged":
        return plan
    note = ""
    if plan.found is None:
        made, note = create_or_find(
            lambda: client.create_sip_credential(realm, username, password, application.id),
            lambda: find_sip_credential(client, realm, username),
            witness,
        )
    else:
        made = plan.found
        _refuse_unasked_rotation(plan, username, realm, rotate)
        client.update_sip_credential(realm, made, password, application.id)
    found = check_sip_credential(client, realm, username, password, application, made.id)
    return Outcome("created" if plan.found is None else "updated", TITLE, found, plan.differences, note)


def check_sip_credential(
    client: Client,
    realm: Realm,
    username: str,
    password: SecretStr,
    application: Application,
    credential_id: str | None = None,
) -> SipCredential:
    """Read the credential back and compare user name, password hash and application.

    Raises: NotAsExpected naming each difference, for example "bound to another application".
    """
    found = (
        client.get_sip_credential(realm, credential_id)
        if credential_id
        else find_sip_credential(client, realm, username)
    )
    if found is None:
        raise NotAsExpected(
            f"check the SIP credential {username}@{realm.fqdn}", "there is none", "run notebook 20_sip_credentials"
        )
    rows = _differences(found, realm, username, password, application)
    if rows:
        raise NotAsExpected(
            f"check the SIP credential {username}@{realm.fqdn}",
            "; ".join(f"{row.field}: {row.found}, wanted {row.wanted}" for row in rows),
            "run notebook 20_sip_credentials (with sip_credential.rotate = true to replace a password)",
        )
    return found


def remove_sip_credential(client: Client, realm: Realm, credential_id: str, username: str) -> Outcome[SipCredential]:
    """Delete the credential that a run created, if it still is the one: same id, same user name."""
    try:
        found = client.get_sip_credential(realm, credential_id)
    except Refused as error:
        if is_absent(error):
            return Outcome("unchanged", TITLE, None, note="already gone")
        raise
    if found.username.lower() != username.lower():
        return Outcome("kept", TITLE, found, note=f"id {credential_id} is now {found.username}: not ours to remove")
    try:
        client.delete_sip_credential(realm, credential_id)
    except Refused as error:
        if not is_absent(error):
            return Outcome("kept", TITLE, found, note=f"Bandwidth refused: {error.came_back}")
    if find_sip_credential(client, realm, username) is not None:
        raise NotAsExpected(
            f"check that the SIP credential {username} is gone", "Bandwidth still lists it", "run 90_undo again"
        )
    return Outcome("removed", TITLE, None)


def _differences(
    found: SipCredential, realm: Realm, username: str, password: SecretStr, application: Application
) -> tuple[Difference, ...]:
    rows = []
    if found.username != username:
        # Hashes hold the name as it was submitted: another case never authenticates.
        rows.append(Difference("username", found.username, username))
    wanted = hash1(username, realm.fqdn, password)
    if found.ha1.get_secret_value().lower() != wanted.get_secret_value():
        rows.append(Difference("password", "differs", "as in the secret reference"))
    if found.application_id != application.id:
        rows.append(Difference("application", found.application_id or "not bound", application.id))
    return tuple(rows)


def _refuse_unasked_rotation(plan: Outcome[SipCredential], username: str, realm: Realm, rotate: bool) -> None:
    if any(row.field == "username" for row in plan.differences):
        raise NotAsExpected(
            f"use the SIP credential {username}@{realm.fqdn}",
            f"it exists as {plan.found.username if plan.found else ''}: Bandwidth does not rename credentials (23004)",
            "write the name with the same capitals in the site file, or choose another",
        )
    if any(row.field == "password" for row in plan.differences) and not rotate:
        raise NotAsExpected(
            f"use the SIP credential {username}@{realm.fqdn}",
            "its password at Bandwidth differs from the one the site file refers to",
            "point sip_credential.password at the right secret, or set sip_credential.rotate = true to replace it "
            "(every other device that uses it must then be changed; the old one cannot be restored)",
        )
