"""What is no fault is not called one: other clocks, hashes that are not told, other people's calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

from pydantic import SecretStr

from bwlib.diagnose import at_bandwidth, at_pbx, look
from bwlib.models import Call, Exchange, Realm, SipCredential, Trunk

HOUR = timedelta(hours=1)
PASSWORD = SecretStr("the-right-one")


def answered(path: str, says: datetime, at: datetime, elapsed_s: float = 0.1) -> Exchange:
    """An exchange with a server whose clock says that."""
    date = {"date": format_datetime(says, usegmt=True)}
    return Exchange("1", at, "GET", f"https://host.example{path}", {}, "", 200, date, "", elapsed_s)


def clock(*exchanges: Exchange) -> list[str]:
    on = SimpleNamespace(account_id="5500001", recorder=SimpleNamespace(latest=exchanges))
    scene: Any = SimpleNamespace(run=SimpleNamespace(on=on))
    return [fact.value for fact in at_bandwidth._clock(scene)]


def test_the_clock_is_compared_with_bandwidths_alone_and_as_it_is_now() -> None:
    api = "/api/v2/accounts/5500001/realms"
    now = datetime.now(UTC)  # not the file's: other tests may come between
    assert clock(answered(api, now, now)) == ["right"]
    assert clock(answered(api, now + HOUR, now)) == ["off"]
    assert clock(answered(api, now, now), answered("/initiate", now + HOUR, now, elapsed_s=0.001)) == ["right"]
    before = answered(api, now, now - HOUR, elapsed_s=0.001)  # by a clock that was an hour behind, and was set since
    assert clock(answered(api, now, now), before) == ["right"]


def test_a_password_cannot_be_called_wrong_where_bandwidth_tells_no_hash() -> None:
    realm = Realm("1", "acme-1a2b3c.auth.bandwidth.test", "", False, "ACTIVE")
    credential = SipCredential("2", "acme", "1", realm.fqdn, "app-1", SecretStr(""), SecretStr(""))
    trunk = Trunk("acme", realm.fqdn, "acme", PASSWORD, "+19195550100", realm.fqdn)
    scene: Any = SimpleNamespace(
        password=lambda: PASSWORD,
        account=SimpleNamespace(realm=realm, credential=credential, sip_uri=None),
        hashed=False,
    )
    assert at_bandwidth._password(scene, realm, credential).value == "unknown"
    assert [fact.name for fact in at_pbx._password(scene, trunk)] == ["trunk.secret"]


def test_a_password_that_the_pbx_keeps_as_a_hash_is_not_called_wrong() -> None:
    trunk = Trunk("acme", "acme.example", "acme", SecretStr(""), "+19195550100", "acme.example")
    scene: Any = SimpleNamespace(password=lambda: PASSWORD, account=None, hashed=True)
    assert [(fact.name, fact.value) for fact in at_pbx._password(scene, trunk)] == [("trunk.password", "unknown")]


def test_a_call_of_another_site_is_not_explained_by_this_one() -> None:
    def another(way: str, to: str = "+19195550199", application: str = "app-1", bound: str = "app-1") -> bool:
        scene: Any = SimpleNamespace(
            way=way,
            run=SimpleNamespace(settings=SimpleNamespace(pbx=SimpleNamespace(extension="101"))),
            account=SimpleNamespace(
                application=SimpleNamespace(id="app-1"), credential=SimpleNamespace(application_id=bound)
            ),
        )
        return look._is_of_another(scene, Call("c-1", to, "+19195550100", "", "disconnected", application))

    assert not another("inward", "sip:101@pbx.test:5060")
    assert another("inward", "sip:1010@pbx.test:5060")
    assert not another("outward")
    assert another("outward", application="app-2")
    assert not another("outward", application="app-2", bound="app-2"), "the credential leads there: that is the fault"
