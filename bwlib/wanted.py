"""What a site wants, worked out from its settings and from what Bandwidth answered: trunk, route, extension.

A name goes down once; an object comes back; from then on only the object travels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bwlib.errors import NotAsExpected
from bwlib.models import NUMBER_HEADER, Application, Extension, InboundSipUri, OutboundRoute, Trunk

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.pbx.by_hand import Kept

# FreePBX's words for North America: ten digits match, +1 is put before them. The Asterisk adapter also takes the
# same number dialled with 1 or +1 in front.
DIAL_PATTERN = "NXXNXXXXXX"
PREPEND = "+1"


def found_application(run: Run) -> Application | None:
    """The site's application as Bandwidth has it, None when it is not there yet."""
    from bwlib.steps.application import find_application

    return find_application(run.on.client, run.settings.application.name)


def wanted_trunk(run: Run) -> Trunk | None:
    """The trunk for the realm and credential (or the SIP URI) as they are now.

    None when they do not exist (or, planning, differ) yet.

    Raises: NotAsExpected when the credential's password or application differ: such a trunk would never work.
    """
    from bwlib.steps import pbx, realm, sip_credential

    if run.settings.road == "sip-uri":
        return _trunk_to_sip_uri(run)
    client, wanted = run.on.client, run.settings.sip_credential
    application = found_application(run)
    found = realm.find_realm(client, run.settings.realm.name)
    if application is None or found is None:
        return None
    if sip_credential.find_sip_credential(client, found, wanted.username) is None:
        return None
    password = run.secret(wanted.password)
    learn_ha1(run, found.fqdn, wanted.username, password)
    try:
        credential = sip_credential.check_sip_credential(client, found, wanted.username, password, application)
    except NotAsExpected:
        if run.doing != "plan":
            raise
        return None  # a plan cannot go on from what step 2 has only planned to change
    return pbx.trunk_to(
        found,
        credential,
        name=run.settings.pbx.trunk,
        password=password,
        number=run.on.number,
        bandwidth_ips=run.on.bandwidth_ips,
        extension=run.settings.pbx.extension,
        outbound_proxy=run.on.trunk_proxy,
    )


def _trunk_to_sip_uri(run: Run) -> Trunk | None:
    from bwlib.steps.pbx import trunk_to_sip_uri

    table, sip_uri = run.settings.sip_uri, found_sip_uri(run)
    if sip_uri is None:
        return None
    password = run.secret(table.password)
    learn_ha1(run, sip_uri.host, table.username or sip_uri.user, password)
    return trunk_to_sip_uri(
        sip_uri,
        name=run.settings.pbx.trunk,
        username=table.username,
        password=password,
        number=run.on.number,
        bandwidth_ips=run.on.bandwidth_ips,
        extension=run.settings.pbx.extension,
        outbound_proxy=run.on.trunk_proxy,
    )


def found_sip_uri(run: Run) -> InboundSipUri | None:
    """The application's SIP URI, None when it is not enabled yet."""
    from bwlib import second_road

    application = found_application(run)
    return None if application is None else second_road.current(run, application)


def wanted_route(run: Run) -> OutboundRoute | None:
    """The outbound route: which numbers leave by the trunk, with the site's number as caller id.

    By the second road every call goes to the one SIP URI, and the number travels in a header; None before there is one.
    """
    table = run.settings.pbx
    route = OutboundRoute(
        name=table.route, pattern=DIAL_PATTERN, prepend=PREPEND, trunk=table.trunk, caller_id=run.on.number
    )
    if run.settings.road == "realm":
        return route
    sip_uri = found_sip_uri(run)
    return None if sip_uri is None else replace(route, request_uri=sip_uri.uri, number_header=NUMBER_HEADER)


def wanted_extension(run: Run) -> Extension:
    """The extension that uses the route."""
    table = run.settings.pbx
    return Extension(
        number=table.extension,
        secret=run.secret(table.extension_secret),
        route=table.route,
        display_name=f"Extension {table.extension}",
    )


def kept_secrets(run: Run) -> Kept:
    """Where the two secrets of trunk and extension are kept, by the references of the site file."""
    from bwlib.pbx.by_hand import Kept

    settings = run.settings
    password = settings.sip_credential.password if settings.road == "realm" else settings.sip_uri.password
    return Kept(password, settings.pbx.extension_secret)


def learn_ha1(run: Run, fqdn: str, username: str, password: SecretStr) -> None:
    """HA1 is as good as the password: the record must know it to keep it out."""
    from bwlib.bandwidth.wire import hash1, hash1b

    for name, hashed in (("HA1", hash1), ("HA1b", hash1b)):
        run.record.redactor.learn(name, hashed(username, fqdn, password).get_secret_value())
