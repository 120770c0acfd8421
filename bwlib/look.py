"""Read once more what a record names, at Bandwidth by its id and on the PBX by its name. Nothing is written or guessed.

Drift and undo look with the same eyes: what is not there is None, and a look that failed is an error, never "gone".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from bwlib.errors import RecordError, Refused, StepError
from bwlib.models import Difference, Realm
from bwlib.steps import pbx as pbx_steps
from bwlib.steps.compare import is_absent
from bwlib.steps.inbound_sip_uri import read_back
from bwlib.widgets.show import object_facts

if TYPE_CHECKING:
    from bwlib.guide import Run

# What each thing that a step sets up is called by, for people. The phone's side first, the application last: in this
# order an undo removes nothing that something else still uses.
NAMED_BY = {
    "extension": "number",
    "route": "name",
    "trunk": "name",
    "sip_credential": "username",
    "realm": "fqdn",
    "inbound_sip_uri": "uri",
    "application": "name",
}
KINDS: Mapping[str, pbx_steps.Kind[Any]] = {
    "extension": pbx_steps.EXTENSION,
    "route": pbx_steps.ROUTE,
    "trunk": pbx_steps.TRUNK,
}
NOT_SET = "not set"


def look(run: Run, step: str, recorded: Mapping[str, str]) -> Any | None:
    """The thing as it is now, None when it is gone (Bandwidth: 404; the PBX has none of that name).

    Raises: what the client and the PBX raise; StepError when it cannot be read because of something else;
    RecordError when the record does not say which one it is.
    """
    if step in KINDS:
        return KINDS[step].get(run.on.pbx(), named(step, recorded, NAMED_BY[step]))
    try:
        return _at_bandwidth(run, step, recorded)
    except Refused as error:
        if not is_absent(error):
            raise
    if step == "sip_credential":
        _refuse_without_realm(run, recorded)
    return None


def _at_bandwidth(run: Run, step: str, recorded: Mapping[str, str]) -> Any:
    client = run.on.client
    if step == "application":
        return client.get_application(named(step, recorded, "id"))
    if step == "realm":
        return client.get_realm(named(step, recorded, "id"))
    if step == "sip_credential":
        return client.get_sip_credential(realm_of(recorded), named(step, recorded, "id"))
    return _sip_uri(run, named(step, recorded, "application_id"))


def _sip_uri(run: Run, application_id: str) -> Any:
    """A 404 of its settings says nothing, because the GET is not documented: so the application is read first."""
    attempted = f"read the SIP URI of application {application_id}"
    try:
        application = run.on.client.get_application(application_id)
    except Refused as error:
        if not is_absent(error):
            raise
        raise StepError(attempted, "its application is gone", "look at the application") from error
    found = read_back(run.on.client, application)
    if found is None:
        raise StepError(attempted, "Bandwidth lets nobody read it", "look in the Bandwidth App")
    return found


def _refuse_without_realm(run: Run, recorded: Mapping[str, str]) -> None:
    try:
        run.on.client.get_realm(named("sip_credential", recorded, "realm_id"))
    except Refused as error:
        if not is_absent(error):
            raise
        attempted = f"read the SIP credential {recorded.get('username', '')}"
        raise StepError(attempted, "its realm is gone", "look at the realm") from error


def realm_of(credential: Mapping[str, str]) -> Realm:
    """The realm that a recorded credential is in."""
    realm_id = named("sip_credential", credential, "realm_id")
    return Realm(realm_id, credential.get("realm_fqdn", ""), "", False, "ACTIVE")


def named(step: str, recorded: Mapping[str, str], field: str) -> str:
    """What the record calls the thing by."""
    if not recorded.get(field):
        raise RecordError(
            f"look for the {step.replace('_', ' ')} of the record",
            f"the record does not say its {field}",
            "look for it by hand",
        )
    return str(recorded[field])


def changes(run: Run, recorded: Mapping[str, str], found: Any) -> list[Difference]:
    """The public fields in which a thing is not what the record says; `wanted` is what was recorded.

    A field that is younger than the record counts as its default. The record was redacted, so what is found may be too.
    """
    plain = object_facts(found)
    now = run.record.redactor.value(plain)
    rows = []
    for field in fields(found):
        default = object_facts({field.name: field.default}) if field.default is not MISSING else {}
        before = recorded.get(field.name, default.get(field.name))
        if before not in (now.get(field.name), plain.get(field.name)):
            rows.append(Difference(field.name, now.get(field.name, NOT_SET), before or NOT_SET))
    return rows
