"""Guide steps 1 and 2 as a run takes them: application, callback URL, realm, SIP credential, DNS.

Each function decides by what the run is doing (plan, apply, verify) and returns the object; the decisions themselves
are in `bwlib.steps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bwlib.models import Application, InboundSipUri, Outcome, Realm, SipCredential
from bwlib.steps.verify import verify_application, verify_realm, verify_sip_credential
from bwlib.wanted import found_application, learn_ha1
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.settings import Road


def application(run: Run) -> Application | None:
    """Guide step 1: the Voice application with POST callbacks."""
    from bwlib.steps import application as steps

    wanted, client = run.on.application, run.on.client
    witness = run.witness("application", steps.TITLE, {"name": wanted.name})
    return run.step(
        "application",
        lambda: steps.plan_application(client, wanted),
        lambda: steps.ensure_application(client, wanted, witness=witness),
        lambda: verify_application(client, wanted),
    ).found


def callback(run: Run) -> None:
    """Ask the application's callback URL as Bandwidth will: it challenges where it should and answers BXML."""
    from bwlib.bandwidth.callback import check_callback

    wanted = run.on.application

    def ask() -> Outcome[dict[str, str]]:
        answer = check_callback(
            wanted.call_initiated_url,
            number=run.on.number,
            dial=run.settings.test.dial,
            user=wanted.callback_user,
            password=wanted.callback_password,
            on_exchange=run.on.recorder,
            verify=run.on.callback_ca or True,
        )
        facts = {
            "url": answer.url,
            "status": str(answer.status),
            "asked for credentials first": "yes" if answer.challenged else "no",
            "BXML verbs": ", ".join(answer.verbs) or "none",
        }
        return Outcome("passed", "Callback URL answers", facts)

    run.step("callback", lambda: run.planned("Callback URL answers", wanted.call_initiated_url), ask, verify=ask)


def realm(run: Run) -> Realm | None:
    """Guide step 2: an ACTIVE realm."""
    from bwlib.steps import realm as steps

    if not _on_road(run, "realm", steps.TITLE):
        return None
    wanted, client = run.settings.realm, run.on.client
    return run.step(
        "realm",
        lambda: steps.plan_realm(client, wanted.name, wanted.description),
        lambda: steps.ensure_realm(
            client,
            wanted.name,
            wanted.description,
            timeout_s=wanted.wait_s,
            tell=show.show_progress,
            witness=run.witness("realm", steps.TITLE, {"name": wanted.name}),
        ),
        lambda: verify_realm(client, wanted.name, wanted.description),
    ).found


def sip_credential(run: Run, given: Realm | None) -> SipCredential | None:
    """Guide step 2: a SIP credential in the realm, bound to the application of step 1."""
    from bwlib.steps import sip_credential as steps

    if not _on_road(run, "realm", steps.TITLE):
        return None
    client, table = run.on.client, run.settings.sip_credential

    def go(*, write: bool = False) -> Outcome[SipCredential]:
        in_realm, bound_to = _realm_now(run, given), found_application(run)
        if in_realm is None or bound_to is None:
            return run.missing(steps.TITLE, "the application and the realm", "10_application")
        password = run.secret(table.password)
        learn_ha1(run, in_realm.fqdn, table.username, password)
        if run.doing == "verify":
            return verify_sip_credential(client, in_realm, table.username, password, bound_to)
        if not write:
            return steps.plan_sip_credential(client, in_realm, table.username, password, bound_to)
        return steps.ensure_sip_credential(
            client,
            in_realm,
            table.username,
            password,
            bound_to,
            rotate=table.rotate,
            witness=run.witness("sip_credential", steps.TITLE, {"username": table.username, "realm_id": in_realm.id}),
        )

    return run.step("sip_credential", go, lambda: go(write=True), go).found


def _realm_now(run: Run, given: Realm | None) -> Realm | None:
    """The realm that the cell above gave; where a card was clicked instead, the one that is there by now."""
    if given is not None or not run.attended:
        return given
    from bwlib.steps.realm import find_realm

    return find_realm(run.on.client, run.settings.realm.name)


def inbound_sip_uri(run: Run) -> InboundSipUri | None:
    """Guide step 2 by the second road: calls to the application's own SIP URI, in place of realm and credential."""
    from bwlib import second_road
    from bwlib.steps.inbound_sip_uri import TITLE

    return second_road.ensure(run) if _on_road(run, "sip-uri", TITLE) else None


def dns(run: Run, *places: Realm | InboundSipUri | None) -> None:
    """Where DNS says that the place is: the one that is there, a realm or a SIP URI. A PBX finds its port so."""
    from bwlib.steps.dns import TITLE, check_dns

    def ask() -> Outcome[dict[str, str]]:
        there = [*places, run.made.get("realm"), run.made.get("inbound_sip_uri")]
        hosts = [place.fqdn if isinstance(place, Realm) else place.host for place in there if place is not None]
        if not hosts:
            return run.missing(TITLE, run.entrance(), "20_sip_credentials")
        return check_dns(hosts[0], run.on.nameservers, run.on.trunk_proxy)

    run.step("dns", ask, ask, verify=ask)


def _on_road(run: Run, road: Road, title: str) -> bool:
    """Say so, and write nothing down, when a step belongs to the other road."""
    if run.settings.road != road:
        show.show_text(title, [f'not on this road: the site file says road = "{run.settings.road}"'])
    return run.settings.road == road
