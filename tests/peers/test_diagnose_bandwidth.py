"""What is wrong on Bandwidth's side is named first: the account, the application, its callback URL, the realm."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diagnosed import Put, all_of, broken, looked_at, stage_of, switched
from training_site import opened, walked_site

from bwlib import start_site
from bwlib.errors import NotEntitled
from bwlib.steps.application import find_application
from bwlib.training.bandwidth_breaks import callback_password

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]


def calling_back(kind: str) -> Put:
    """The application's callback URL is one of the sandbox's that misbehave: by http, so without credentials."""

    @contextmanager
    def put(site: Path) -> Iterator[dict[str, Any]]:
        stage = stage_of(site)
        right = find_application(stage.client, stage.settings.application.name)
        assert right is not None
        url, status = stage.sandbox.broken_url(kind), right.call_status_url if kind == "certificate" else None
        user = right.callback_user if kind == "certificate" else None
        wrong = replace(right, call_initiated_url=url, call_status_url=status, callback_user=user)
        stage.client.update_application(wrong)
        try:
            yield {}
        finally:
            stage.client.update_application(replace(right, callback_password=callback_password(stage)))

    return put


# what is wrong -> how, and the cause that must come first
CASES: dict[str, tuple[Put, str]] = {
    "application of another type": (broken("wrong-app-type"), "wrong-app-type"),
    "credential bound to no application": (broken("unbound-credential"), "unbound-credential"),
    "credential bound to another application": (broken("credential-other-application"), "credential-other-application"),
    "password rotated": (broken("rotated-password"), "rotated-password"),
    "callback by GET": (broken("callback-get"), "callback-get"),
    "callback password": (broken("callback-password"), "callback-password"),
    "callback path": (broken("callback-path"), "callback-status"),
    "callback dead": (calling_back("dead"), "callback-dead"),
    "callback slow": (calling_back("slow"), "callback-slow"),
    "callback 500": (calling_back("500"), "callback-status"),
    "callback with bad BXML": (calling_back("bad-bxml"), "callback-bad-bxml"),
    "callback a web page": (calling_back("html"), "callback-bad-bxml"),
    "callback 401 without WWW-Authenticate": (calling_back("401"), "callback-no-challenge"),
    "callback certificate": (calling_back("certificate"), "callback-certificate"),
    "realm pending": (broken("realm-pending"), "realm-pending"),
    "rate limited": (broken("rate-limited"), "rate-limited"),
    "clock skewed, tokens are stale": (switched(clock_ahead_s="3600"), "clock-skew"),
    "clock skewed": (switched(clock_ahead_s="120"), "clock-off"),
    "API credential revoked": (switched(api_credential="revoked"), "no-token"),
    "role missing": (switched(missing_role="SIP Credentials"), "role-missing"),
    "token of another account": (switched(token_accounts="other"), "role-missing"),
}
CHOSEN = list(CASES) if os.environ.get("BW_SOAK") else random.Random(7).sample(list(CASES), 5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with walked_site(tmp_path_factory.mktemp("home"), "theirs") as path:
        yield path


@pytest.mark.parametrize("what", CHOSEN)
def test_what_is_wrong_at_bandwidth_is_named_first(site: Path, what: str) -> None:
    put, cause = CASES[what]
    with put(site) as how:
        looked = looked_at(site, **how)
    print(f"{what}: {looked.told}")
    assert looked.first == cause, looked.told


def test_an_account_that_is_not_entitled_is_named_by_what_a_step_met(site: Path) -> None:
    """Only a create shows it, and a look makes none. Once the realm is there, the refusal of before says nothing."""
    other = site.parent.parent / "not-entitled" / "site.toml"
    start_site(other, name="not-entitled")
    run = opened(other)
    run.application()
    with switched(sip_entitled="no")(other):
        with pytest.raises(NotEntitled):
            run.realm()
        looked = looked_at(other)
    print(f"not entitled: {looked.told}")
    assert looked.first == "not-enabled", looked.told
    stage_of(other).client.create_realm(run.settings.realm.name, "by hand")
    assert "not-enabled" not in looked_at(other, calls=False).names


def test_two_things_wrong_at_bandwidth_do_not_hide_each_other(site: Path) -> None:
    with all_of(broken("unbound-credential"), calling_back("500"))(site):
        looked = looked_at(site, calls=False)
    assert {"unbound-credential", "callback-status"} <= set(looked.names), looked.told
