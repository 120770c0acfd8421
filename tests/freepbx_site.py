"""What the tests of FreePBX want on it: the guide's trunk, route and extension of one site, and an adapter to it."""

from __future__ import annotations

from typing import Any

from freepbx_stand_in import PASSWORD, USER
from pydantic import SecretStr

from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx.freepbx import FreepbxPbx, connect
from bwlib.steps.pbx import EXTENSION, ROUTE, TRUNK, Kind

REALM = "acme-3efeaa.auth.bandwidth.test"
SIP_SECRET, PHONE_SECRET = "canary-sip-secret-81", "canary-phone-secret-82"
NUMBER = "+19195550100"
A_TRUNK = Trunk(
    name="bandwidth",
    server=REALM,
    username="pbx",
    password=SecretStr(SIP_SECRET),
    from_user=NUMBER,
    from_domain=REALM,
    bandwidth_ips=("192.0.2.1", "198.51.100.0/24"),
    inbound_extension="101",
)
A_ROUTE = OutboundRoute("bandwidth", "NXXNXXXXXX", "+1", "bandwidth", NUMBER)
AN_EXTENSION = Extension("101", SecretStr(PHONE_SECRET), "bandwidth", "Extension 101")
ALL: list[tuple[Kind[Any], Any]] = [(TRUNK, A_TRUNK), (ROUTE, A_ROUTE), (EXTENSION, AN_EXTENSION)]
BACKWARDS = list(reversed(ALL))
# The form of a trunk as the guide wants it.
GUIDE = {
    "action": "addtrunk",
    "tech": "pjsip",
    "trunk_name": "bandwidth",
    "outcid": NUMBER,
    "keepcid": "off",
    "username": "pbx",
    "auth_username": "",
    "secret": SIP_SECRET,
    "authentication": "outbound",
    "registration": "none",
    "sip_server": REALM,
    "sip_server_port": "",
    "context": "from-pstn",
    "transport": "0.0.0.0-udp",
    "from_domain": REALM,
    "from_user": "",
    "contact_user": "",
    "outbound_proxy": "",
    "qualify_frequency": "0",
    "dtmfmode": "rfc4733",
    "sendrpid": "no",
    "match": "192.0.2.1,198.51.100.0/24",
}


def adapter(url: str, **other: Any) -> FreepbxPbx:
    values: dict[str, Any] = {
        "url": url,
        "user": USER,
        "password": SecretStr(PASSWORD),
        "site": "my-site",
        "trunk": "bandwidth",
        "route": "bandwidth",
        "extension": "101",
        "sip_host": "pbx.example.com",
    }
    return connect(**{**values, **other})
