"""Asterisk (16 and newer, chan_pjsip) as a PBX: configured by files of our own, read back from the running Asterisk."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from bwlib.errors import PbxError, PbxRefused
from bwlib.models import Extension, Finding, OutboundRoute, PbxInfo, Registration, Trunk
from bwlib.pbx import Kind, Owner, asterisk_state, asterisk_text, by_hand, checks
from bwlib.pbx.ami import Ami, Tunnel
from bwlib.pbx.ami_events import AmiWatch
from bwlib.pbx.asterisk_checks import findings_in
from bwlib.pbx.asterisk_files import Files, LocalFiles, OwnFiles
from bwlib.pbx.asterisk_log import complaints_of_files, read_log_since, refused_since_reload
from bwlib.pbx.asterisk_read import (
    Step,
    extension_from,
    identifies_from,
    inbound_extension_from,
    registrations_from,
    route_from,
    settings_from_ami,
    settings_from_text,
    steps_from_ami,
    steps_from_text,
    trunk_from,
)
from bwlib.pbx.state import MediaCount, PbxState

log = logging.getLogger(__name__)

PJSIP, DIALPLAN = "pjsip.conf", "extensions.conf"
# Each of them keeps objects of its own from pjsip.conf.
RELOADED = ("res_pjsip.so", "res_pjsip_endpoint_identifier_ip.so", "res_pjsip_outbound_registration.so")
LOG_SETTLE_S = 0.3  # its log is written by a thread of its own
# One that we took out of the files runs on until the next apply; it is known by its context.
OWN_CONTEXTS = (asterisk_text.INBOUND_CONTEXT, asterisk_text.outbound_context(""))


class AsteriskPbx:
    """A `bwlib.pbx.Pbx`.

    config_dir: Asterisk's astetcdir; `Files` of another machine, when it is there. ami_*: a manager user with the write
    classes system, command, config, reporting. site: whose objects are ours; those that another site wrote are not,
    those that name no site are. origin: where this Asterisk came from, for the record. tunnel: leads to the manager
    interface. host: what a transport on every address is named by, the AMI's host when left out. Every method opens its
    own manager connection.
    """

    def __init__(
        self,
        config_dir: Path | Files,
        ami_host: str,
        ami_port: int,
        ami_user: str,
        ami_secret: SecretStr,
        site: str = "",
        origin: str = "",
        tunnel: Tunnel | None = None,
        host: str = "",
    ) -> None:
        if site:
            checks.check_name("site", site)
        self._site = site
        self._directory = LocalFiles(config_dir) if isinstance(config_dir, Path) else config_dir
        self._files = OwnFiles(self._directory)
        self._ami_address = (ami_host, ami_port)
        self._ami_login = (ami_user, ami_secret)
        self._origin = origin
        self._tunnel = tunnel
        self._host = host or ami_host

    def info(self) -> PbxInfo:
        """Version, and the address of the first UDP transport; an unspecified one is named by the machine."""
        with self._ami() as ami:
            version = ami.action("CoreSettings").fields.get("AsteriskVersion", "")
            transports = "\n".join(ami.command("pjsip show transports"))
        bound = re.search(r"Transport:\s+\S+\s+udp\s+\S+\s+\S+\s+(\S+):(\d+)", transports)
        if bound is None:
            raise PbxRefused(
                "find the address on which Asterisk listens for SIP",
                "no UDP transport in `pjsip show transports`",
                "add a section with type=transport, protocol=udp and bind= to pjsip.conf",
            )
        host = self._host if bound[1] == "0.0.0.0" else bound[1]  # noqa: S104 - compared, not bound
        return PbxInfo("Asterisk", version, host, int(bound[2]), self._origin)

    def identity(self) -> Mapping[str, str]:
        """Where its configuration is, and the host of its manager interface (its port may change)."""
        return {**self._directory.identity(), "ami_host": self._ami_address[0]}

    def check_put(self, thing: Trunk | OutboundRoute | Extension) -> None:
        """Raise what `put_*` would raise; write nothing.

        For a trunk also PbxRefused when the person's PBX takes the same source addresses for somebody else's calls, or
        has an inbound context of the name of ours.
        """
        if isinstance(thing, Trunk):
            checks.check_trunk(thing)
            self._refuse_if_others("trunk", thing.name, "write")
            self._refuse_unless_inbound_is_free(thing)
        elif isinstance(thing, OutboundRoute):
            checks.check_route(thing)
            self._refuse_if_others("route", thing.name, "write")
        else:
            checks.check_extension(thing)
            self._refuse_if_others("extension", thing.number, "write")

    # ---------------------------------------------------------------- trunk

    def get_trunk(self, name: str) -> Trunk | None:
        """The trunk as it is in force, its password included (the manager interface says it)."""
        checks.check_name("trunk", name)
        with self._ami() as ami:
            endpoint = ami.action("PJSIPShowEndpoint", Endpoint=name)
            steps = _dialplan(ami, asterisk_text.INBOUND_CONTEXT)
            registrations = ami.action("PJSIPShowRegistrationsOutbound").events
        if not endpoint.ok:
            _refuse_unless_absent(endpoint.message, f"endpoint {name}")
            return None
        settings = settings_from_ami(endpoint.events)
        auth = settings.get("endpoint", {}).get("outbound_auth") or None
        registers = any(event.get("OutboundAuth") == auth for event in registrations if auth)
        return trunk_from(name, settings, inbound_extension_from(name, steps), registers)

    def put_trunk(self, trunk: Trunk) -> None:
        """Write it. Raises what `check_put` raises."""
        pjsip, dialplan = asterisk_text.trunk_pjsip(trunk), asterisk_text.trunk_dialplan(trunk)
        self._put(trunk, ("trunk", trunk.name), pjsip, dialplan)

    def delete_trunk(self, name: str) -> None:
        """Take ours out; PbxRefused when it is somebody else's."""
        self._delete("trunk", name)

    # ---------------------------------------------------------------- route

    def get_route(self, name: str) -> OutboundRoute | None:
        """The route as the running dialplan has it."""
        checks.check_name("route", name)
        with self._ami() as ami:
            return route_from(name, _dialplan(ami, asterisk_text.outbound_context(name)))

    def put_route(self, route: OutboundRoute) -> None:
        """Write it. Raises PbxRefused when somebody else's context has its name."""
        self._put(route, ("route", route.name), None, asterisk_text.route_dialplan(route))

    def delete_route(self, name: str) -> None:
        """Take ours out; PbxRefused when it is somebody else's."""
        self._delete("route", name)

    # ---------------------------------------------------------------- extension

    def get_extension(self, number: str) -> Extension | None:
        """The extension as it is in force, its secret included. One of another owner has its own context as route."""
        checks.check_name("extension", number)
        with self._ami() as ami:
            endpoint = ami.action("PJSIPShowEndpoint", Endpoint=number)
        if not endpoint.ok:
            _refuse_unless_absent(endpoint.message, f"endpoint {number}")
            return None
        return extension_from(number, settings_from_ami(endpoint.events))

    def put_extension(self, extension: Extension) -> None:
        """Write it. Raises PbxRefused when the number is taken."""
        self._put(extension, ("extension", extension.number), asterisk_text.extension_pjsip(extension), None)

    def delete_extension(self, number: str) -> None:
        """Take ours out; PbxRefused when it is somebody else's."""
        self._delete("extension", number)

    # ---------------------------------------------------------------- the whole

    def owner(self, kind: Kind, name: str) -> Owner | None:
        """ "ours": in our files. "other": another site's, in the person's files, or running and not of our making."""
        checks.check_name(kind, name)
        block = self._files.blocks(DIALPLAN if kind == "route" else PJSIP).get((kind, name))
        if block is not None:
            return "ours" if block.site in ("", self._site) else "other"
        if kind == "route":
            return "other" if asterisk_text.outbound_context(name) in self._files.persons_sections(DIALPLAN) else None
        # an endpoint and its auth live in one namespace with the other kind's
        if {name, f"{name}-auth"} & (self._own_sections() | self._files.persons_sections(PJSIP)):
            return "other"
        with self._ami() as ami:
            context = _context_of(ami, name)
        return None if context is None or context.startswith(OWN_CONTEXTS) else "other"

    def apply(self) -> None:
        """Reload, then compare what is in force with what our files say. Raises PbxRefused when they differ."""
        before = datetime.now(UTC)
        self.reload()
        different = self._not_taken_up()
        if different:
            said = complaints_of_files(self.log_since(before))
            raise PbxRefused(
                "reload Asterisk's configuration",
                "; ".join([f"not in force as written: {', '.join(different)}", *(f"its log: {line}" for line in said)]),
                "mend what its log complains of, or read that log for the reason, then apply again",
            )

    def reload(self) -> None:
        """Have it read its files again, whoever wrote them; what it thinks of them is in its log."""
        with self._ami() as ami:
            said = [line for module in RELOADED for line in ami.command(f"module reload {module}")]
            said += ami.command("dialplan reload")
        log.info("Asterisk: %s", " / ".join(filter(None, said)))

    def reload_and_listen(self) -> None:
        """Reload. Raises: PbxRefused with what Asterisk's log then says against its files, if it can be read."""
        before = datetime.now(UTC)
        self.reload()
        time.sleep(LOG_SETTLE_S)
        said = complaints_of_files(self.log_since(before))
        if said:
            raise PbxRefused("have Asterisk read its files", f"its log: {'; '.join(said)}", "mend that, and reload")

    def registrations(self) -> list[Registration]:
        """name, registrar and state of each outbound registration of this Asterisk."""
        with self._ami() as ami:
            return registrations_from(ami.action("PJSIPShowRegistrationsOutbound").events)

    def findings(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> list[Finding]:
        """The traps of a trunk written by hand."""
        state = self.state(trunk.name, extension.number, "")
        return findings_in(state, self.registrations(), trunk, PJSIP)

    # ---------------------------------------------------------------- evidence, read only

    def state(self, trunk: str, extension: str, dialled: str, context: str = "") -> PbxState:
        """What is running and bears on a call of this extension over this trunk; context "" for the extension's own.

        What the manager user may not read is in `unknown`, never an error.
        """
        checks.check_name("trunk", trunk)
        checks.check_name("extension", extension)
        with self._ami() as ami:
            state = asterisk_state.read_state(ami, trunk, extension, dialled, context, self._local_folder())
            return replace(state, refused=refused_since_reload(ami, self._directory, state.reloaded_at))

    def media(self) -> tuple[MediaCount, ...]:
        """RTP of each channel, to be asked in the middle of a call."""
        with self._ami() as ami:
            return asterisk_state.read_media(ami)

    def watch(self, settle_s: float = 1.0) -> AmiWatch:
        """A context manager that collects the events of what happens in its block. Never an error; see `AmiWatch`."""
        return AmiWatch(self._ami, settle_s)

    def log_since(self, when: datetime) -> tuple[str, ...]:
        """What Asterisk's log says since then (with a time zone), secrets masked; () when it cannot be read."""
        try:
            with self._ami() as ami:
                return read_log_since(ami, self._directory, when)
        except PbxError:
            return ()

    def _local_folder(self) -> Path | None:
        return Path(self._directory.directory) if isinstance(self._directory, LocalFiles) else None

    def snapshot(self) -> dict[str, str]:
        """pjsip.conf, extensions.conf and our files of the same names; secrets masked."""
        return self._files.snapshot()

    def settings_sheet(self, trunk: Trunk, route: OutboundRoute, extension: Extension) -> str:
        """The lines for pjsip.conf and extensions.conf, without the secrets."""
        return by_hand.settings_sheet("asterisk", trunk, route, extension)

    # ---------------------------------------------------------------- how

    def _ami(self) -> Ami:
        return Ami(*self._ami_address, *self._ami_login, tunnel=self._tunnel)

    def _own_sections(self) -> set[str]:
        texts = [block.text for block in self._files.blocks(PJSIP).values()]
        return {section for text in texts for section in re.findall(r"^\[(.+)\]", text, re.MULTILINE)}

    def _put(
        self,
        thing: Trunk | OutboundRoute | Extension,
        key: asterisk_text.Key,
        pjsip: str | None,
        dialplan: str | None,
    ) -> None:
        with self._directory.locked():
            self.check_put(thing)
            for file, text in ((PJSIP, pjsip), (DIALPLAN, dialplan)):
                if text is not None:
                    self._write(file, {**self._files.blocks(file), key: asterisk_text.Block(text, self._site)})

    def _delete(self, kind: Kind, name: str) -> None:
        with self._directory.locked():
            self._refuse_if_others(kind, name, "delete")
            for file in (PJSIP, DIALPLAN):
                blocks = self._files.blocks(file)
                if blocks.pop((kind, name), None) is not None:
                    self._write(file, blocks)

    def _write(self, file: str, blocks: dict[asterisk_text.Key, asterisk_text.Block]) -> None:
        head = ""
        if file == DIALPLAN:
            head = asterisk_text.HEAD_DIALPLAN
            if any(kind == "trunk" for kind, _ in blocks):
                head += "\n" + asterisk_text.inbound_dialplan(asterisk_text.inbound_extensions(blocks))
        self._files.write(file, blocks, head)

    def _refuse_if_others(self, kind: Kind, name: str, verb: str) -> None:
        if self.owner(kind, name) == "other":
            block = self._files.blocks(DIALPLAN if kind == "route" else PJSIP).get((kind, name))
            whose = f"belongs to the site {block.site}" if block else "was not written by this program"
            raise PbxRefused(
                f"{verb} the {kind} {name!r}",
                f"there is the {kind} {name} already, which {whose}; it was left as it is",
                f"choose another name or number as pbx.{kind} in the site file",
            )

    def _refuse_unless_inbound_is_free(self, trunk: Trunk) -> None:
        """Asterisk picks an endpoint by the source address: two that admit one address must lead to the same place."""
        attempted = f"write the trunk {trunk.name!r}"
        if asterisk_text.INBOUND_CONTEXT in self._files.persons_sections(DIALPLAN):
            raise PbxRefused(
                attempted,
                f"the PBX's own extensions.conf has a context {asterisk_text.INBOUND_CONTEXT}, which must hold nothing "
                "but what this program writes",
                "give that context another name",
            )
        wanted, ours = [ipaddress.ip_network(address) for address in trunk.bandwidth_ips], self._own_sections()
        with self._ami() as ami:
            for identify, endpoint, networks in identifies_from(ami.command("pjsip show identifies")):
                both = [str(network) for network in networks if any(map(network.overlaps, wanted))]
                context = _context_of(ami, endpoint) if both and identify not in ours else None
                if context is not None and not context.startswith(OWN_CONTEXTS):
                    raise PbxRefused(
                        attempted,
                        f"calls from {', '.join(both)} are taken for the endpoint {endpoint!r} already, "
                        f"by the identify {identify!r}, which was not written by this program",
                        f"take the address out of {identify!r}, or give others as pbx.bandwidth_ips in the site file",
                    )

    def _not_taken_up(self) -> list[str]:
        pjsip, dialplan = self._files.blocks(PJSIP), self._files.blocks(DIALPLAN)
        different: list[str] = []
        inbound = asterisk_text.inbound_extensions(dialplan)
        for (kind, name), block in [*pjsip.items(), *(item for item in dialplan.items() if item[0][0] == "route")]:
            wanted: Trunk | OutboundRoute | Extension | None
            found: Trunk | OutboundRoute | Extension | None
            if kind == "trunk":
                settings = settings_from_text(block.text)
                wanted = trunk_from(name, settings, inbound.get(name), "registration" in settings)
                found = self.get_trunk(name)
            elif kind == "route":
                wanted = route_from(name, steps_from_text(block.text, asterisk_text.outbound_context(name)))
                found = self.get_route(name)
            else:
                wanted, found = extension_from(name, settings_from_text(block.text)), self.get_extension(name)
            if wanted != found:
                of_site = f" of site {block.site}" if block.site not in ("", self._site) else ""
                different.append(f"{kind} {name}{of_site} ({_differing(wanted, found)})")
        return different


def _dialplan(ami: Ami, context: str) -> list[Step]:
    """The context's steps; an absent context has none."""
    answer = ami.action("ShowDialPlan", Context=context)
    if not answer.ok:
        _refuse_unless_absent(answer.message, f"context {context}")
    return steps_from_ami(answer.events)


def _context_of(ami: Ami, endpoint: str) -> str | None:
    """The context of a running endpoint, None when there is none of that name."""
    answer = ami.action("PJSIPShowEndpoint", Endpoint=endpoint)
    return settings_from_ami(answer.events).get("endpoint", {}).get("context", "") if answer.ok else None


def _refuse_unless_absent(message: str, what: str) -> None:
    """Asterisk says that it has no such object: fine. Any other refusal is an error, never "absent"."""
    if not message.startswith(("Unable to retrieve endpoint", "Did not find context")):
        raise PbxRefused(
            f"read {what} from Asterisk",
            message or "refused without a reason",
            "give the manager user the write classes system, command, config and reporting in manager.conf",
        )


def _differing(wanted: object, found: object) -> str:
    """Names of the fields that differ, never their values: some are secrets."""
    if wanted is None or found is None:
        return "absent"
    names = [field.name for field in fields(wanted)]  # type: ignore[arg-type]
    return ", ".join(name for name in names if getattr(wanted, name) != getattr(found, name))
