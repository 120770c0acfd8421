"""What FreePBX makes of its database at Apply Config, put into a real Asterisk: so that the stand-in can be called.

The shapes of endpoint, auth, aor, identify and registration are those of the files that a FreePBX 17 generated
(tests/freepbx/generated). The dialplan is much shorter than FreePBX's own and does in the same order what decides a
call: the trunk's caller id first, then the extension's, Force Trunk CID above both; the pattern's prefix off, its
prepend on; an inbound call reaches an inbound route of its number, or nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from freepbx_stand_in import FreePbx

from bwlib.pbx.ami import Ami
from bwlib.sandbox.pbx import PbxStage

FILES = {"pjsip.conf": "freepbx_pjsip.conf", "extensions.conf": "freepbx_extensions.conf"}


@dataclass(frozen=True)
class Applied:
    """`apply` is for the stand-in's Apply Config. transport: the name of the Asterisk's own, for FreePBX's 0.0.0.0."""

    stage: PbxStage

    def include(self) -> None:
        """Once, before Asterisk starts."""
        for person, ours in FILES.items():
            path = self.stage.config_dir / person
            path.write_text(f"{path.read_text()}\n#include {ours}\n")
            (self.stage.config_dir / ours).write_text("")

    def apply(self, pbx: FreePbx) -> None:
        """Write both files and let Asterisk read them. Raises when Asterisk does not answer."""
        for person, text in (("pjsip.conf", pjsip(pbx)), ("extensions.conf", dialplan(pbx))):
            (self.stage.config_dir / FILES[person]).write_text(text)
        with Ami(self.stage.ami_host, self.stage.ami_port, self.stage.ami_user, self.stage.ami_secret) as ami:
            for module in ("res_pjsip", "res_pjsip_outbound_registration", "pbx_config"):
                ami.action("Reload", Module=module)


def _section(name: str, kind: str, **values: str) -> str:
    lines = [f"{key}={value}" for key, value in values.items() if value]
    return "\n".join([f"[{name}]", f"type={kind}", *lines, ""])


def pjsip(pbx: FreePbx) -> str:
    """pjsip.endpoint.conf, .auth, .aor, .identify and .registration in one."""
    parts = [part for one in pbx.trunks.values() if one.get("disabletrunk") != "on" for part in _trunk(one)]
    for number, one in pbx.extensions.items():
        parts += [
            _section(
                number, "endpoint", aors=number, auth=f"{number}-auth", allow="ulaw,alaw,gsm,g726,g722",
                context=one["devinfo_context"], callerid=f"{one['name']} <{number}>", dtmf_mode="rfc4733",
                direct_media="no", rtp_symmetric="yes", rewrite_contact="yes", force_rport="yes",
            ),
            _section(
                f"{number}-auth", "auth", auth_type="userpass", password=one["devinfo_secret"], username=number
            ),
            _section(number, "aor", max_contacts="1", remove_existing="yes"),
        ]  # fmt: skip
    return "\n".join(parts)


def _trunk(one: dict[str, str]) -> list[str]:
    name, server = one["trunk_name"], one["sip_server"]
    port = f":{one['sip_server_port']}" if one.get("sip_server_port") else ""
    proxy = one.get("outbound_proxy", "")
    contact = one.get("aor_contact") or f"sip:{one['username']}@{server}{port}"
    challenges = one["authentication"] in ("inbound", "both")
    asked = one["authentication"] in ("outbound", "both")
    pai = one.get("sendrpid") in ("pai", "both")
    parts = [
        _section(
            name, "endpoint", context=one["context"], disallow="all", allow=one["codec"], aors=name,
            outbound_auth=name if asked else "", auth=name if challenges else "", from_domain=one["from_domain"],
            from_user=one["from_user"], outbound_proxy=proxy, send_pai="yes" if pai else "no", direct_media="no",
            rtp_symmetric="yes", dtmf_mode=one["dtmfmode"],
        ),
        _section(
            name, "auth", auth_type="userpass", password=one["secret"],
            username=one.get("auth_username") or one["username"] or name,
        ),
        _section(name, "aor", qualify_frequency=one["qualify_frequency"], contact=contact, outbound_proxy=proxy),
        _section(name, "identify", endpoint=name, match=one.get("match") or server),
    ]  # fmt: skip
    if one["registration"] == "send":
        parts.append(
            _section(
                name, "registration", outbound_auth=name, client_uri=f"sip:{one['username']}@{server}{port}",
                server_uri=f"sip:{server}{port}", outbound_proxy=proxy,
            )
        )  # fmt: skip
    return parts


def dialplan(pbx: FreePbx) -> str:
    """from-internal (phones: each other, then the outbound routes in their order) and from-pstn (inbound routes)."""
    ordered = sorted(pbx.routes.items(), key=lambda item: int(item[1].get("route_seq") or 0))
    lines = ["[from-internal]", "include => from-did-direct", *(f"include => outrt-{key}" for key, _ in ordered)]
    lines += ["[from-did-direct]"]
    for number in pbx.extensions:
        lines += [f"exten => {number},1,Dial(PJSIP/{number},30)", " same => n,Hangup()"]
    for key, route in ordered:
        lines += [f"[outrt-{key}]", *_route(pbx, route)]
    lines += ["[from-pstn]"]
    for one in pbx.dids.values():
        if one["destination"]:
            lines += [f"exten => {one['extension'] or '_X.'},1,Goto({one['destination']})"]
    return "\n".join(lines) + "\n"


def _route(pbx: FreePbx, route: dict[str, str]) -> list[str]:
    lines: list[str] = []
    trunks = [pbx.trunks[key] for key in route["trunkpriority"].split(",") if key in pbx.trunks]
    for row in json.loads(route["dialpatterndata"]):
        cut, prepend = len(row["pattern_prefix"]), row["prepend_digit"]
        lines += [f"exten => _{row['pattern_prefix']}{row['pattern_pass']},1,NoOp({route['routename']})"]
        for trunk in trunks:
            lines += [f" same => n,Set(CALLERID(num)={number})" for number in _caller_ids(pbx, trunk)]
            lines += [f" same => n,Dial(PJSIP/{prepend}${{EXTEN:{cut}}}@{trunk['trunk_name']},300)"]
        lines += [" same => n,Hangup()"]
    return lines


def _caller_ids(pbx: FreePbx, trunk: dict[str, str]) -> list[str]:
    """The trunk's, then that of the extension that calls, which overwrites it; Force Trunk CID beats both."""
    own = [trunk["outcid"].rpartition("<")[2].rstrip(">")] if trunk["outcid"] else []
    theirs = [one["outboundcid"] for one in pbx.extensions.values() if one.get("outboundcid")]
    return own if trunk.get("keepcid") == "all" else [*own, *theirs]
