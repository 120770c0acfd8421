"""The realm from here, without the PBX: DNS, OPTIONS, an INVITE without credentials, and a call of our own.

An INVITE without credentials ends at the challenge: it proves that the realm is reached and knows its name, and rings
nobody. A call with credentials is placed only where calls may be placed and the credential was read back as bound to
the site's application: an unbound one would ring a stranger. It dials the site's own number, whoever a slip would ring.
Sources: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23), RFC 3261 section 22, RFC 3263.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from bwlib.diagnose import at_proxy
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.phone import host_towards
from bwlib.sip.agent import Agent, Credentials, OutboundCall
from bwlib.sip.digest import parse_auth_params
from bwlib.sip.dns_message import DnsError
from bwlib.sip.media import Media
from bwlib.sip.sdp import SdpError
from bwlib.sip.srv import NoNameServer, Server, resolve_a, resolve_srv
from bwlib.sip.transport import Address

OPTIONS_S, TCP_S, CHALLENGE_S, CALL_S, LISTEN_S = 3.0, 2.0, 4.0, 5.0, 5.0
USER = "bw-runbook-probe"
_POLL_S = 0.02


def probe_dns(scene: Scene) -> list[Fact]:
    """Where DNS says that the realm is, and whether the trunk needs DNS at all."""
    run, host = scene.run, scene.host
    if not host:
        return []
    if run.on.nameservers == ():
        return [Fact("dns", "not-asked", "there is no name server to ask here", "DNS")]
    nameserver = run.on.nameservers[0] if run.on.nameservers else None
    try:
        servers, addresses = resolve_srv(f"_sip._udp.{host}", nameserver), resolve_a(host, nameserver)
    except NoNameServer as error:
        return [Fact("dns", "no-name-server", f"no name server answers ({error})", "DNS")]
    except DnsError as error:
        return [Fact("dns", "not-asked", f"{host} cannot be asked for ({error})", "DNS")]
    if not servers and not addresses:
        says = f"neither _sip._udp.{host} (SRV) nor {host} (A) is in DNS"
        return [Fact("dns", "absent", says, "DNS")]
    ports = sorted({server.port for server in servers})
    where = ", ".join(f"{server.target}:{server.port}" for server in servers) or ", ".join(addresses)
    facts = [Fact("dns", "found", f"{host} is at {where}", "DNS")]
    if ports:
        facts.append(Fact("dns.port", str(ports[0]), f"its SRV record says port {', '.join(map(str, ports))}", "DNS"))
    return [*facts, *at_proxy.compare(scene, at_proxy.places_of(servers, addresses), nameserver)]


def probe_reach(scene: Scene) -> list[Fact]:
    """OPTIONS, then one INVITE that ends at the challenge."""
    if not scene.host:
        return []
    target = _target(scene)
    if target is None:
        return [Fact("direct.options", "no-address", f"{scene.host} has no address to send to from here", "SIP")]
    return asyncio.run(_reach(scene, target))


def probe_call(scene: Scene) -> list[Fact]:
    """A call from here with the site's own credentials, past the PBX: what works here is not the account's fault."""
    why_not = _why_no_call(scene)
    if why_not:
        return [Fact("direct.call", "not-placed", f"no call of our own: {why_not}", "SIP")]
    target = _target(scene)
    return asyncio.run(_call(scene, target)) if target else []


def _why_no_call(scene: Scene) -> str:
    account = scene.account
    if not scene.calls:
        return "calls are placed with --place-call only"
    if scene.run.settings.road != "realm":
        return "the SIP URI may take calls from the PBX's address only"
    if account.credential is None or account.application is None:
        return "there is no credential, or no application"
    if account.credential.application_id != account.application.id:
        return "the credential is not bound to the site's application: the call would go elsewhere"
    return "" if scene.password() else "the site's secret reference gives no password now"


# ---------------------------------------------------------------- how


def _target(scene: Scene) -> Address | None:
    """Where packets go: the outbound proxy where the trunk needs one, else what DNS says."""
    on = scene.run.on
    if on.trunk_proxy:
        host, _, port = on.trunk_proxy.rpartition(":")
        return host, int(port)
    nameserver = on.nameservers[0] if on.nameservers else None
    with contextlib.suppress(NoNameServer, DnsError):
        return next(_places(resolve_srv(f"_sip._udp.{scene.host}", nameserver), scene.host, nameserver), None)
    return None


def _places(servers: list[Server], host: str, nameserver: Address | None) -> Iterator[Address]:
    yield from ((address, server.port) for server in servers for address in server.addresses)
    yield from ((address, 5060) for address in resolve_a(host, nameserver))


async def _reach(scene: Scene, target: Address) -> list[Fact]:
    agent, place = Agent(host_towards(target), user_agent=USER), f"{target[0]}:{target[1]}"
    await agent.start()
    try:
        call = agent.invite(
            f"sip:{USER}@{scene.host}", from_uri=_from(scene), sdp=_silent_offer(agent), send_to=target
        )
        scene.our_calls.add(call.sip_call_id)
        answer, tcp, _ = await asyncio.gather(
            agent.options(f"sip:{scene.host}", target, OPTIONS_S), _tcp(target), _over(scene, call, CHALLENGE_S)
        )
        await _hang_up(call)  # a realm that does not challenge may have taken it
        word = str(answer.status) if answer else "silent"
        return [
            Fact("direct.options", word, f"OPTIONS from here to {place} by UDP: {word}", "SIP"),
            tcp,
            *_challenge(scene, call, place),
        ]
    finally:
        await agent.stop()


async def _tcp(target: Address) -> Fact:
    """Whether the same port answers by TCP: evidence only, for the guide's trunk sends by UDP. Nothing is sent."""
    try:
        async with asyncio.timeout(TCP_S):
            _, writer = await asyncio.open_connection(*target)
        writer.close()
        word = "open"
    except TimeoutError:
        word = "silent"
    except OSError as error:
        word = "refused" if isinstance(error, ConnectionRefusedError) else "unreachable"
    return Fact("direct.tcp", word, f"{target[0]}:{target[1]} by TCP from here: {word} (the trunk needs UDP)", "SIP")


def _challenge(scene: Scene, call: OutboundCall, place: str) -> list[Fact]:
    name, answer = "direct.challenge", call.final_response
    asked = f"an INVITE without credentials from here to {place}"
    if answer is None and call.status in (None, 408):
        return [Fact(name, "silent", f"{asked}: no answer", "SIP")]
    if answer is None:
        return [Fact(name, "trying", f"{asked}: {call.status}, and no final answer", "SIP")]
    says = f"{asked}: {answer.status} {answer.reason}"
    if answer.status not in (401, 407):
        return [Fact(name, "not-challenged", says, "SIP")]
    header = answer.headers.get("Proxy-Authenticate") or answer.headers.get("WWW-Authenticate") or ""
    realm = parse_auth_params(header).get("realm", "")
    facts = [Fact(name, "challenged", f"{says}, realm {realm}", "SIP")]
    if realm.lower() != scene.host.lower():
        says = f"the challenge names the realm {realm}, not {scene.host}: the stored hashes are over another name"
        facts.append(Fact("direct.realm", "differs", says, "SIP"))
    return facts


async def _call(scene: Scene, target: Address) -> list[Fact]:
    password, credential = scene.password(), scene.account.credential
    assert password is not None
    assert credential is not None
    host = host_towards(target)
    agent, media = Agent(host, user_agent=USER), Media(host)
    await agent.start()
    try:
        call = agent.invite(
            f"sip:{scene.run.on.number}@{scene.host}",
            from_uri=_from(scene),
            sdp=media.offer(),
            credentials=Credentials(credential.username, password),
            send_to=target,
        )
        scene.our_calls.add(call.sip_call_id)
        await _over(scene, call, CALL_S)
        facts = [_answered(call)]
        try:
            if call.answered.is_set():
                facts.append(await _listen(scene, call, media))
        except SdpError as error:
            facts.append(Fact("direct.heard", UNKNOWN, f"the realm's SDP cannot be used: {error}", "SIP"))
        finally:
            await _hang_up(call)
        return facts
    finally:
        await agent.stop()
        await media.close()


def _answered(call: OutboundCall) -> Fact:
    if call.answered.is_set():
        return Fact("direct.call", "answered", "a call from here, past the PBX, was answered", "SIP")
    said = f"{call.status} {call.reason}" if call.final_response else f"no final answer within {CALL_S:g} s"
    return Fact("direct.call", "not-answered", f"a call from here, past the PBX: {said}", "SIP")


async def _listen(scene: Scene, call: OutboundCall, media: Media) -> Fact:
    """Whether anything at all is heard."""
    media.accept(call.remote_sdp)
    await media.open()
    clock = asyncio.get_running_loop().time
    deadline = clock() + LISTEN_S
    over = (call.ended.is_set, scene.over.is_set)
    while media.last_voice is None and clock() < deadline and not any(is_set() for is_set in over):  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)
    heard = media.last_voice is not None
    says = "the application's voice was heard here" if heard else f"nothing was heard here within {LISTEN_S:g} s"
    return Fact("direct.heard", "yes" if heard else "no", says, "SIP")


async def _hang_up(call: OutboundCall) -> None:
    """BYE or CANCEL; a peer that is silent is not waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await call.hang_up()


def _from(scene: Scene) -> str:
    return f"sip:{scene.run.on.number}@{scene.host}"


def _silent_offer(agent: Agent) -> str:
    from bwlib.sip.sdp import offer

    return offer(agent.address[0], 40_000)  # never answered: nobody listens there


async def _over(scene: Scene, call: OutboundCall, timeout_s: float) -> None:
    """Until it was answered or refused, or the time or the look is over."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_s
    over = (call.answered.is_set, call.ended.is_set, scene.over.is_set)
    while clock() < deadline and not any(is_set() for is_set in over):  # noqa: ASYNC110 - one of them is a thread's
        await asyncio.sleep(_POLL_S)
