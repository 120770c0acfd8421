"""The traps of FreePBX, found by name; and what its generated configuration says of the same trunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from freepbx_asterisk import pjsip
from freepbx_site import A_ROUTE, A_TRUNK, ALL, AN_EXTENSION, GUIDE, adapter
from freepbx_stand_in import FreePbx, freepbx
from pydantic import SecretStr

from bwlib.models import Finding, Trunk
from bwlib.pbx.freepbx_generated import external_address_finding, generated_trunk, sections_of
from bwlib.steps.compare import differences
from bwlib.steps.pbx import ensure_on_pbx

GENERATED = {
    path.name: path.read_text(encoding="utf-8")
    for path in (Path(__file__).parent / "freepbx" / "generated").glob("*.conf")
}


def found_after(spoil: Callable[[FreePbx], object], trunk: Trunk = A_TRUNK) -> list[Finding]:
    """What is found on a FreePBX that was set up rightly and then spoiled."""
    with freepbx() as (state, url):
        pbx = adapter(url)
        for kind, wanted in ALL:
            ensure_on_pbx(pbx, kind, wanted)
        posted = len(state.posted)
        spoil(state)
        found = pbx.findings(trunk, A_ROUTE, AN_EXTENSION)
        assert len(state.posted) == posted, "a look writes nothing"
    return found


def on_trunk(**values: str) -> Callable[[FreePbx], object]:
    return lambda state: state.trunks["1"].update(values)


def second_trunk(state: FreePbx) -> None:
    state.trunks["2"] = dict(state.trunks["1"])


def route_before(state: FreePbx) -> None:
    other = {**state.routes["1"], "routename": "local", "route_seq": "0"}
    state.routes["1"]["route_seq"] = "1"
    state.routes["2"] = other


SENTENCE = "We were unable to find the address"
TRAPS: list[tuple[str, Callable[[FreePbx], object], str, str]] = [
    ("external address", lambda state: state.sip.update(externip=SENTENCE), "c=IN IP4 (null)", SENTENCE),
    ("port 5060", on_trunk(sip_server_port="5060"), "switches DNS SRV off, and the realm", "SIP Server Port: 5060"),
    ("another port", on_trunk(sip_server_port="5072"), "when the realm's port changes", "SIP Server Port: 5072"),
    ("qualify", on_trunk(qualify_frequency="60"), "sends no INVITE at all", "Qualify Frequency: 60 s"),
    ("outbound CID", lambda state: state.extensions["101"].update(outboundcid="+1202"), "beats the trunk's", "+1202"),
    ("user name", on_trunk(username="pbx@acme"), "malformed", "Username: pbx@acme"),
    ("two trunks", second_trunk, "2 trunks named bandwidth", "trunk id 2"),
    ("video", on_trunk(codec="ulaw,alaw,h264,mpeg4"), "offers video", "h264,mpeg4"),
    ("reload", lambda state: setattr(state, "reload_due", True), "waits for Apply Config", "asks for Apply Config"),
    ("registration", on_trunk(registration="send"), "Registration is left on", "Registration: send"),
    ("authentication", on_trunk(authentication="both"), "asked for a password", "Authentication: both"),
    ("switched off", on_trunk(disabletrunk="on"), "switched off", "Disable Trunk: Yes"),
    ("context", on_trunk(context="from-internal"), "toll fraud", "Context: from-internal"),
    (
        "leads out",
        lambda state: state.by_hand("did", "/", extension="", destination="ext-trunk,1,1"),
        "leads out of the PBX",
        "ext-trunk,1,1",
    ),
    ("another route", route_before, "takes the calls before", "route local"),
    ("anonymous", lambda state: state.sip.update(allowanon="Yes"), "Anyone on the internet", "Anonymous"),
]


@pytest.mark.parametrize(("spoil", "cause", "evidence"), [t[1:] for t in TRAPS], ids=[t[0] for t in TRAPS])
def test_each_trap_is_one_finding_with_evidence_and_a_fix(
    spoil: Callable[[FreePbx], object], cause: str, evidence: str
) -> None:
    found = [one for one in found_after(spoil) if cause in one.cause]
    assert len(found) == 1
    assert evidence in " ".join(found[0].evidence)
    assert "Apply Config" in found[0].fix


def test_a_pbx_that_is_as_the_guide_wants_it_has_no_finding() -> None:
    assert found_after(lambda state: None) == []


def test_force_trunk_cid_makes_an_outbound_cid_harmless() -> None:
    def spoil(state: FreePbx) -> None:
        state.extensions["101"]["outboundcid"] = "+1202"
        state.trunks["1"]["keepcid"] = "all"

    assert found_after(spoil) == []


def test_an_inbound_route_that_leads_out_matters_only_to_callers_without_a_password() -> None:
    closed = replace(A_TRUNK, bandwidth_ips=(), inbound_extension=None)

    def spoil(state: FreePbx) -> None:
        state.by_hand("did", "/", extension="", destination="ext-trunk,1,1")

    assert found_after(spoil, closed) == []


def test_what_is_not_there_at_all_is_no_trap() -> None:
    with freepbx() as (_, url):
        assert adapter(url).findings(A_TRUNK, A_ROUTE, AN_EXTENSION) == []


def test_a_limited_administrator_sees_no_sip_settings_and_that_is_no_finding() -> None:
    def spoil(state: FreePbx) -> None:
        state.sip.clear()

    assert found_after(spoil) == []


# ---------------------------------------------------------------- the generated configuration


def wanted_there() -> Trunk:
    realm = "demo-realm.sip.example.net"
    return replace(
        A_TRUNK,
        name="Bandwidth",
        server=realm,
        from_domain=realm,
        username="fakeuser",
        password=SecretStr("made-up-for-the-test"),
        bandwidth_ips=(realm,),
        inbound_extension=None,
    )


def test_the_generated_files_are_the_same_host_user_authentication_and_from_domain() -> None:
    found = generated_trunk("Bandwidth", GENERATED, outcid=f'"Site" <{GUIDE["outcid"]}>')
    assert found is not None
    wanted = wanted_there()
    for name in ("server", "port", "username", "password", "from_domain", "from_user", "registration", "qualify_s"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert sections_of(GENERATED)["endpoint", "Bandwidth"]["outbound_auth"] == "Bandwidth"


def test_their_video_codecs_auto_dtmf_and_pai_are_differences() -> None:
    found = generated_trunk("Bandwidth", GENERATED, outcid=GUIDE["outcid"])
    rows = {row.field: row.found for row in differences(found, wanted_there(), [one.name for one in fields(Trunk)])}
    assert set(rows) == {"codecs", "dtmf", "send_pai"}
    assert "h264" in rows["codecs"]
    assert "mpeg4" in rows["codecs"]
    assert (rows["dtmf"], rows["send_pai"]) == ("auto", "True")


def test_a_registration_or_a_password_wanted_of_callers_is_seen_in_the_generated_files() -> None:
    more = {
        **GENERATED,
        "pjsip.registration.conf": "[Bandwidth]\ntype=registration\nserver_uri=sip:demo-realm.sip.example.net\n",
        "pjsip.endpoint.conf": GENERATED["pjsip.endpoint.conf"].replace(
            "type=endpoint", "type=endpoint\nauth=Bandwidth"
        ),
    }
    found = generated_trunk("Bandwidth", more)
    assert found is not None
    assert (found.registration, found.bandwidth_ips) == (True, ())


def test_a_trunk_that_was_not_generated_is_none() -> None:
    assert generated_trunk("Other", GENERATED) is None


def test_a_sentence_for_an_address_is_found_in_the_generated_transport() -> None:
    assert external_address_finding(GENERATED) is None
    spoiled = {name: text.replace("203.0.113.5", SENTENCE) for name, text in GENERATED.items()}
    finding = external_address_finding(spoiled)
    assert finding is not None
    assert SENTENCE in finding.evidence[0]


def test_what_the_stand_in_makes_of_our_fields_for_asterisk_is_the_trunk_that_was_wanted() -> None:
    """The calls of test_freepbx_end_to_end go over it: it must not flatter, and has the shape of FreePBX's own."""
    with freepbx() as (state, url):
        for kind, wanted in ALL:
            ensure_on_pbx(adapter(url), kind, wanted)
    made = {"pjsip.conf": pjsip(state)}
    found = generated_trunk("bandwidth", made, outcid=state.trunks["1"]["outcid"])
    assert found == replace(A_TRUNK, inbound_extension=None)
    real = {kind: set(values) for (kind, name), values in sections_of(GENERATED).items() if name == "Bandwidth"}
    ours = {kind: set(values) for (kind, name), values in sections_of(made).items() if name == "bandwidth"}
    assert set(ours) == set(real) == {"endpoint", "auth", "aor", "identify"}
    assert {kind: ours[kind] - real[kind] for kind in ours if ours[kind] - real[kind]} == {}
