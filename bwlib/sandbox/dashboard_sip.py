"""Guide step 2 by hand: Account, SIP Credentials tab: realms and credentials.

The password is hashed here with the realm's FQDN, as Bandwidth's own pages do (dev.bandwidth.com/docs/account/
sipRegistrar, read 2026-11-23), and goes no further: the account API gets and keeps the hashes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from starlette.responses import Response

from bwlib.sandbox.dashboard_api import ApiRefused, segment
from bwlib.sandbox.dashboard_sessions import Stopped
from bwlib.sip.digest import ha1

if TYPE_CHECKING:
    from bwlib.sandbox.dashboard import Visit

_TAB = "/account/sip-credentials"


async def account(visit: Visit) -> Response:
    return visit.show("account.html", identity=visit.state.identity, entitled=_entitled(visit))


async def sip_credentials(visit: Visit) -> Response:
    """Both sections: Manage Realms, and the SIP Credentials of every realm."""
    _need_entitlement(visit)
    realms = await visit.api.realms()
    listed = [
        (realm, credential)
        for realm in realms
        for credential in await visit.api.sip_credentials(realm.findtext("Id") or "")
    ]
    names = {one.findtext("ApplicationId"): one.findtext("AppName") for one in await visit.api.applications()}
    return visit.show("sip_credentials.html", entitled=True, realms=realms, credentials=listed, applications=names)


# ---------------------------------------------------------------- realms


async def add_realm(visit: Visit) -> Response:
    _need_entitlement(visit)
    values = {"Realm": "", "Description": "", "Default": "", **visit.form}
    if not visit.posted:
        return visit.show("realm_form.html", entitled=True, realm=None, values=values, error=None)
    try:
        await visit.api.write("POST", "/realms", "Realm", _realm_content(values))
    except ApiRefused as error:
        return visit.show("realm_form.html", error.page_status, entitled=True, realm=None, values=values, error=error)
    return visit.go(_TAB, f"Realm {values['Realm']} is being created.")


async def edit_realm(visit: Visit) -> Response:
    """Description and default; a realm cannot be renamed."""
    _need_entitlement(visit)
    realm = await _realm(visit)
    now = {name: realm.findtext(name) or "" for name in ("Realm", "Description", "Default")}
    if not visit.posted:
        return visit.show("realm_form.html", entitled=True, realm=realm, values=now, error=None)
    values = {**now, "Default": "", **visit.form, "Realm": now["Realm"]}
    try:
        await visit.api.write("PUT", f"/realms/{realm.findtext('Id')}", "Realm", _realm_content(values))
    except ApiRefused as error:
        return visit.show("realm_form.html", error.page_status, entitled=True, realm=realm, values=values, error=error)
    return visit.go(_TAB, f"Realm {now['Realm']} is changed.")


async def delete_realm(visit: Visit) -> Response:
    _need_entitlement(visit)
    realm = await _realm(visit)
    title = f"Delete realm {realm.findtext('Realm')}"
    return await _confirmed_delete(visit, title, f"/realms/{realm.findtext('Id')}", "The realm is being deleted.")


async def _realm(visit: Visit) -> Element:
    realm = (await visit.api.get(f"/realms/{segment(visit.part('realm_id'))}")).find("Realm")
    assert realm is not None
    return realm


def _realm_content(values: dict[str, str]) -> list[tuple[str, Any]]:
    default = "true" if values["Default"] == "true" else "false"
    return [("Realm", values["Realm"]), ("Description", values["Description"]), ("Default", default)]


# ---------------------------------------------------------------- SIP credentials


async def add_sip_credential(visit: Visit) -> Response:
    """Add SIP Credentials: user name, password, realm, application."""
    _need_entitlement(visit)
    if not visit.posted:
        return await _credential_form(visit)
    realm_id, username = visit.form.get("RealmId", ""), visit.form.get("UserName", "").strip()
    if not visit.form.get("password"):
        return await _credential_form(visit, missing="Enter a password. Only its hash is sent to the account API.")
    if not realm_id:
        return await _credential_form(visit, missing="Choose a realm: the hash of a password is made with its name.")
    try:
        fqdn = (await visit.api.get(f"/realms/{segment(realm_id)}")).findtext("Realm/Realm") or ""
        entry = [("UserName", username), *_hashes(username, fqdn, visit.form["password"]), *_bound(visit.form)]
        content = [("SipCredential", entry)]
        await visit.api.write("POST", f"/realms/{segment(realm_id)}/sipcredentials", "SipCredentials", content)
    except ApiRefused as error:
        return await _credential_form(visit, error=error)
    said = f"SIP credential {username} is added. Make note of user name, password and realm ({fqdn}): "
    return visit.go(_TAB, said + "your PBX needs all three, and the password cannot be shown again.")


async def edit_sip_credential(visit: Visit) -> Response:
    """Another password or another application. Without a password the stored hashes are sent again."""
    _need_entitlement(visit)
    path = _credential_path(visit)
    found = (await visit.api.get(path)).find("SipCredential")
    assert found is not None
    if not visit.posted:
        return await _credential_form(visit, found)
    username, fqdn = found.findtext("UserName") or "", found.findtext("Realm") or ""
    kept = [(name, found.findtext(name) or "") for name in ("Hash1", "Hash1b")]
    password = visit.form.get("password", "")
    hashes = _hashes(username, fqdn, password) if password else kept
    content = [("RealmId", found.findtext("RealmId") or ""), *hashes, *_bound(visit.form)]
    try:
        await visit.api.write("PUT", path, "SipCredential", content)
    except ApiRefused as error:
        return await _credential_form(visit, found, error=error)
    changed = "has a new password" if password else "is changed"
    return visit.go(_TAB, f"SIP credential {username} {changed}.")


async def delete_sip_credential(visit: Visit) -> Response:
    _need_entitlement(visit)
    path = _credential_path(visit)
    name = (await visit.api.get(path)).findtext("SipCredential/UserName")
    return await _confirmed_delete(visit, f"Delete SIP credential {name}", path, f"SIP credential {name} is deleted.")


async def _credential_form(
    visit: Visit, found: Element | None = None, error: ApiRefused | None = None, missing: str = ""
) -> Response:
    """`found`: the credential that is being changed; without it a new one is being made. Passwords never come back."""
    values = {"UserName": "", "RealmId": "", "HttpVoiceV2AppId": ""}
    if found is not None:
        values |= {name: found.findtext(name) or "" for name in values}
    values |= {name: value for name, value in visit.form.items() if name in values}
    return visit.show(
        "credential_form.html",
        error.page_status if error else 400 if missing else 200,
        entitled=True,
        credential=found,
        values=values,
        realms=await visit.api.realms(),
        applications=[one for one in await visit.api.applications() if one.findtext("ServiceType") == "Voice-V2"],
        error=error,
        missing=missing,
    )


def _credential_path(visit: Visit) -> str:
    return f"/realms/{segment(visit.part('realm_id'))}/sipcredentials/{segment(visit.part('credential_id'))}"


def _hashes(username: str, fqdn: str, password: str) -> list[tuple[str, str]]:
    """Hash1 is made with the user name alone, Hash1b with user@realm."""
    return [("Hash1", ha1(username, fqdn, password)), ("Hash1b", ha1(f"{username}@{fqdn}", fqdn, password))]


def _bound(form: dict[str, str]) -> list[tuple[str, str]]:
    application_id = form.get("HttpVoiceV2AppId", "")
    return [("HttpVoiceV2AppId", application_id)] if application_id else []


# ---------------------------------------------------------------- both


async def _confirmed_delete(visit: Visit, title: str, path: str, done: str) -> Response:
    if not visit.posted:
        return visit.show("confirm.html", title=title, button="Delete", back=_TAB, error=None)
    try:
        await visit.api.write("DELETE", path)
    except ApiRefused as error:
        return visit.show("confirm.html", error.page_status, title=title, button="Delete", back=_TAB, error=error)
    return visit.go(_TAB, done)


def _entitled(visit: Visit) -> bool:
    return visit.state.switch("sip_entitled") == "yes"


def _need_entitlement(visit: Visit) -> None:
    """Accounts without SipCredentialSettings have no such tab (support.bandwidth.com, SIP Credentials)."""
    if not _entitled(visit):
        raise Stopped(404, "SIP Credentials are not activated for this account (switch sip_entitled).")


PAGES = {
    "/account": account,
    _TAB: sip_credentials,
    f"{_TAB}/new": add_sip_credential,
    f"{_TAB}/{{realm_id}}/{{credential_id}}": edit_sip_credential,
    f"{_TAB}/{{realm_id}}/{{credential_id}}/delete": delete_sip_credential,
    "/account/realms/new": add_realm,
    "/account/realms/{realm_id}": edit_realm,
    "/account/realms/{realm_id}/delete": delete_realm,
}
