"""The agent against SIPp's own uac, uas and digest: an implementation that shares nothing with ours."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from peers import free_port, program
from pydantic import SecretStr

from bwlib.sip.agent import Agent, Credentials, IncomingCall
from bwlib.sip.digest import DigestServer, Verdict, ha1

pytestmark = pytest.mark.peer

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
CALLS = 3000 if os.environ.get("BW_SOAK") == "1" else 60
REALM = "site.auth.bandwidth.test"

MESSAGE = """<send{retrans}><![CDATA[

{method} sip:+19195550100@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch{branch}]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:+19195550100@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
{extra}Content-Length: 0

]]></send>"""


def invite(cseq: int, extra: str = "") -> str:
    message = MESSAGE.format(method="INVITE", cseq=cseq, extra=extra, branch="", retrans=' retrans="500"')
    return message.replace("[peer_tag_param]", "")


def ack(cseq: int) -> str:
    """In the INVITE's transaction: SIPp's [branch-2] is the branch of the message two steps before."""
    return MESSAGE.format(method="ACK", cseq=cseq, extra="", branch="-2", retrans="")


@pytest.fixture(autouse=True)
def sipp_is_here() -> None:
    """Before anything waits for it."""
    program("sipp")


async def run_sipp(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code (0: every call went as the scenario says) and the end of the screen."""
    process = await asyncio.create_subprocess_exec(
        program("sipp"), "-i", "127.0.0.1", "-nostdin", "-timeout", "60s", "-timeout_error", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, output.decode(errors="replace")[-3000:]


def test_sipps_uac_calls_the_agent(tmp_path: Path) -> None:
    reasons: list[str] = []

    async def on_invite(call: IncomingCall) -> None:
        call.ring()
        call.answer(SDP)
        await call.ended.wait()
        reasons.append(call.end_reason)

    async def main() -> None:
        agent = Agent(on_invite=on_invite)
        await agent.start()
        target = f"127.0.0.1:{agent.address[1]}"
        code, screen = await run_sipp(tmp_path, "-sn", "uac", target, "-m", str(CALLS), "-r", "60", "-d", "100")
        await agent.stop()
        assert code == 0, screen

    asyncio.run(main())
    assert reasons == ["bye"] * CALLS


def test_the_agent_calls_sipps_uas(tmp_path: Path) -> None:
    async def one(agent: Agent, port: int) -> tuple[int | None, str]:
        call = agent.invite(f"sip:service@127.0.0.1:{port}", from_uri="sip:site@127.0.0.1", sdp=SDP)
        done = [asyncio.ensure_future(event.wait()) for event in (call.answered, call.ended)]
        await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            future.cancel()
        await call.hang_up()
        return call.status, call.end_reason

    async def main() -> None:
        agent, port = Agent(), free_port("127.0.0.1")
        await agent.start()
        server = asyncio.ensure_future(run_sipp(tmp_path, "-sn", "uas", "-p", str(port), "-m", str(CALLS)))
        results = []
        for _ in range(CALLS // 20):
            results += await asyncio.gather(*(one(agent, port) for _ in range(20)))
        code, screen = await server
        await agent.stop()
        assert results == [(200, "local")] * CALLS
        assert code == 0, screen

    asyncio.run(main())


@pytest.mark.parametrize(("password", "verdict"), [("right", Verdict.OK), ("wrong", Verdict.WRONG_PASSWORD)])
def test_sipps_digest_is_judged_rightly(tmp_path: Path, password: str, verdict: Verdict) -> None:
    digest, verdicts = DigestServer(), list[Verdict]()
    authentication = f"[authentication username=alice password={password}]\n"
    steps = [
        invite(1),
        '<recv response="407" auth="true"/>',
        ack(1),
        invite(2, authentication),
        '<recv response="486"/>',
        ack(2),
    ]
    xml = f'<?xml version="1.0" encoding="ISO-8859-1" ?><scenario name="digest">{"".join(steps)}</scenario>'
    (tmp_path / "digest.xml").write_text(xml)

    async def on_invite(call: IncomingCall) -> None:
        value = call.request.headers.get("Proxy-Authorization")
        if value is None:
            call.challenge("Proxy-Authenticate", digest.challenge(REALM))
            return
        result = digest.check(call.request, value, lambda user, realm: ha1("alice", realm, "right"), check_uri=False)
        verdicts.append(result.verdict)
        call.reject(486)

    async def main() -> None:
        agent = Agent(on_invite=on_invite)
        await agent.start()
        target = f"127.0.0.1:{agent.address[1]}"
        code, screen = await run_sipp(tmp_path, "-sf", "digest.xml", target, "-m", "5", "-r", "5")
        await agent.stop()
        assert code == 0, screen

    asyncio.run(main())
    assert verdicts == [verdict] * 5


def test_our_digest_is_accepted_by_sipp(tmp_path: Path) -> None:
    def answer(status: str, extra: str = "") -> str:
        return (
            f"<send><![CDATA[\n\nSIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:];tag=s[call_number]\n"
            f"[last_Call-ID:]\n[last_CSeq:]\n{extra}Content-Length: 0\n\n]]></send>"
        )

    challenge = f'WWW-Authenticate: Digest realm="{REALM}", nonce="47ebe028cda119c35d4877b383027d28", algorithm=MD5\n'
    verify = '<action><verifyauth assign_to="ok" username="alice" password="right"/></action>'
    xml = (
        '<?xml version="1.0" encoding="ISO-8859-1" ?><scenario name="registrar"><recv request="REGISTER"/>'
        f'{answer("401 Unauthorized", challenge)}<recv request="REGISTER">{verify}</recv>'
        f'<nop next="good" test="ok"/>{answer("403 Forbidden")}<nop next="end"/><label id="good"/>'
        f'{answer("200 OK")}<label id="end"/></scenario>'
    )
    (tmp_path / "registrar.xml").write_text(
        xml.replace('id="good"', 'id="1"')
        .replace('next="good"', 'next="1"')
        .replace('id="end"', 'id="2"')
        .replace('next="end"', 'next="2"')
    )

    async def main() -> None:
        agent, port = Agent(), free_port("127.0.0.1")
        await agent.start()
        server = asyncio.ensure_future(run_sipp(tmp_path, "-sf", "registrar.xml", "-p", str(port), "-m", "2"))
        right, wrong = (Credentials("alice", SecretStr(password)) for password in ("right", "wrong"))
        assert (await agent.register(("127.0.0.1", port), "alice", right)).status == 200
        other = Agent()
        await other.start()
        assert (await other.register(("127.0.0.1", port), "alice", wrong)).status == 403
        code, screen = await server
        await agent.stop()
        await other.stop()
        assert code == 0, screen

    asyncio.run(main())
