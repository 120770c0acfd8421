"""What can be broken on a sandbox, as one table: each break is put in, and mended, as a person would do it.

    stage = open_stage(settings, sandbox, seed)
    BY_NAME["wrong-password"].put_in(stage)

Each works on a site that has walked the guide. Values (passwords, digits, ports, names) come from the stage's random
source, so that two trainees never have the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bwlib.training import bandwidth_breaks as at_bandwidth
from bwlib.training import pbx_breaks as at_pbx
from bwlib.training.config_edits import Edit
from bwlib.training.stage import Stage, change_file, mend_file

Fails = Literal["outward", "inward", "registration", "api", "field", "no-phone"]


@dataclass(frozen=True)
class Break:
    """said: what is wrong, one sentence, for the trainer and the certificate.

    fails: which calls are not heard; "registration": the PBX registers; "api": what writes is refused; "field": only
    reading it back shows it; "no-phone": a call rings nobody while the phone is away. lab: whether the scripted phone
    lets it be a lab. in_memory: it ends with the sandbox.
    """

    name: str
    said: str
    where: Literal["pbx", "dashboard", "network"]
    put_in: Callable[[Stage], None]
    mend: Callable[[Stage], None]
    fails: tuple[Fails, ...]
    lab: bool = True
    in_memory: bool = False


def _file(
    name: str, said: str, edit: Callable[[Stage], Edit], *fails: Fails, file: str = at_pbx.OURS, lab: bool = True
) -> Break:
    """A break that is an edit of one of the PBX's files."""

    def put_in(stage: Stage) -> None:
        change_file(stage, name, edit(stage), file)

    return Break(name, said, "pbx", put_in, partial(_mend_file, name), fails, lab)


def _mend_file(name: str, stage: Stage) -> None:
    mend_file(stage, name)


def _dialplan(name: str, said: str, edit: Callable[[Stage], Edit], *fails: Fails) -> Break:
    return _file(name, said, edit, *fails, file=at_pbx.OUR_DIALPLAN)


def _fault(name: str, said: str, fault: str, *fails: Fails, value: str = "", **match: str) -> Break:
    """A break that is a fault of the sandbox, on until it is switched off."""

    def put_in(stage: Stage) -> None:
        stage.sandbox.switch_fault_on(fault, value=value or None, match=match)

    def mend(stage: Stage) -> None:
        for each in stage.sandbox.faults():
            if each["name"] == fault and each["match"] == match:
                stage.sandbox.switch_faults_off(each["id"])

    return Break(name, said, "network", put_in, mend, fails, in_memory=True)


def _account(
    name: str, said: str, acts: tuple[at_bandwidth.Act, at_bandwidth.Act], *fails: Fails, lab: bool = True
) -> Break:
    return Break(name, said, "dashboard", *acts, fails, lab)


def _application(
    name: str, said: str, fields: Callable[[Stage], dict[str, object]], *fails: Fails, lab: bool = True
) -> Break:
    return _account(name, said, at_bandwidth.application_with(name, fields), *fails, lab=lab)


BREAKS: tuple[Break, ...] = (
    # ---------------------------------------------------------------- PBX: the trunk
    _file("wrong-password", "The trunk's password is not the SIP credential's.", at_pbx.wrong_password, "outward"),
    _file("wrong-username", "The trunk's user name is misspelt.", at_pbx.wrong_username, "outward"),
    _file(
        "pinned-realm",
        "The trunk's auth is pinned to the realm's short name, and the challenge names the full one.",
        at_pbx.pinned_realm,
        "outward",
    ),
    _file(
        "no-outbound-auth",
        "The trunk has no outbound_auth: it never answers the challenge.",
        at_pbx.no_outbound_auth,
        "outward",
    ),
    _file(
        "wrong-realm-host",
        "The trunk calls another realm's host than the one that holds its credential.",
        at_pbx.wrong_realm_host,
        "outward",
    ),
    _file(
        "foreign-caller-id",
        "The trunk's From user is not a number of the account in +E.164.",
        at_pbx.foreign_caller_id,
        "outward",
    ),
    _file("codec-mismatch", "The trunk offers G.722 only.", at_pbx.codec_mismatch, "outward", "inward"),
    _file(
        "dead-port",
        "The trunk's outbound proxy names a port on which nobody listens.",
        at_pbx.dead_port,
        "outward",
    ),
    Break(
        "qualify-dead",
        "The trunk's outbound proxy names a dead port, and qualify has marked the contact as unreachable.",
        "pbx",
        at_pbx.put_in_qualify_dead,
        partial(_mend_file, "qualify-dead"),
        ("outward",),
    ),
    _file(
        "realm-unresolved",
        "The trunk has no outbound proxy, and the realm's name does not resolve.",
        at_pbx.without_proxy,
        "outward",
    ),
    Break(
        "realm-unresolved-qualified",
        "The realm's name does not resolve, and qualify has marked the contact as unreachable.",
        "pbx",
        at_pbx.put_in_realm_unresolved_qualified,
        partial(_mend_file, "realm-unresolved-qualified"),
        ("outward",),
    ),
    _file(
        "registration-on",
        "The trunk registers at the realm, which takes no registrations.",
        at_pbx.registration_on,
        "registration",
    ),
    _file(
        "registration-silent",
        "The trunk registers at an address that never answers.",
        at_pbx.registration_silent,
        "registration",
    ),
    _file("no-identify", "Nothing admits Bandwidth's addresses at the PBX.", at_pbx.no_identify, "inward"),
    _file("wrong-identify", "The PBX admits another address than Bandwidth's.", at_pbx.wrong_identify, "inward"),
    _file("dtmf-info", "The trunk sends digits as SIP INFO.", at_pbx.dtmf_info, "outward", "inward"),
    Break(
        "nat-address",
        "The trunk's SDP names an address that nobody can reach.",
        "pbx",
        at_pbx.put_in_nat_address,
        at_pbx.mend_nat_address,
        ("outward", "inward"),
    ),
    Break(
        "reload-pending",
        "The files are right, but Asterisk has not read them since: what runs has a wrong password.",
        "pbx",
        at_pbx.put_in_reload_pending,
        partial(_mend_file, "reload-pending"),
        ("outward",),
        in_memory=True,
    ),
    # ---------------------------------------------------------------- PBX: route and extension
    _dialplan(
        "unknown-inbound",
        "The inbound context knows another number than the extension.",
        at_pbx.unknown_inbound,
        "inward",
    ),
    _dialplan("no-route", "The outbound route's pattern does not fit what is dialled.", at_pbx.no_route, "outward"),
    _file("wrong-context", "The extension dials in a context without the route.", at_pbx.wrong_context, "outward"),
    _file(
        "phone-password",
        "The extension's secret on the PBX is not the phone's.",
        at_pbx.phone_password,
        "outward",
        "inward",
    ),
    _file(
        "phone-codec", "The extension takes GSM only, which the phone lacks.", at_pbx.phone_codec, "outward", "inward"
    ),
    _file(
        "extension-unregistered",
        "The extension takes no contact (max_contacts = 0): no phone can register.",
        at_pbx.extension_unregistered,
        "outward",
        "inward",
    ),
    _file(
        "stale-contact",
        "The extension's contact is a phone that is gone.",
        at_pbx.stale_contact,
        "no-phone",
        lab=False,
    ),
    # ---------------------------------------------------------------- the network
    _fault("edge-silent", "No SIP passes between the PBX and the realm.", "sip-silence", "outward", "inward"),
    _fault("rtp-to-pbx-lost", "No RTP arrives at the PBX.", "audio-out-lost", "outward", "inward"),
    _fault("rtp-from-pbx-lost", "No RTP leaves the PBX's network.", "audio-in-lost", "outward", "inward"),
    _fault("digits-lost", "RFC 4733 digits do not pass.", "dtmf-lost", "outward", "inward"),
    _fault(
        "rate-limited",
        "The account's requests are answered 429.",
        "http-status",
        "inward",
        "api",
        value="429",
        path="*/accounts/*",
    ),
    # ---------------------------------------------------------------- the dashboard
    _account(
        "wrong-app-type",
        "The application of this name is a messaging application, and the credential is bound to none.",
        (at_bandwidth.put_in_wrong_app_type, at_bandwidth.mend_wrong_app_type),
        "outward",
        "inward",
        lab=False,
    ),
    _account(
        "unbound-credential",
        "The SIP credential is bound to no application.",
        (at_bandwidth.put_in_unbound, at_bandwidth.mend_unbound),
        "outward",
    ),
    _account(
        "credential-other-application",
        "The SIP credential is bound to another application.",
        (at_bandwidth.put_in_other_application, at_bandwidth.mend_other_application),
        "outward",
    ),
    _account(
        "rotated-password",
        "The SIP credential's password was changed at Bandwidth, the trunk has the old one.",
        (at_bandwidth.put_in_rotated_password, at_bandwidth.mend_rotated_password),
        "outward",
    ),
    _account(
        "realm-pending",
        "The realm was made anew and is not active; its credential went with the old one.",
        (at_bandwidth.put_in_realm_pending, at_bandwidth.mend_realm_pending),
        "outward",
        lab=False,
    ),
    _account(
        "not-entitled",
        "The account is not set up for SIP credentials.",
        at_bandwidth.switch("not-entitled", "sip_entitled", "no"),
        "api",
        lab=False,
    ),
    _account(
        "clock-skew",
        "The clocks differ by an hour, so that every token is stale at once.",
        at_bandwidth.switch("clock-skew", "clock_ahead_s", "3600"),
        "inward",
        "api",
        lab=False,
    ),
    _application("callback-dead", "Nobody listens at the callback URL.", at_bandwidth.dead_url, "outward"),
    _application(
        "callback-path", "The callback URL's path is not the application's.", at_bandwidth.wrong_path, "outward"
    ),
    _application("callback-slow", "The callback URL answers after 20 s.", at_bandwidth.misbehaving("slow"), "outward"),
    _application("callback-500", "The callback URL answers 500.", at_bandwidth.misbehaving("500"), "outward"),
    _application(
        "callback-bad-bxml",
        "The callback URL answers BXML that is not well-formed.",
        at_bandwidth.misbehaving("bad-bxml"),
        "outward",
    ),
    _application("callback-html", "The callback URL answers a web page.", at_bandwidth.misbehaving("html"), "outward"),
    _application(
        "callback-no-challenge",
        "The callback URL answers 401 without WWW-Authenticate, so it is never told the password.",
        at_bandwidth.misbehaving("401"),
        "outward",
    ),
    _application(
        "callback-certificate",
        "The callback URL's certificate is of an authority that nobody trusts.",
        at_bandwidth.misbehaving("certificate"),
        "outward",
    ),
    _application("callback-get", "Callbacks are sent by GET.", at_bandwidth.by_get, "field", lab=False),
    _application(
        "callback-password",
        "The callback password in the application is not the one that its server asks for.",
        at_bandwidth.wrong_password,
        "outward",
    ),
)

BY_NAME: Mapping[str, Break] = {each.name: each for each in BREAKS}
