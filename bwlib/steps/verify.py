"""*Check what I did* for guide steps 1 and 2: find what a person made by hand, and name each wrong entry with its fix.

Reads only. A thing may be there and not be found, because it has another type, another name or another place than the
guide asks for: what comes near is looked for, so that nobody is told "there is none" in front of it. The fixes are in
the words of the dashboard, whose labels are the guide's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import SecretStr

from bwlib.bandwidth.client import Client
from bwlib.bandwidth.wire import hash1
from bwlib.errors import NotAsExpected, StillPending
from bwlib.models import Application, Difference, Outcome, Realm, SipCredential
from bwlib.steps import application as applications
from bwlib.steps import realm as realms
from bwlib.steps import sip_credential as sip_credentials
from bwlib.steps.compare import differences

# The dashboard's labels for our fields.
_LABELS = {
    "service_type": "Application type",
    "call_initiated_url": "Call initiated callback URL",
    "call_initiated_method": "Call initiated method",
    "call_status_url": "Call status callback URL",
    "call_status_method": "Call status method",
    "callback_user": "Callback user ID",
}
_TAB = 'Account, tab "SIP Credentials"'


@dataclass(frozen=True)
class Wrong:
    """One wrong entry: what it is, as a sentence without its full stop, and what mends it."""

    said: str
    fix: str


# ---------------------------------------------------------------- guide step 1


def verify_application(client: Client, wanted: Application) -> Outcome[Application]:
    """Find the Voice application by its name and compare what was typed.

    Raises: NotAsExpected naming every wrong entry (type, name, URL, method, user), or several of that name.
    """
    found = applications.find_application(client, wanted.name)
    if found is None:
        raise _not_right(f'find the application "{wanted.name}"', _no_application(client, wanted.name))
    rows = differences(found, wanted, applications.FIELDS)
    if rows:
        raise _not_right(f'check the application "{wanted.name}"', [_wrong_field(row, wanted.name) for row in rows])
    note = "the callback password cannot be read back: the next check shows whether it is right"
    return Outcome("passed", applications.TITLE, found, note=note if wanted.callback_user else "")


def _no_application(client: Client, name: str) -> list[Wrong]:
    """What there is instead. Only messaging applications can have the very name here."""
    there = client.list_applications()
    wrong = [
        Wrong(
            f'"{name}" is there as a messaging application ({one.id}), not a Voice one',
            "its type cannot be changed: delete or rename it under Applications, then Create New with the type Voice",
        )
        for one in there
        if one.name == name
    ]
    voice = [one.name for one in there if one.service_type != "Messaging-V2"]
    return wrong or [
        _none_of_that_name(
            name,
            voice,
            "Applications: rename it (Application name, Save changes), or write its name into application.name",
            'Applications, "Create New": this account has no Voice application of that name',
        )
    ]


def _wrong_field(row: Difference, name: str) -> Wrong:
    label = _LABELS.get(row.field, row.field)
    fix = f'Applications, "{name}": set {label} to {row.wanted}, then Save changes'
    if row.wanted == "not set":
        fix = f'Applications, "{name}": empty {label}, then Save changes'
    return Wrong(f"{label} is {row.found}, wanted {row.wanted}", fix)


# ---------------------------------------------------------------- guide step 2


def verify_realm(client: Client, name: str, description: str | None = None) -> Outcome[Realm]:
    """Find the realm by its short name; it must be ACTIVE. description None: whatever it is.

    Raises: StillPending while Bandwidth creates it; NotAsExpected when it is not there, is being deleted, could not be
    created, or is described otherwise.
    """
    found = realms.find_realm(client, name)
    if found is None:
        raise _not_right(f'find the realm "{name}"', [_no_realm(client, name)])
    what = f"check the realm {found.fqdn}"
    if found.status == "CREATE_PENDING":
        raise StillPending(what, "its status is CREATE_PENDING: Bandwidth has not finished it", "check again soon")
    if not found.is_active:
        raise _not_right(what, [Wrong(f"its status is {found.status}", _mend_realm(found))])
    if description is not None and found.description != description:
        said = f"Description is {found.description or 'not set'}, wanted {description or 'not set'}"
        raise _not_right(what, [Wrong(said, f"{_TAB}, Manage Realms: Edit, then Save changes")])
    return Outcome("passed", realms.TITLE, found)


def _no_realm(client: Client, name: str) -> Wrong:
    return _none_of_that_name(
        name,
        [_short_name(realm) for realm in client.list_realms()],
        "a realm cannot be renamed: write its name into realm.name, or add one with the right name",
        f'{_TAB}: press "Add" in the section "Manage Realms"',
    )


def _short_name(realm: Realm) -> str:
    """What was typed: Bandwidth puts a separator and the account's hex digits behind it."""
    typed = re.match(r"(.+)[.-][0-9a-f]+\.auth\.", realm.fqdn, re.IGNORECASE)
    return typed[1] if typed else realm.fqdn


def _mend_realm(realm: Realm) -> str:
    if realm.status == "DELETE_PENDING":
        return "it is being deleted: wait until it is gone, then add it anew"
    return f"delete it and add it anew, or ask Bandwidth support with its id {realm.id}"


def verify_sip_credential(
    client: Client, realm: Realm, username: str, password: SecretStr, application: Application
) -> Outcome[SipCredential]:
    """Find the credential in the realm and compare user name, password (by its hash) and application.

    Raises: NotAsExpected naming every wrong entry: another application, none, another password, another realm.
    """
    found = sip_credentials.find_sip_credential(client, realm, username)
    if found is None:
        raise _not_right(f"find the SIP credential {username} in {realm.fqdn}", _no_credential(client, realm, username))
    wrong = [*_wrong_login(found, realm, username, password), *_wrong_application(client, found, application)]
    if wrong:
        raise _not_right(f"check the SIP credential {username} in {realm.fqdn}", wrong)
    return Outcome("passed", sip_credentials.TITLE, found)


def _no_credential(client: Client, realm: Realm, username: str) -> list[Wrong]:
    elsewhere = [
        Wrong(
            f"{username} is in another realm, {other.fqdn}",
            f'{_TAB}: press "Add" in the section "SIP Credentials" and choose the realm {realm.fqdn}; '
            "delete the other one if nobody uses it",
        )
        for other in client.list_realms()
        if other.id != realm.id
        and other.is_active
        and sip_credentials.find_sip_credential(client, other, username) is not None
    ]
    return elsewhere or [
        _none_of_that_name(
            username,
            [one.username for one in client.list_sip_credentials(realm)],
            "a credential cannot be renamed: write its name into sip_credential.username, or add the right one",
            f'{_TAB}: press "Add" in the section "SIP Credentials"',
        )
    ]


def _wrong_login(found: SipCredential, realm: Realm, username: str, password: SecretStr) -> list[Wrong]:
    """A hash is over the name as it was typed, so with other capitals nothing can be said of the password."""
    if found.username != username:
        return [
            Wrong(
                f"User name is {found.username}, wanted {username} with these capitals",
                f"it cannot be renamed: {_TAB}: delete it and add it anew, or write it so into sip_credential.username",
            )
        ]
    if found.ha1.get_secret_value().lower() == hash1(username, realm.fqdn, password).get_secret_value():
        return []
    said = "Password is not the one that the site file refers to (its hash differs)"
    return [Wrong(said, f"{_TAB}: Edit {username}, type the password again, Save changes")]


def _wrong_application(client: Client, found: SipCredential, wanted: Application) -> list[Wrong]:
    if found.application_id == wanted.id:
        return []
    fix = f'{_TAB}: Edit {found.username}, choose "{wanted.name}" under Application, Save changes'
    if not found.application_id:
        return [Wrong("it is bound to no application, so its calls go to the telephone network", fix)]
    names = {one.id: one.name for one in client.list_applications()}
    other = names.get(found.application_id)
    said = f'another application, "{other}" ({found.application_id})' if other else "an application that is not there"
    return [Wrong(f'it is bound to {said}, wanted "{wanted.name}" ({wanted.id})', fix)]


# ---------------------------------------------------------------- how it is said


def _none_of_that_name(name: str, there: Iterable[str], mend: str, make: str) -> Wrong:
    """There is none; but a name that differs in capitals, spaces or a letter or two is likely the one meant."""
    plain = {_plainly(other): other for other in there}
    near = get_close_matches(_plainly(name), plain, n=1, cutoff=0.8)
    if not near:
        return Wrong("there is none of that name", make)
    return Wrong(f'there is none of that name; did you mean "{plain[near[0]]}"?', mend)


def _plainly(name: str) -> str:
    return " ".join(name.split()).casefold()


def _not_right(attempted: str, wrong: Iterable[Wrong]) -> NotAsExpected:
    every = list(wrong)
    return NotAsExpected(attempted, "; ".join(one.said for one in every), "; ".join(one.fix for one in every))
