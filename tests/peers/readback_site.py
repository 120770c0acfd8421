"""A sandbox whose application is readback, set up over its API: application, realm (the default), credential "pbx";
and, when asked for, the real Asterisk that is its PBX, with trunk, route and extension."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from sandbox_world import PASSWORD, World, hashes

from bwlib.models import Extension, OutboundRoute, PbxInfo, Realm, SipCredential
from bwlib.pbx import Pbx
from bwlib.readback_client import Readback
from bwlib.run import sandbox_pbx
from bwlib.steps.pbx import trunk_to
from bwlib.wanted import DIAL_PATTERN, PREPEND

USER = "pbx"
EXTENSION = "101"
EXTENSION_SECRET = SecretStr("a-secret-of-the-phone")


@dataclass(frozen=True)
class ReadbackSite:
    """realm: (id, FQDN). readback: what the application saw. Made by `start()`; `close()` ends all of it."""

    world: World
    realm: tuple[str, str]
    application_id: str
    readback: Readback = field(repr=False)

    def close(self) -> None:
        self.readback.close()
        self.world.close()

    @property
    def fqdn(self) -> str:
        return self.realm[1]

    @property
    def number(self) -> str:
        return self.world.sandbox.number

    @property
    def edge(self) -> str:
        """host:port"""
        host, port = self.world.sandbox.edge
        return f"{host}:{port}"

    def place_to_readback(self, to: str) -> str:
        """As `place`, answered by readback."""
        address = self.world.sandbox.readback
        more = {"username": address.user, "password": address.password.get_secret_value()}
        return self.place(to, f"{address.url}/answer", f"{address.url}/disconnect", **more)

    def place(self, to: str, answer_url: str, disconnect_url: str, **more: str) -> str:
        """The guide's programmatic call, with 6 seconds to answer; its id."""
        body = {
            "from": self.number,
            "to": to,
            "applicationId": self.application_id,
            "answerUrl": answer_url,
            "disconnectUrl": disconnect_url,
            "callTimeout": 6,
        }
        answer = self.world.voice("POST", "/calls", {**body, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["callId"])

    def admitted(self, call_id: str) -> list[str]:
        """The events of a call that readback took, in order; the challenged first tries left out."""
        return [hook.event_type for hook in self.readback.webhooks(call_id=call_id) if hook.answer_status < 400]

    def at_edge(self, sip_call_id: str | None = None) -> list[str]:
        """First words of the SIP messages at the edge, repeats and all: "INVITE", "407", ..."""
        lines = [event.text.split("\r\n", 1)[0].split() for event in self.world.sandbox.sip_events(sip_call_id)]
        return [line[1] if line[0] == "SIP/2.0" else line[0] for line in lines]


def start(home: Path) -> ReadbackSite:
    world = World(home)
    try:
        address = world.sandbox.readback
        password = address.password.get_secret_value()
        application_id = world.application(
            f"{address.url}/initiate",
            CallStatusCallbackUrl=f"{address.url}/disconnect",
            CallbackCreds=f"<UserId>{address.user}</UserId><Password>{password}</Password>",
        )
        realm = world.realm("acme", default=True)
        world.credential(realm, USER, application_id)
        readback = Readback(address.url, address.token, address.ca_file)
    except BaseException:
        world.close()
        raise
    return ReadbackSite(world, realm, application_id, readback)


def connect_pbx(site: ReadbackSite) -> tuple[Pbx, PbxInfo]:
    """Start the sandbox's Asterisk and give it the guide's trunk, route and extension."""
    pbx = sandbox_pbx(site.world.sandbox)
    hash1, hash1b = map(SecretStr, hashes(site.fqdn, USER))
    pbx.put_trunk(
        trunk_to(
            Realm(site.realm[0], site.fqdn, "", True, "ACTIVE"),
            SipCredential("", USER, site.realm[0], site.fqdn, site.application_id, hash1, hash1b),
            name="bandwidth",
            password=SecretStr(PASSWORD),
            number=site.number,
            bandwidth_ips=(site.world.sandbox.edge[0],),
            extension=EXTENSION,
            outbound_proxy=site.edge,
        )
    )
    pbx.put_route(OutboundRoute("bandwidth-out", DIAL_PATTERN, PREPEND, "bandwidth", site.number))
    pbx.put_extension(Extension(EXTENSION, EXTENSION_SECRET, "bandwidth-out", "Front desk"))
    pbx.apply()
    return pbx, pbx.info()
