"""The readers of what a running Asterisk says, on output recorded from Asterisk 22.10 (shortened)."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bwlib.pbx import freepbx_state
from bwlib.pbx.asterisk_log import complaints_of_files, lines_since, without_secrets
from bwlib.pbx.asterisk_options import other_options
from bwlib.pbx.asterisk_pending import dialplan_differences, pjsip_differences, sections_from
from bwlib.pbx.asterisk_read import codecs_from, proxy_from
from bwlib.pbx.asterisk_state import (
    contacts_from,
    dialled_from,
    media_from,
    read_media,
    rtp_ports_from,
    table_from,
    transport_from,
    transport_names_from,
)
from bwlib.pbx.asterisk_state import (
    without_secrets as settings_without_secrets,
)
from bwlib.pbx.state import Contact, MediaCount, Transport

TRANSPORTS = """
Transport:  <TransportId........>  <Type>  <cos>  <tos>  <BindAddress....................>
==========================================================================================

Transport:  transport-udp             udp      0      0  127.0.0.1:33974
Transport:  behind-nat                tcp      0      0  0.0.0.0:5060

Objects found: 2
""".splitlines()

TRANSPORT = """
Transport:  <TransportId........>  <Type>  <cos>  <tos>  <BindAddress....................>
==========================================================================================

Transport:  behind-nat                tcp      0      0  0.0.0.0:5060

ParameterName               : ParameterValue
=============================================
allow_reload                : false
bind                        : 0.0.0.0:5060
external_media_address      : 203.0.113.7
external_signaling_address  : 203.0.113.7
external_signaling_port     : 0
local_net                   : 192.168.0.0/255.255.0.0
local_net                   : 10.0.0.0/255.0.0.0
password                    :
protocol                    : tcp
""".splitlines()

CHANNELSTATS = """
...........Receive......... .........Transmit..........
BridgeId ChannelId ........ UpTime.. Codec.   Count    Lost Pct  Jitter   Count    Lost Pct  Jitter RTT....
===========================================================================================================

ecc9fafb 101-00000000       00:00:01 ulaw      250       3    1   0.000    120K      0    0   0.000   0.000
         bandwidth-00000001 00:00:01 alaw        0       0    0   0.000      0       0    0   0.000   0.000

Objects found: 2
""".splitlines()

ENDPOINT_EVENTS = (
    {"Event": "EndpointDetail", "ObjectType": "endpoint", "ObjectName": "bandwidth", "DtmfMode": "rfc4733"},
    {"Event": "ContactStatusDetail", "AOR": "bandwidth", "URI": "sip:realm.test", "Status": "Unreachable"},
    {"Event": "ContactStatusDetail", "AOR": "101", "URI": "sip:101@127.0.0.3:5070", "Status": "NonQualified"},
    {"Event": "ContactStatusDetail", "AOR": "102", "URI": "sip:102@127.0.0.3:5070", "Status": "Unknown"},
)


def test_contacts_have_the_command_lines_words() -> None:
    assert contacts_from(ENDPOINT_EVENTS) == (
        Contact("bandwidth", "sip:realm.test", "Unavail"),
        Contact("101", "sip:101@127.0.0.3:5070", "NonQual"),
        Contact("102", "sip:102@127.0.0.3:5070", "Unknown"),
    )


def test_a_secret_is_masked_when_set_and_empty_when_not() -> None:
    auth = {"username": "u", "password": "", "md5_cred": "939e7578", "realm": "x", "event": "AuthDetail"}
    kept = {"username": "u", "password": "", "md5_cred": "(not shown)", "realm": "x"}
    assert settings_without_secrets({"auth": auth}) == {"auth": kept}


def test_transports_are_read_by_name_with_their_nat_addresses() -> None:
    assert transport_names_from(TRANSPORTS) == ["transport-udp", "behind-nat"]
    assert transport_from("behind-nat", TRANSPORT) == Transport(
        "behind-nat", "tcp", "0.0.0.0:5060", "203.0.113.7", "203.0.113.7", "192.168.0.0/255.255.0.0,10.0.0.0/255.0.0.0"
    )


def test_packets_are_counted_per_channel_thousands_too() -> None:
    assert media_from(CHANNELSTATS) == (
        MediaCount("101-00000000", "ulaw", 250, 3, 120_000, 0),
        MediaCount("bandwidth-00000001", "alaw", 0, 0, 0, 0),
    )


@pytest.mark.parametrize("before", ["", "         ", "ecc9fafb "])
def test_a_channel_that_is_in_no_bridge_yet_is_counted_too(before: str) -> None:
    line = f"{before}bandwidth-00000001 00:00:00 ulaw        7       0    0   0.000      9       0    0   0.000   0.000"
    assert media_from([line]) == (MediaCount("bandwidth-00000001", "ulaw", 7, 0, 9, 0),)


class TwoLegs:
    """A manager interface while two calls are up on a trunk whose name the table cuts."""

    packets: ClassVar = {"PJSIP/signatures-00000001": ("7", "8"), "PJSIP/signatures-00000002": ("0", "9")}

    def command(self, line: str) -> list[str]:
        row = "signatures-0000000 00:00:01 ulaw  {}       0    0   0.000      5       0    0   0.000   0.000"
        return [row.format(5), row.format(6)]

    def action(self, name: str, **fields: str) -> SimpleNamespace:
        if name == "CoreShowChannels":
            return SimpleNamespace(events=[{"Channel": channel, "Linkedid": channel[-1]} for channel in self.packets])
        received, sent = self.packets[fields["Channel"]]
        told = {"CHANNEL(rtcp,rxcount)": received, "CHANNEL(rtcp,txcount)": sent}
        return SimpleNamespace(fields={"Value": told.get(fields["Variable"], "")})


def test_channels_whose_names_are_cut_alike_are_each_counted_as_what_they_are() -> None:
    ami: Any = TwoLegs()
    assert [(one.channel, one.received, one.sent, one.linked) for one in read_media(ami)] == [
        ("signatures-00000001", 7, 8, "1"), ("signatures-00000002", 0, 9, "2"),
    ]  # fmt: skip


def test_the_ports_of_rtp_are_read() -> None:
    assert rtp_ports_from(["General Settings:", "Port start:      20000", "Port end:        21999"]) == (20000, 21999)
    assert rtp_ports_from(["No such command"]) is None


def step(exten: str, application: str, data: str, priority: str = "1") -> dict[str, str]:
    return {
        "Event": "ListDialplan", "Registrar": "pbx_config", "Context": "office", "Extension": exten,
        "Priority": priority, "Application": application, "AppData": data,
    }  # fmt: skip


def test_the_first_extension_that_matches_is_what_is_dialled() -> None:
    events = [step("_9X", "PJSIP/9", "", "hint"), step("_9X", "Dial", "PJSIP/a"), step("_X!", "Hangup", "")]
    found = dialled_from("91", "office", events)
    assert (found.pattern, found.steps) == ("_9X", ("Dial(PJSIP/a)",))
    nothing = dialled_from("7", "office", [])
    assert (nothing.context_exists, nothing.pattern) == (True, "")


# ---------------------------------------------------------------- by the command line, as of a FreePBX

SHOW_ENDPOINT = """
 Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>
      Contact:  <Aor/ContactUri..........................> <Hash....> <Status> <RTT(ms)..>
==========================================================================================

 Endpoint:  101/101                                              Not in use    0 of inf
     InAuth:  101-auth/101
        Aor:  101                                                1
      Contact:  101/sip:101@192.168.100.100:5060;transport=ud f76868c4da Avail        12.345
   Identify:  101-identify/101
        Match: 127.0.0.2/32

 ParameterName                      : ParameterValue
 ===================================================
 100rel                             : yes
 context                            : from-internal
 media_address                      :
""".splitlines()
BAD_NUMBER = """\
[ Included context 'bad-number' created by 'pbx_config' ]
  '_X.' =>          1. Hangup()                                   [extensions.conf:17]

-= 1 extension (1 priority) in 1 context. =-
""".splitlines()
INCLUDED = """\
[ Included context 'inner' created by 'pbx_config' ]
  '_NXX' =>         hint: PJSIP/101                               [extensions.conf:15]
                    1. NoOp(a)                                    [extensions.conf:13]
     [lab]          2. Dial(PJSIP/x,,b(x^y^1))                    [extensions.conf:14]

[ Included context 'bad-number' created by 'pbx_config' ]
  '_X.' =>          1. Hangup()                                   [extensions.conf:17]
""".splitlines()


def test_an_endpoints_options_and_its_contact_are_read_from_the_command_line() -> None:
    assert table_from(SHOW_ENDPOINT) == {"100rel": "yes", "context": "from-internal", "media_address": ""}
    whole = "sip:101@192.168.100.100:5060;transport=udp;rinstance=1"
    assert freepbx_state.contacts_from(SHOW_ENDPOINT, [whole]) == (Contact("101", whole, "Avail"),)


def test_the_dialplan_of_the_command_line_is_read_and_bad_number_is_no_match() -> None:
    found = freepbx_state.dialled_from("911", "from-internal", INCLUDED)
    assert (found.pattern, found.steps) == ("_NXX", ("NoOp(a)", "Dial(PJSIP/x,,b(x^y^1))"))
    nowhere = freepbx_state.dialled_from("91", "from-internal", BAD_NUMBER)
    assert (nowhere.context_exists, nowhere.pattern, nowhere.steps) == (True, "", ())


# ---------------------------------------------------------------- what is not in force

GET_CONFIG = {
    "Line-000001-000001": "match=127.0.0.2,10.0.0.0/8", "Line-000001-000000": "type=identify",
    "Category-000001": "bandwidth-identify", "Line-000000-000000": "type=endpoint", "Category-000000": "bandwidth",
    "Line-000000-000001": "allow=!all,ulaw,alaw", "Line-000000-000002": "direct_media=no", "Response": "Success",
}  # fmt: skip
RUNNING = {
    "endpoint": {"object_name": "bandwidth", "allow": "(ulaw|alaw)", "direct_media": "false", "outbound_auth": "a"},
    "identify": {"object_name": "bandwidth-identify", "match": "127.0.0.2/255.255.255.255,10.0.0.0/255.0.0.0"},
    "auth": {"object_name": "a", "password": "s3cret", "realm": ""},
}


def test_the_answer_to_getconfig_is_sections_in_the_files_order() -> None:
    names = [name for name, _ in sections_from(GET_CONFIG)]
    assert names == ["bandwidth", "bandwidth-identify"]
    assert sections_from(GET_CONFIG)[0][1][1] == ("allow", "!all,ulaw,alaw")


def test_another_spelling_of_the_same_is_in_force() -> None:
    assert pjsip_differences(sections_from(GET_CONFIG), {"bandwidth": RUNNING}, ()) == []


@pytest.mark.parametrize(
    ("name", "lines", "told"),
    [
        ("bandwidth", [("type", "endpoint"), ("direct_media", "yes")], "pjsip.conf [bandwidth] endpoint direct_media"),
        ("bandwidth", [("type", "endpoint"), ("disallow", "all"), ("allow", "g722")],
         "pjsip.conf [bandwidth] endpoint allow"),
        ("bandwidth-identify", [("type", "identify"), ("match", "127.0.0.2")],
         "pjsip.conf [bandwidth-identify] identify match"),
        ("a", [("type", "auth"), ("realm", "pinned")], "pjsip.conf [a] auth realm"),
        ("a", [("type", "auth"), ("password", "n3w")], "pjsip.conf [a] auth password"),
        ("udp", [("type", "transport"), ("external_media_address", "203.0.113.7")],
         "pjsip.conf [udp] transport external_media_address"),
    ],
)  # fmt: skip
def test_an_option_that_was_written_and_not_loaded_is_named_and_no_value_told(
    name: str, lines: list[tuple[str, str]], told: str
) -> None:
    sections = [(name, tuple(lines))]
    assert pjsip_differences(sections, {"bandwidth": RUNNING}, [Transport("udp", "udp", "0.0.0.0:5060")]) == [told]


def test_an_endpoint_or_auth_that_is_only_in_the_file_is_named() -> None:
    sections = [("102", (("type", "endpoint"),)), ("a", (("type", "auth"),)), ("other", (("type", "endpoint"),))]
    running = {"102": {}, "bandwidth": {"endpoint": {"object_name": "bandwidth", "outbound_auth": "a"}}}
    assert pjsip_differences(sections, running, ()) == [
        "pjsip.conf [102] endpoint (not running at all)",
        "pjsip.conf [a] auth (not running at all)",
    ]


def test_an_endpoint_that_asks_with_one_auth_and_answers_with_another_has_both_in_force() -> None:
    endpoint = {"object_name": "bandwidth", "auth": "in", "outbound_auth": "a, b"}
    running = {"endpoint": endpoint, "auth": {"object_name": "in"}, "auth a": {"object_name": "a"}}
    sections = [(name, (("type", "auth"),)) for name in ("in", "a", "b")]
    assert pjsip_differences(sections, {"bandwidth": running}, ()) == ["pjsip.conf [b] auth (not running at all)"]


def test_options_that_this_program_does_not_write_are_told_apart_from_its_own() -> None:
    ours = [("type", "endpoint"), ("context", "bw-inbound"), ("outbound_proxy", "sip:192.0.2.1;lr"), ("send_pai", "no")]
    theirs = [("media_encryption", "sdes"), ("media_encryption", "sdes")]
    sections = [
        ("demo", (*ours, *theirs)),
        ("demo-auth", (("type", "auth"), ("username", "u"), ("password", "p"), ("md5_cred", "0f" * 16))),
        ("demo", (("type", "aor"), ("contact", "sip:r.test"), ("minimum_expiration", "60"))),
        ("somebody", (("type", "phoneprov"), ("MAC", "x"))),
    ]
    assert other_options([(name, tuple(lines)) for name, lines in sections]) == (
        "[demo] endpoint media_encryption=sdes", "[demo-auth] auth md5_cred=(not shown)",
        "[demo] aor minimum_expiration=60",
    )  # fmt: skip


DIALPLAN = (
    ("exten", "_9X,1,Set(CALLERID(num)=+19195550100)"),
    ("same", "n(go),Dial(PJSIP/${EXTEN}@bandwidth,60,i)"),
    ("same", "n,Hangup"),
    ("exten", "_9X,hint,PJSIP/9"),
)


def test_a_dialplan_that_runs_as_written_is_in_force() -> None:
    running = [
        step("_9X", "Set", "CALLERID(num)=+19195550100"),
        step("_9X", "Dial", "PJSIP/${EXTEN}@bandwidth,60,i"),
        step("_9X", "Hangup", ""),
        step("_9X", "PJSIP/9", "", "hint"),
        {**step("700", "Park", ""), "Registrar": "features"},
    ]
    assert dialplan_differences("office", [("office", DIALPLAN)], running) == []
    assert dialplan_differences("office", [("office", DIALPLAN)], running[1:]) == ["extensions.conf [office] _9X"]


# ---------------------------------------------------------------- the log

LOG = """\
[2026-11-27 09:04:12.853] NOTICE[13273] loader.c: 75 modules will be loaded.
[2026-11-27 09:04:13.278] VERBOSE[13298] chan_sip.c: not wanted
[2026-11-27 09:04:14.278] WARNING[13298][C-00000002] res_pjsip.c: password=hunter2, and more
continued
[Nov 27 09:04:15] ERROR[1] res_pjsip.c: Could not create an object
[27/11 09:04] ERROR[1] a date format that is not known
"""


def test_new_lines_of_the_log_are_told_by_time_and_level() -> None:
    now = datetime.fromisoformat("2026-11-27 09:05")
    found = [line for _, line in lines_since(LOG, datetime.fromisoformat("2026-11-27 09:04:13"), now)]
    assert found == [
        "[2026-11-27 09:04:14.278] WARNING[13298][C-00000002] res_pjsip.c: password=(not shown), and more",
        "[Nov 27 09:04:15] ERROR[1] res_pjsip.c: Could not create an object",
    ]


def test_a_log_without_years_is_read_over_new_year() -> None:
    text = "[Dec 31 23:59:59] ERROR[1] a: old year\n[Jan  1 00:00:01] ERROR[1] a: new year\n"
    for now in ("2026-12-31 23:59:59", "2027-01-01 00:00:02"):  # a line may be written while one asks for the time
        for since, told in (("2026-12-31 23:59:00", ["old year", "new year"]), ("2027-01-01", ["new year"])):
            lines = lines_since(text, datetime.fromisoformat(since), datetime.fromisoformat(now))
            assert [line[-8:] for _, line in lines] == told


@pytest.mark.parametrize("day", ["Feb 29", "Mar  3", "Nov 29"])
def test_a_line_of_many_months_ago_is_not_taken_for_one_of_next_year(day: str) -> None:
    text, now = f"[{day} 10:00:00] ERROR[1] a: old\n", datetime.fromisoformat("2028-11-27 10:00:00")
    assert list(lines_since(text, now - timedelta(minutes=1), now)) == []
    assert len(list(lines_since(text, now - timedelta(days=400), now))) == 1


def test_what_the_log_says_against_a_file_is_told_once_and_nothing_else_is() -> None:
    lines = [
        "[2026-11-27 13:01:28.905] WARNING[121] config.c: parse error: no closing ']', line 51 of /etc/pjsip.conf",
        "[2026-11-27 13:01:28.909] WARNING[27][C-02] config.c: parse error: no closing ']', line 51 of /etc/pjsip.conf",
        "[2026-11-27 13:01:29.010] NOTICE[121] res_sorcery_config.c: Retaining existing configuration",
        "[Nov 27 13:01:29] ERROR[121] res_sorcery_config.c: Could not create an object of type 'aor' with id 'demo'",
        "[2026-11-27 13:01:31.271] ERROR[121] res_pjsip.c: Endpoint 'demo': Could not create dialog",
    ]
    assert complaints_of_files(lines) == (
        "parse error: no closing ']', line 51 of /etc/pjsip.conf",
        "Could not create an object of type 'aor' with id 'demo'",
    )


@pytest.mark.parametrize(
    "line",
    [
        "x: password=hunter2",
        "x: Secret: 'hunter2'",
        'x: md5_cred = "hunter2"',
        'Digest username="u", response="hunter2"',
    ],
)
def test_no_secret_stays_in_a_line_of_the_log(line: str) -> None:
    assert "hunter2" not in without_secrets(line)
    assert without_secrets("Fatal response '405' received") == "Fatal response '405' received"


@pytest.mark.parametrize(
    ("written", "proxy"),
    [
        ("", ""),
        ("sip:192.0.2.1:5070;lr", "192.0.2.1:5070"),
        ("sip:192.0.2.1:5070;lr;hide", "192.0.2.1:5070"),
        ("sip:192.0.2.1:5070;transport=tcp;lr", "192.0.2.1:5070;transport=tcp"),
        ("sip:192.0.2.1:5070", "192.0.2.1:5070 (without ;lr)"),
    ],
)
def test_an_outbound_proxy_that_is_a_strict_router_is_not_read_as_ours(written: str, proxy: str) -> None:
    assert proxy_from(written) == proxy


def test_an_endpoint_that_allows_nothing_has_no_codec() -> None:
    assert (codecs_from("(nothing)"), codecs_from("(ulaw|alaw)")) == ([], ["ulaw", "alaw"])
