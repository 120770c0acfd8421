"""Is the application's callback URL alive? Asked from here, as Bandwidth asks it."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from bwlib.bandwidth.callback import CallbackFault, check_callback
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.errors import BwlibError
from bwlib.steps.application import find_application

SOURCE = "application"
# Bandwidth waits so long for an answer, and then once more (dev.bandwidth.com/docs/voice/webhooks, read 2026-11-23).
LIMIT_S = 15
SLOW_S = 5


def probe(scene: Scene) -> list[Fact]:
    """Ask the URL that Bandwidth has, not the one that we think it has; the site's where there is no application.

    The site's callback password goes only to the server that the site file names: who typed another URL at Bandwidth
    would be given it.
    """
    run, found = scene.run, None
    with contextlib.suppress(BwlibError):  # the probe of Bandwidth says so
        found = find_application(run.on.client, run.settings.application.name)
    wanted = run.on.application
    url = found.call_initiated_url if found else wanted.call_initiated_url
    ours = _server(url) == _server(wanted.call_initiated_url)
    try:
        answer = check_callback(
            url,
            number=run.on.number,
            dial=run.settings.test.dial,
            user=(found or wanted).callback_user if ours else None,
            password=wanted.callback_password if ours else None,
            on_exchange=run.on.recorder,
            verify=run.on.callback_ca or True,
        )
    except CallbackFault as fault:
        if fault.kind == "credentials" and not ours:
            says = f"{url} asks for credentials; they are not sent to a server that the site file does not name"
            return [Fact("callback", UNKNOWN, says, SOURCE)]
        return [Fact("callback", fault.kind, f"{fault.attempted}: {fault.came_back}", SOURCE)]
    verbs = ", ".join(answer.verbs) or "no verb"
    if answer.elapsed_s > SLOW_S:
        return [slow(url, f"it answered only after {answer.elapsed_s:.1f} s")]
    says = f"{url} answered {answer.status} with BXML ({verbs}) in {answer.elapsed_s:.2f} s, from here"
    return [Fact("callback", "alive", says, SOURCE)]


def _server(url: str) -> tuple[str, str]:
    """Scheme, and host with port."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def slow(url: str, what: str) -> Fact:
    """The fact for an answer that Bandwidth may not wait for."""
    return Fact("callback", "slow", f"{url}: {what}; Bandwidth gives up after {LIMIT_S} s", SOURCE)
