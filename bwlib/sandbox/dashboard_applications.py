"""Guide step 1 by hand: the Applications tab. Each form is one request of the account API, whose rules decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from starlette.responses import Response

from bwlib.sandbox.dashboard_api import ApiRefused, segment
from bwlib.sandbox.home import read_state

if TYPE_CHECKING:
    from bwlib.sandbox.dashboard import Visit

# The form's fields have the API's own names. A method goes with its URL, so it is not sent without one.
_URLS = {
    "CallInitiatedCallbackUrl": "CallInitiatedMethod",
    "CallStatusCallbackUrl": "CallStatusMethod",
    "CallInitiatedFallbackUrl": "CallInitiatedFallbackMethod",
}
_CREDS = ("CallbackCreds", "CallInitiatedFallbackCreds")
EMPTY = {
    "ServiceType": "Voice-V2",
    **dict.fromkeys(("AppName", "CallbackTimeout", *_URLS), ""),
    **dict.fromkeys(_URLS.values(), "POST"),
    **dict.fromkeys([f"{creds}/{part}" for creds in _CREDS for part in ("UserId", "Password")], ""),
}


async def list_applications(visit: Visit) -> Response:
    return visit.show("applications.html", applications=await _listed(visit))


async def create_application(visit: Visit) -> Response:
    """Create New."""
    if not visit.posted:
        return await _show_form(visit, EMPTY)
    try:
        made = await visit.api.write("POST", "/applications", "Application", _content(visit.form))
    except ApiRefused as error:
        return await _show_form(visit, EMPTY | visit.form, error=error)
    application_id = made.findtext("Application/ApplicationId") or ""
    return visit.go(f"/applications/{segment(application_id)}", "The application is created.")


async def edit_application(visit: Visit) -> Response:
    """Save changes: a full replacement, as the form shows every element."""
    path = f"/applications/{segment(visit.part('application_id'))}"
    found = (await visit.api.get(path)).find("Application")
    assert found is not None
    if not visit.posted:
        return await _show_form(visit, EMPTY | _fields(found), found)
    try:
        await visit.api.write("PUT", path, "Application", _content(visit.form))
    except ApiRefused as error:
        return await _show_form(visit, EMPTY | visit.form, found, error)
    return visit.go(path, "Your changes are saved.")


async def delete_application(visit: Visit) -> Response:
    path = f"/applications/{segment(visit.part('application_id'))}"
    name = (await visit.api.get(path)).findtext("Application/AppName")
    if not visit.posted:
        return visit.show("confirm.html", title=f"Delete application {name}", button="Delete", back=path, error=None)
    try:
        await visit.api.write("DELETE", path)
    except ApiRefused as error:
        title = f"Delete application {name}"
        return visit.show("confirm.html", error.page_status, title=title, button="Delete", back=path, error=error)
    return visit.go("/applications", f"Application {name} is deleted.")


async def _listed(visit: Visit) -> list[dict[str, str]]:
    return [EMPTY | _fields(application) for application in await visit.api.applications()]


async def _show_form(
    visit: Visit, values: dict[str, str], found: Element | None = None, error: ApiRefused | None = None
) -> Response:
    """`found`: the application that is being changed; without it a new one is being made."""
    return visit.show(
        "application_form.html",
        error.page_status if error else 200,
        applications=await _listed(visit),
        application_id=found.findtext("ApplicationId") if found is not None else "",
        saved_name=found.findtext("AppName") if found is not None else "",
        values=values,
        error=error,
        readback=_readback(visit),
    )


def _readback(visit: Visit) -> dict[str, str] | None:
    """What to type for this sandbox's own application under test, as the guide offers one; None when it is not up."""
    directory = visit.control.state.directory
    found = (read_state(directory) or {}).get("readback")
    if not found:
        return None
    return {"url": found["url"], "user": found["user"], "password_file": str(directory / "readback-password")}


def _fields(application: Element) -> dict[str, str]:
    """The elements of an application by name, those one level down by path."""
    fields = {}
    for child in application:
        fields[child.tag] = child.text or ""
        fields.update({f"{child.tag}/{below.tag}": below.text or "" for below in child})
    return fields


def _content(form: dict[str, str]) -> list[tuple[str, Any]]:
    """The elements to send: those of the form that are not empty."""
    methods = {method: url for url, method in _URLS.items()}
    content: list[tuple[str, Any]] = []
    for name in EMPTY:
        value = form.get(name, "").strip()
        if value and "/" not in name and form.get(methods.get(name, name), "").strip():
            content.append((name, value))
    for creds in _CREDS:
        parts = [(part, form.get(f"{creds}/{part}", "")) for part in ("UserId", "Password")]
        if any(value for _, value in parts):
            content.append((creds, [(part, value) for part, value in parts if value]))
    return content


PAGES = {
    "/applications": list_applications,
    "/applications/new": create_application,
    "/applications/{application_id}": edit_application,
    "/applications/{application_id}/delete": delete_application,
}
