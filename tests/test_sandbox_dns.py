"""The sandbox's name server, asked over UDP as a PBX with its port left blank would ask."""

from __future__ import annotations

import os
import random
import socket

import pytest
from sandbox_world import ASIDE_S, World, eventually

from bwlib.sip import dns_message as dns
from bwlib.sip.srv import resolve_a, resolve_srv


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    return running


def ask(world: World, data: bytes, timeout_s: float = ASIDE_S) -> dns.Message | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout_s)
        udp.sendto(data, world.sandbox.dns)
        try:
            return dns.parse(udp.recv(65_535))
        except TimeoutError:
            return None


@pytest.mark.parametrize("separator", ["-", "."])
def test_a_realm_is_found_with_the_edges_port_which_is_not_5060(world, separator):
    world.sandbox.set_switch("realm_separator", separator)
    _, fqdn = world.realm("acme")
    [server] = resolve_srv(f"_sip._udp.{fqdn}", world.sandbox.dns)
    host, port = world.sandbox.edge
    assert (server.priority, server.weight, server.port, server.addresses) == (5, 50, port, (host,))
    assert resolve_a(fqdn.upper(), world.sandbox.dns) == [host]


def test_another_accounts_realm_is_found_too(world):
    other = world.sandbox.account("other")
    form = {"grant_type": "client_credentials"}
    secret = other.client_secret.get_secret_value()
    token = world.http.post(world.sandbox.token_url, auth=(other.client_id, secret), data=form).json()["access_token"]
    made = world.http.post(
        f"{world.sandbox.api_url}/accounts/{other.account_id}/realms",
        content="<Realm><Realm>theirs</Realm><Default>false</Default></Realm>",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/xml"},
    )
    fqdn = made.text.partition("<Realm><Id>")[2].partition("<Realm>")[2].partition("<")[0]
    assert fqdn.startswith("theirs")
    assert eventually(lambda: resolve_srv(f"_sip._udp.{fqdn}", world.sandbox.dns))


def test_the_host_of_the_sip_uris_is_found(world):
    name = "sip-uri.voice-api.bandwidth.test"
    assert resolve_srv(f"_sip._udp.{name}", world.sandbox.dns)[0].port == world.sandbox.edge[1]
    assert resolve_a(name, world.sandbox.dns) == [world.sandbox.edge[0]]


def test_a_pending_a_lagging_and_a_deleted_realm_do_not_resolve(world):
    world.sandbox.set_switch("realm_dns_s", "3600")
    realm_id, fqdn = world.realm("acme")
    assert resolve_a(fqdn, world.sandbox.dns) == []
    world.sandbox.set_switch("realm_dns_s", "0")
    assert resolve_a(fqdn, world.sandbox.dns) != []
    assert world.account("DELETE", f"/realms/{realm_id}").status_code == 202
    assert resolve_a(fqdn, world.sandbox.dns) == []


def test_every_other_name_does_not_exist(world):
    _, fqdn = world.realm("acme")
    for name in ("example.com", "nobody-000000.auth.bandwidth.test", f"_sip._tcp.{fqdn}", f"_sips._tcp.{fqdn}", "."):
        answer = ask(world, dns.question(9, name, dns.SRV))
        assert answer is not None
        assert (answer.id, answer.rcode, answer.records) == (9, dns.NXDOMAIN, ())


def test_another_type_of_a_name_that_exists_is_empty_and_not_absent(world):
    _, fqdn = world.realm("acme")
    naptr = 35
    for name, type_ in ((fqdn, naptr), (fqdn, dns.SRV), (f"_sip._udp.{fqdn}", dns.A)):
        answer = ask(world, dns.question(9, name, type_))
        assert answer is not None
        assert (answer.rcode, answer.records) == (dns.NOERROR, ())


def test_what_is_no_query_is_not_answered_and_what_is_not_done_says_so(world):
    query = dns.question(9, "a.test", dns.A)
    assert ask(world, b"x", 0.5) is None
    assert ask(world, query[:2] + b"\x84\x00" + query[4:], 0.5) is None  # an answer, or the two of us would never end
    update = ask(world, query[:2] + b"\x28\x00" + query[4:])
    assert update is not None
    assert update.rcode == dns.NOTIMP
    chaos = ask(world, query[:-2] + b"\x00\x03")
    assert chaos is not None
    assert chaos.rcode == dns.REFUSED


def test_malformed_packets_are_harmless(world):
    _, fqdn = world.realm("acme")
    query, chance = dns.question(9, f"_sip._udp.{fqdn}", dns.SRV), random.Random(1035)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in range(20_000 if os.environ.get("BW_SOAK") else 500):
            mutated = bytearray(query)
            for _ in range(chance.randrange(1, 6)):
                mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            udp.sendto(bytes(mutated[: chance.randrange(1, len(mutated) + 1)]), world.sandbox.dns)
    assert eventually(lambda: resolve_srv(f"_sip._udp.{fqdn}", world.sandbox.dns))


def test_after_a_restart_it_is_where_it_was(tmp_path):
    first = World(tmp_path)
    address = first.sandbox.dns
    first.close()
    second = World(tmp_path)
    assert second.sandbox.dns == address
    second.close()
