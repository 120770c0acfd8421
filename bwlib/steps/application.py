"""Guide step 1: a Voice application whose callbacks are POSTed to the integrator's code.

Source: dev.bandwidth.com/docs/account/applications (read 2026-11-23).
"""

from __future__ import annotations

from dataclasses import replace

from bwlib.bandwidth.client import Client
from bwlib.errors import NotAsExpected, Refused
from bwlib.models import Application, Difference, Outcome
from bwlib.steps.compare import NOBODY, Witness, create_or_find, differences, everything_new, is_absent, must_match

# The password of the callback credentials is missing here on purpose: Bandwidth never returns it.
FIELDS = (
    "name",
    "service_type",
    "call_initiated_url",
    "call_initiated_method",
    "call_status_url",
    "call_status_method",
    "callback_user",
)
TITLE = "Voice application"
_NOT_READ_BACK = "the callback password cannot be read back, so whether it is right shows in the callback check"


def find_application(client: Client, name: str) -> Application | None:
    """The account's Voice application of this name, None when there is none. A messaging application is another thing.

    Raises: NotAsExpected when there are several: Bandwidth does not keep names unique, and guessing would be wrong.
    """
    same = [
        application
        for application in client.list_applications()
        if application.name == name and application.service_type != "Messaging-V2"
    ]
    if len(same) > 1:
        ids = ", ".join(application.id for application in same)
        raise NotAsExpected(
            f'find the application "{name}"',
            f"there are {len(same)} of that name: {ids}",
            "rename or delete all but one in the dashboard, or choose another application.name",
        )
    return client.get_application(same[0].id) if same else None


def plan_application(client: Client, wanted: Application) -> Outcome[Application]:
    """What Apply would change about the Voice application; sends nothing that writes."""
    found = find_application(client, wanted.name)
    if found is None:
        return Outcome("planned", TITLE, None, everything_new(wanted, FIELDS), "would be created")
    faults = _differences(found, wanted)
    if not faults:
        return Outcome("unchanged", TITLE, found, note=_note(wanted))
    return Outcome("planned", TITLE, found, faults, "would be updated")


def ensure_application(client: Client, wanted: Application, *, witness: Witness = NOBODY) -> Outcome[Application]:
    """Make sure the account has this Voice application, and read it back.

    Raises: NotAsExpected when Bandwidth kept something else; Refused, NotEntitled with Bandwidth's own words.
    """
    plan = plan_application(client, wanted)
    if plan.action == "unchanged":
        return plan
    if plan.found is None:
        made, note = create_or_find(
            lambda: client.create_application(wanted), lambda: find_application(client, wanted.name), witness
        )
        found = check_application(client, wanted, made.id)
        return Outcome("created", TITLE, found, plan.differences, note or _note(wanted))
    # A PUT replaces everything: what the site file has no word for stays as it was found.
    timeout_s = wanted.callback_timeout_s or plan.found.callback_timeout_s
    client.update_application(replace(wanted, id=plan.found.id, callback_timeout_s=timeout_s))
    found = check_application(client, wanted, plan.found.id)
    return Outcome("updated", TITLE, found, plan.differences, _note(wanted))


def check_application(client: Client, wanted: Application, application_id: str) -> Application:
    """Read the application back by its id and compare it field by field.

    Raises: NotAsExpected naming each field that differs, for example GET instead of POST.
    """
    found = client.get_application(application_id)
    must_match(f'the application "{wanted.name}"', _differences(found, wanted), "run notebook 10_application again")
    return found


def remove_application(client: Client, application_id: str, name: str) -> Outcome[Application]:
    """Delete the application that a run created, if it still is the one: same id, same name."""
    try:
        found = client.get_application(application_id)
    except Refused as error:
        if is_absent(error):
            return Outcome("unchanged", TITLE, None, note="already gone")
        raise
    if found.name != name:
        return Outcome("kept", TITLE, found, note=f'id {application_id} is now "{found.name}": not ours to remove')
    try:
        client.delete_application(application_id)
    except Refused as error:
        if not is_absent(error):
            return Outcome("kept", TITLE, found, note=f"Bandwidth refused: {error.came_back}")
    _must_be_gone(client, application_id)
    return Outcome("removed", TITLE, None)


def _must_be_gone(client: Client, application_id: str) -> None:
    try:
        client.get_application(application_id)
    except Refused as error:
        if is_absent(error):
            return
        raise
    raise NotAsExpected(
        "check that the application is gone",
        "Bandwidth still returns it",
        "look in the dashboard, then run 90_undo again",
    )


def _differences(found: Application, wanted: Application) -> tuple[Difference, ...]:
    return differences(found, wanted, FIELDS)


def _note(wanted: Application) -> str:
    return _NOT_READ_BACK if wanted.callback_user else ""
