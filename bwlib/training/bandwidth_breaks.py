"""What can be wrong on Bandwidth's side: entries of the account, changed through the same API as by anybody.

`keep` holds ids and public fields only; passwords come back from where the site keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from bwlib.errors import NotAsExpected, Refused, StillPending
from bwlib.models import Application, Realm, SipCredential
from bwlib.steps.application import find_application
from bwlib.steps.sip_credential import find_sip_credential
from bwlib.training.pbx_breaks import dead_address, made_up
from bwlib.training.stage import Stage

Act = Callable[[Stage], None]
_REALM_TIMEOUT_S = 20.0


def application(stage: Stage) -> Application:
    """The site's application as it is. Raises NotAsExpected when it is not there."""
    found = find_application(stage.client, stage.settings.application.name)
    if found is None:
        raise NotAsExpected("break the application", "there is none", "walk the guide first")
    return found


def realm(stage: Stage) -> Realm:
    """Raises NotAsExpected when it is not there."""
    begin = stage.settings.realm.name.lower()
    for found in stage.client.list_realms():
        if found.fqdn.startswith((f"{begin}-", f"{begin}.")):
            return found
    raise NotAsExpected("break the realm", "there is none", "walk the guide first")


def credential(stage: Stage, of: Realm) -> SipCredential:
    """Raises NotAsExpected when it is not there."""
    found = find_sip_credential(stage.client, of, stage.settings.sip_credential.username)
    if found is None:
        raise NotAsExpected("break the SIP credential", "there is none", "walk the guide first")
    return found


# ------------------------------------------------------------------ the application


def application_with(name: str, fields: Callable[[Stage], dict[str, Any]]) -> tuple[Act, Act]:
    """(put in, mend) of a break that changes some fields of the application. A callback password is mended too."""

    def put_in(stage: Stage) -> None:
        found, wrong = application(stage), fields(stage)
        stage.keep(name, {field: getattr(found, field) for field in wrong if field != "callback_password"})
        stage.client.update_application(replace(found, **wrong))

    def mend(stage: Stage) -> None:
        right = stage.kept(name)
        stage.client.update_application(
            replace(application(stage), **right, callback_password=callback_password(stage))
        )
        stage.forget(name)

    return put_in, mend


def callback_password(stage: Stage) -> SecretStr:
    table = stage.settings.application
    return stage.secret(table.callback_password) if table.callback_password else stage.sandbox.readback.password


def dead_url(stage: Stage) -> dict[str, Any]:
    return {"call_initiated_url": f"https://{dead_address(stage)}/initiate"}


def wrong_password(stage: Stage) -> dict[str, Any]:
    return {"callback_password": SecretStr(made_up(stage))}


def by_get(stage: Stage) -> dict[str, Any]:
    return {"call_initiated_method": "GET"}


def wrong_path(stage: Stage) -> dict[str, Any]:
    """A path that the application does not know: 404."""
    word = stage.random.choice(["voice", "incoming", "callback", "ivr"])
    return {"call_initiated_url": f"{stage.sandbox.readback.url}/{word}"}


def misbehaving(kind: str) -> Callable[[Stage], dict[str, Any]]:
    """The URL of a server that misbehaves so (`bwlib.sandbox.broken_callback`); it is http, so credentials go."""
    return lambda stage: {"call_initiated_url": stage.sandbox.broken_url(kind), "callback_user": None}


def put_in_wrong_app_type(stage: Stage) -> None:
    """The voice application is put aside, one for messaging has its name; so the credential leads nowhere."""
    voice = application(stage)
    stage.sandbox.set_switch("messaging_applications", "keep")
    stage.client.update_application(replace(voice, name=f"{voice.name} (old)"))
    messaging = stage.client.create_application(Application(voice.name, "", service_type="Messaging-V2"))
    stage.keep("wrong-app-type", {"voice": voice.id, "messaging": messaging.id})
    _bind(stage, None)


def mend_wrong_app_type(stage: Stage) -> None:
    kept = stage.kept("wrong-app-type")
    voice = stage.client.get_application(kept["voice"])
    stage.client.delete_application(kept["messaging"])
    stage.client.update_application(replace(voice, name=stage.settings.application.name))
    _bind(stage, voice.id)
    stage.sandbox.set_switch("messaging_applications", "refuse")
    stage.forget("wrong-app-type")


# ------------------------------------------------------------------ the SIP credential


def _bind(stage: Stage, application_id: str | None) -> None:
    """Bind the credential to an application; None takes the binding away, which only this switch lets a PUT do."""
    on = realm(stage)
    if application_id is None:
        stage.sandbox.set_switch("credential_app_omitted", "clear")
    stage.client.update_sip_credential(on, credential(stage, on), None, application_id)
    if application_id is None:
        stage.sandbox.set_switch("credential_app_omitted", "keep")


def put_in_unbound(stage: Stage) -> None:
    stage.keep("unbound-credential", credential(stage, realm(stage)).application_id)
    _bind(stage, None)


def mend_unbound(stage: Stage) -> None:
    _bind(stage, stage.kept("unbound-credential"))
    stage.forget("unbound-credential")


def put_in_other_application(stage: Stage) -> None:
    """Bound to an application of the account that is somebody else's, whose URL knows nothing of this site."""
    name = f"{stage.random.choice(['Fax', 'Sales', 'Support', 'Voicemail'])} line"
    url = f"{stage.sandbox.readback.url}/{name.lower().replace(' ', '-')}"
    other = stage.client.create_application(Application(name, url))
    stage.keep("credential-other-application", {"other": other.id, "right": application(stage).id})
    _bind(stage, other.id)


def mend_other_application(stage: Stage) -> None:
    kept = stage.kept("credential-other-application")
    _bind(stage, kept["right"])
    stage.client.delete_application(kept["other"])
    stage.forget("credential-other-application")


def put_in_rotated_password(stage: Stage) -> None:
    on = realm(stage)
    found = credential(stage, on)
    stage.keep("rotated-password", [])
    stage.client.update_sip_credential(on, found, SecretStr(made_up(stage)), found.application_id)


def mend_rotated_password(stage: Stage) -> None:
    on = realm(stage)
    found = credential(stage, on)
    password = stage.secret(stage.settings.sip_credential.password)
    stage.client.update_sip_credential(on, found, password, found.application_id)
    stage.forget("rotated-password")


# ------------------------------------------------------------------ the account


def switch(name: str, switch_name: str, wrong: str) -> tuple[Act, Act]:
    """(put in, mend) of a break that is a switch of the sandbox: what only Bandwidth itself can change."""

    def put_in(stage: Stage) -> None:
        stage.keep(name, stage.sandbox.switches()[switch_name])
        stage.sandbox.set_switch(switch_name, wrong)

    def mend(stage: Stage) -> None:
        stage.sandbox.set_switch(switch_name, stage.kept(name))
        stage.forget(name)

    return put_in, mend


def put_in_realm_pending(stage: Stage) -> None:
    """The realm was made anew a moment ago, and does not become ACTIVE."""
    stage.keep("realm-pending", credential(stage, realm(stage)).application_id)
    _make_realm_anew(stage, "3600")


def mend_realm_pending(stage: Stage) -> None:
    """The realm becomes ACTIVE; the credential, which went with the old one, is made again."""
    _make_realm_anew(stage, "0")
    on = realm(stage)
    password = stage.secret(stage.settings.sip_credential.password)
    stage.client.create_sip_credential(
        on, stage.settings.sip_credential.username, password, stage.kept("realm-pending")
    )
    stage.sandbox.set_switch("realm_create_s", "0.5")
    stage.forget("realm-pending")


def _make_realm_anew(stage: Stage, pending_s: str) -> None:
    old = realm(stage)
    for each in stage.client.list_sip_credentials(old):
        stage.client.delete_sip_credential(old, each.id)
    stage.client.delete_realm(old)
    deadline = time.monotonic() + _REALM_TIMEOUT_S
    while _is_there(stage, old):
        if time.monotonic() > deadline:
            raise StillPending("delete the realm", "it is still there", "try again")
        time.sleep(0.1)
    stage.sandbox.set_switch("realm_create_s", pending_s)
    stage.client.create_realm(stage.settings.realm.name, old.description, old.is_default)


def _is_there(stage: Stage, realm: Realm) -> bool:
    try:
        stage.client.get_realm(realm.id)
    except Refused as error:
        if error.status == 404:
            return False
        raise
    return True
