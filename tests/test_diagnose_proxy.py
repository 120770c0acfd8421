"""A proxy is no fault where DNS leads to the same place, or where a call has come through it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from test_sip_dns import NameServer

from bwlib.diagnose import at_realm
from bwlib.diagnose.facts import Fact, Facts
from bwlib.diagnose.scene import Account, Configured, Scene
from bwlib.diagnose.verdict import judge
from bwlib.models import Realm, Trunk
from bwlib.sip import dns_message as dns

FQDN, TARGET, SBC = "acme-1a2b3c.auth.bandwidth.test", "abc.auth.bandwidth.test", "sbc.acme.test"
A_RECORDS = {TARGET: ["192.0.2.7", "192.0.2.8"], SBC: ["192.0.2.7"], "far.acme.test": ["192.0.2.7", "198.51.100.1"]}


def reply(asked: dns.Message) -> list[bytes]:
    if asked.type == dns.SRV and asked.name == f"_sip._udp.{FQDN}":
        return [dns.response(asked, dns.NOERROR, [dns.Record(asked.name, dns.SRV, f"5 50 5007 {TARGET}")])]
    found = [dns.Record(asked.name, dns.A, each) for each in A_RECORDS.get(asked.name, ()) if asked.type == dns.A]
    return [dns.response(asked, dns.NOERROR if found else dns.NXDOMAIN, found)]


@pytest.fixture(scope="module")
def nameserver() -> Iterator[tuple[str, int]]:
    server = NameServer(reply)
    yield server.address
    server.close()


def said(nameserver: tuple[str, int], proxy: str | None, wanted: str | None = None) -> Facts:
    on = SimpleNamespace(nameservers=(nameserver,), trunk_proxy=wanted)
    run: Any = SimpleNamespace(settings=SimpleNamespace(road="realm"), on=on)
    trunk = Trunk("acme", FQDN, "acme", SecretStr(""), "+19195550100", FQDN, outbound_proxy=proxy)
    realm = Realm("1", FQDN, "", False, "ACTIVE")
    return Facts(at_realm.probe_dns(Scene(run, account=Account(realm=realm), on_pbx=Configured(trunk=trunk))))


@pytest.mark.parametrize(
    ("proxy", "word"),
    [
        ("192.0.2.7:5007", "as-wanted"),
        (f"{TARGET}:5007", "as-wanted"),
        (f"{SBC}:5007", "as-wanted"),
        (f"{SBC}:5007;transport=udp", "as-wanted"),
        (FQDN, "as-wanted"),
        ("192.0.2.7", "unknown"),
        ("192.0.2.7:5060", "unknown"),
        ("198.51.100.1:5007", "unknown"),
        ("far.acme.test:5007", "unknown"),
        ("nowhere.test:5007", "unknown"),
        ("[2001:db8::1]:5007", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_proxy_that_leads_where_the_realm_is_anyway_is_as_wanted(
    nameserver: tuple[str, int], proxy: str | None, word: str
) -> None:
    facts = said(nameserver, proxy)
    assert facts.value("dns.port") == "5007"
    assert facts.value("trunk.outbound_proxy") == word


def test_where_a_proxy_is_wanted_dns_does_not_decide(nameserver: tuple[str, int]) -> None:
    assert said(nameserver, "192.0.2.7:5007", "127.0.0.2:5070").value("trunk.outbound_proxy") == "unknown"


NAMED = ["wrong-proxy"]


@pytest.mark.parametrize(("phone", "found"), [("answered", []), ("not-answered", NAMED), ("", NAMED)])
def test_a_proxy_that_a_call_has_come_through_is_no_wrong_one(phone: str, found: list[str]) -> None:
    seen = {"trunk.outbound_proxy": "differs", "trunk.needs_dns": "no", "outward.phone": phone}
    verdict = judge(Facts(Fact(name, value, name) for name, value in seen.items() if value))
    assert [cause.name for cause in verdict.causes] == found
