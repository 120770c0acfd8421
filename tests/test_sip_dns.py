"""DNS messages there and back, and the resolver against name servers that answer well, badly or not at all."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_world import eventually

from bwlib.sip import dns_message as dns
from bwlib.sip import srv
from bwlib.sip.srv import NoNameServer, Server, resolve_a, resolve_srv, system_nameservers

NAME = "_sip._udp.acme-3efeaa.auth.bandwidth.test"
TARGET = "abc.auth.bandwidth.test"
# A real answer's layout, written by hand: SRV whose target is compressed into the question, and its A record.
COMPRESSED = (
    b"\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x01"
    b"\x04_sip\x04_udp\x03abc\x04test\x00\x00\x21\x00\x01"
    b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x0c\x00\x05\x00\x32\x13\x8e\x03sbc\xc0\x1a"
    b"\x03sbc\xc0\x1a\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07"
)

Reply = Callable[[dns.Message], list[bytes]]


class NameServer:
    """Answers each UDP query with the datagrams that `reply` gives."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, source = self._socket.recvfrom(65_535)
            except OSError:
                return
            message = dns.parse(data)
            self.asked.append(message.name)
            for answer in self.reply(message):
                self._socket.sendto(answer, source)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    made = NameServer(lambda asked: [dns.response(asked, dns.NXDOMAIN)])
    yield made
    made.close()


def answering(*records: dns.Record, more: tuple[dns.Record, ...] = ()) -> Reply:
    def reply(asked: dns.Message) -> list[bytes]:
        fitting = [record for record in records if record.type in (asked.type, dns.CNAME)]
        return [dns.response(asked, dns.NOERROR, fitting, more)]

    return reply


# ---------------------------------------------------------------- messages


def test_a_compressed_answer_is_read() -> None:
    message = dns.parse(COMPRESSED)
    assert (message.id, message.name, message.type) == (0x1234, "_sip._udp.abc.test", dns.SRV)
    assert message.records == (
        dns.Record("_sip._udp.abc.test", dns.SRV, "5 50 5006 sbc.test", 60),
        dns.Record("sbc.test", dns.A, "192.0.2.7", 60),
    )


def test_a_question_and_its_answer_survive_the_way() -> None:
    asked = dns.parse(dns.question(7, NAME, dns.SRV))
    assert (asked.id, asked.name, asked.type, asked.is_response) == (7, NAME, dns.SRV, False)
    record = dns.Record(NAME, dns.SRV, f"5 50 5006 {TARGET}")
    answer = dns.parse(dns.response(asked, dns.NOERROR, [record], [dns.Record(TARGET, dns.A, "127.0.0.2")]))
    assert answer.is_response
    assert answer.records == (record, dns.Record(TARGET, dns.A, "127.0.0.2"))


@pytest.mark.parametrize("name", ["a" * 64, "a..b", ".".join(["abcdefg"] * 40)])
def test_what_is_no_name_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(dns.DnsError):
        dns.question(1, name, dns.A)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        COMPRESSED[:20],
        COMPRESSED[:-1],
        COMPRESSED[:12] + b"\xc0\x0c\x00\x01\x00\x01",  # a pointer to itself
        COMPRESSED[:12] + b"\xc0\xff\x00\x01\x00\x01",  # a pointer forwards
        COMPRESSED[:12] + b"\x80\x00\x00\x01\x00\x01",  # a label of no kind
        b"\x00\x01\x00\x00\x00\x02" + COMPRESSED[6:],  # two questions
    ],
)
def test_a_malformed_message_is_an_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(dns.DnsError):
        dns.parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        dns.parse(data)
    except dns.DnsError:
        return


def test_mutated_answers_are_read_or_refused() -> None:
    chance = random.Random(3263)
    for _ in range(2000):
        mutated = bytearray(COMPRESSED)
        for _ in range(chance.randrange(1, 5)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        try:
            dns.parse(bytes(mutated[: chance.randrange(1, len(mutated) + 1)]))
        except dns.DnsError:
            continue


# ---------------------------------------------------------------- the resolver


def test_servers_come_in_the_order_to_try_with_their_addresses(server: NameServer) -> None:
    far = dns.Record(NAME, dns.SRV, "10 0 5080 far.test")
    light = dns.Record(NAME, dns.SRV, "5 10 5060 light.test")
    heavy = dns.Record(NAME, dns.SRV, f"5 50 5006 {TARGET}")
    addresses = tuple(dns.Record(name, dns.A, f"192.0.2.{n}") for n, name in enumerate(("far.test", "light.test")))
    server.reply = answering(far, light, heavy, dns.Record(TARGET, dns.A, "192.0.2.9"), more=addresses)
    found = resolve_srv(NAME, server.address)
    assert [(s.priority, s.weight, s.port, s.target) for s in found] == [
        (5, 50, 5006, TARGET),
        (5, 10, 5060, "light.test"),
        (10, 0, 5080, "far.test"),
    ]
    assert found[0].addresses == ("192.0.2.9",)
    assert server.asked == [NAME, TARGET]  # only what the answer did not bring along


def test_a_name_that_does_not_exist_is_empty_and_a_target_of_nothing_too(server: NameServer) -> None:
    assert resolve_srv(NAME, server.address) == []
    assert resolve_a("nowhere.test", server.address) == []
    server.reply = answering(dns.Record(NAME, dns.SRV, "0 0 0 "))
    assert resolve_srv(NAME, server.address) == []


def test_an_alias_is_followed_and_another_names_records_are_not_taken(server: NameServer) -> None:
    server.reply = answering(
        dns.Record("a.test", dns.CNAME, "b.test"),
        dns.Record("b.test", dns.A, "192.0.2.1"),
        dns.Record("evil.test", dns.A, "192.0.2.66"),
    )
    assert resolve_a("A.test.", server.address) == ["192.0.2.1"]


def test_answers_to_other_questions_are_passed_over(server: NameServer) -> None:
    def reply(asked: dns.Message) -> list[bytes]:
        right = dns.response(asked, dns.NOERROR, [dns.Record("a.test", dns.A, "192.0.2.1")])
        wrong_id = struct.pack("!H", asked.id ^ 1) + right[2:]
        other = dns.parse(dns.question(asked.id, "other.test", dns.A))
        return [b"garbage", wrong_id, dns.response(other, dns.NXDOMAIN), right]

    server.reply = reply
    assert resolve_a("a.test", server.address) == ["192.0.2.1"]


@pytest.mark.parametrize("reply", [lambda asked: [], lambda asked: [b"garbage"]])
def test_a_silent_name_server_says_nothing_about_the_name(server: NameServer, reply: Reply) -> None:
    server.reply = reply
    with pytest.raises(NoNameServer, match=r"127\.0\.0\.1"):
        resolve_a("a.test", server.address, timeout_s=0.05)
    eventually(lambda: len(server.asked) == 2)  # it was asked again: datagrams get lost


def test_a_name_server_that_fails_or_refuses_is_no_answer(server: NameServer) -> None:
    server.reply = lambda asked: [dns.response(asked, dns.REFUSED)]
    with pytest.raises(NoNameServer, match="REFUSED"):
        resolve_a("a.test", server.address)


def test_a_truncated_answer_is_asked_for_again_over_tcp(server: NameServer) -> None:
    def truncated(asked: dns.Message) -> list[bytes]:
        answer = bytearray(dns.response(asked, dns.NOERROR))
        answer[2] |= 0x02
        return [bytes(answer)]

    server.reply = truncated
    with socket.create_server(server.address) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked = dns.parse(connection.recv(1000)[2:])
                answer = dns.response(asked, dns.NOERROR, [dns.Record("a.test", dns.A, "192.0.2.1")])
                connection.sendall(struct.pack("!H", len(answer)) + answer)

        threading.Thread(target=serve, daemon=True).start()
        assert resolve_a("a.test", server.address) == ["192.0.2.1"]


def test_the_systems_name_servers_are_read(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nsearch a.test\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver nonsense\n")
    assert system_nameservers(file) == [("192.0.2.53", 53), ("2001:db8::53", 53)]
    assert system_nameservers(tmp_path / "none") == [("127.0.0.1", 53)]


def test_the_next_of_the_systems_name_servers_is_asked(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.reply = answering(dns.Record("a.test", dns.A, "192.0.2.1"))
    refusing = NameServer(lambda asked: [dns.response(asked, dns.SERVFAIL)])
    monkeypatch.setattr(srv, "system_nameservers", lambda: [refusing.address, server.address])
    assert resolve_a("a.test") == ["192.0.2.1"]
    refusing.close()


def test_a_server_prints_what_it_is() -> None:
    assert "5006" in repr(Server(5, 50, 5006, TARGET, ()))
