"""What the picture of the whole says of a site, by what its runs did: done, failed, undone, changed since."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from reported_run import FQDN, empty_run

from bwlib import overview_now
from bwlib.models import Application
from bwlib.record.overview_parts import Overview
from bwlib.record.run_record import RunRecord
from bwlib.settings import load_settings

ACCOUNT = "9900001"
SITE = """
name = "demo"
[application]
name = "PBX Interconnect demo"
[realm]
name = "demo"
[sip_credential]
username = "pbx"
[pbx]
trunk = "demo"
route = "demo"
extension = "191"
"""
HEARD = {
    "digits": "4",
    "heard by the phone": "correlation 0.9999 over 6.1 s",
    "webhooks": "initiate gather disconnect",
}
OBJECTS: dict[str, dict[str, str]] = {
    "application": {"name": "PBX Interconnect demo", "id": "app-1", "call_initiated_url": "https://a.test/initiate"},
    "callback": {"url": "https://a.test/initiate"},
    "realm": {"fqdn": FQDN, "id": "1"},
    "sip_credential": {"username": "pbx", "id": "2", "realm_id": "1"},
    "trunk": {"name": "demo", "username": "pbx", "from_user": "+19195550100"},
    "route": {"name": "demo"},
    "extension": {"number": "191", "display_name": "Extension 191"},
    "no_registration": {"outbound registrations to the realm": "none"},
    "call_from_extension": HEARD,
    "call_to_extension": HEARD,
}
CREATED = ("application", "realm", "sip_credential", "trunk", "route", "extension")


class Site:
    """A site's runs, written step by step, and the picture of them."""

    def __init__(self, folder: Path, text: str = SITE) -> None:
        self.folder = folder
        (folder / "site.toml").write_text(text)
        self.record = self.new_run()

    def new_run(self, account: str = ACCOUNT) -> RunRecord:
        self.record = empty_run(self.folder)
        self.record.journal.append("notebook_opened", account=account)
        return self.record

    def write(self, step: str, status: str = "passed", **facts: Any) -> None:
        self.record.journal.append("step", step=step, status="running")
        self.record.journal.append("step", step=step, status=status, operator="anna", **facts)

    def done(self, *steps: str) -> None:
        for step in steps:
            action = "created" if step in CREATED else "passed"
            self.write(step, action=action, object=OBJECTS[step], account=ACCOUNT)

    def undone(self, step: str, action: str = "removed", thing: dict[str, str] | None = None) -> None:
        self.write(f"undo {step}", action=action, undone=thing or OBJECTS[step], account=ACCOUNT)

    def overview(self) -> Overview:
        application = Application("PBX Interconnect demo", "https://a.test/initiate")
        return overview_now.parts_of(
            load_settings(self.folder / "site.toml"), ACCOUNT, number="+19195550100", application=application
        )

    def states(self) -> dict[str, str]:
        shown = self.overview()
        return {name: part.state for name, part in shown.parts.items()} | {
            f"call {number}": call.state for number, call in enumerate(shown.calls, start=1)
        }

    def proven(self) -> set[str]:
        return {name for name, state in self.states().items() if state == "proven"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


ALL = {"phone", "pbx", "trunk", "realm", "application", "webhooks", "call 1", "call 2"}


def test_before_anything_is_done_the_sites_own_names_are_drawn_and_nothing_is_proven(site: Site) -> None:
    assert set(site.states()) == ALL
    assert set(site.states().values()) == {"not proven"}
    text = site.overview().text()
    assert text.splitlines()[0] == "Phone: not proven (extension 191)"
    for own in ("PBX Interconnect demo", "https://a.test/initiate", "credential pbx", "route demo", "+19195550100"):
        assert own in text
    assert text.count("not placed yet") == 2


def test_after_guide_step_1_the_application_is_proven_and_says_when_and_by_whom(site: Site) -> None:
    site.done("application", "callback")
    assert site.proven() == {"application", "webhooks"}
    day = site.record.journal.lines()[-1]["at"][:10]
    assert f"done at {day} " in site.overview().parts["application"].when
    assert site.overview().parts["application"].when.endswith(" UTC by anna")


def test_a_part_of_two_things_is_proven_when_both_are(site: Site) -> None:
    site.done("realm")
    assert site.states()["realm"] == "not proven"
    assert FQDN in site.overview().parts["realm"].values
    site.done("sip_credential")
    assert site.states()["realm"] == "proven"


def test_when_all_is_done_all_is_proven_also_over_several_runs(site: Site) -> None:
    for step in OBJECTS:
        site.done(step)
        site.new_run()
    assert site.proven() == ALL
    shown = site.overview()
    assert "seen in calls: initiate, gather, disconnect" in shown.parts["webhooks"].values
    assert shown.calls[0].values == ("heard, correlation 0.9999", "digits 4")


def test_what_was_undone_is_not_proven_nor_are_the_calls_that_used_it(site: Site) -> None:
    site.done(*OBJECTS)
    site.new_run()
    site.undone("trunk")
    assert ALL - site.proven() == {"trunk", "call 1", "call 2", "phone"}
    assert site.overview().parts["trunk"].when.startswith("undone at ")
    assert site.overview().calls[0].values == ("heard before the last change (Trunk)",)


def test_an_undo_that_kept_it_or_took_another_thing_takes_no_proof_back(site: Site) -> None:
    site.done(*OBJECTS)
    site.undone("trunk", "kept")
    site.undone("realm", thing={"fqdn": "old-1.auth.bandwidth.test", "id": "77"})
    assert site.proven() == ALL


def test_what_is_made_anew_is_proven_and_the_calls_are_not_until_they_are_heard_again(site: Site) -> None:
    site.done(*OBJECTS)
    site.undone("realm")
    site.done("realm")
    assert ALL - site.proven() == {"call 1", "call 2", "phone"}
    site.done("call_from_extension")
    assert ALL - site.proven() == {"call 2"}


def test_a_step_that_failed_shows_failed_with_what_was_known_before(site: Site) -> None:
    site.done(*OBJECTS)
    site.new_run()
    site.write("realm", "failed", came_back="503 from Bandwidth")
    site.write("call_from_extension", "failed", came_back="503 Service Unavailable")
    shown = site.overview()
    assert (shown.parts["realm"].state, shown.parts["realm"].values[0]) == ("failed", FQDN)
    assert shown.parts["realm"].when.startswith("failed at ")
    assert (shown.calls[0].state, shown.calls[0].values) == ("failed", ("503 Service Unavailable",))
    assert shown.parts["phone"].state == "not proven"  # the other call was heard before that


@pytest.mark.parametrize(("status", "action"), [("pending", "planned"), ("skipped", "skipped")])
def test_a_plan_proves_nothing_and_takes_nothing_back(site: Site, status: str, action: str) -> None:
    site.write("realm", status, action=action, account=ACCOUNT)
    assert site.states()["realm"] == "not proven"
    site.done("realm", "sip_credential")
    site.write("realm", status, action=action, account=ACCOUNT)
    assert site.states()["realm"] == "proven"


def test_what_runs_did_at_another_account_proves_nothing_here(site: Site) -> None:
    site.new_run("1234567")
    site.write("application", action="created", object=OBJECTS["application"], account="1234567")
    site.write("realm", "failed", came_back="403")
    assert set(site.states().values()) == {"not proven"}


def test_what_a_person_did_on_the_pbx_is_proven_by_the_check_that_read_it_back(site: Site) -> None:
    named = {"trunk": "demo", "route": "demo", "extension": "191"}
    site.write("check_pbx", action="passed", object=named, account=ACCOUNT)
    assert site.proven() == {"pbx"}
    site.write("ready", action="passed", object=named, account=ACCOUNT)
    assert site.proven() == {"pbx", "trunk"}
    (site.folder / "site.toml").write_text(SITE.replace('trunk = "demo"', 'trunk = "other"'))
    assert site.proven() == {"pbx"}


def test_what_the_site_file_calls_otherwise_by_now_is_not_proven(site: Site) -> None:
    site.done(*OBJECTS)
    (site.folder / "site.toml").write_text(SITE.replace('trunk = "demo"', 'trunk = "other"'))
    assert site.states()["trunk"] == "not proven"
    assert site.overview().parts["trunk"].values[0] == "other"
    assert site.states()["application"] == "proven"


def test_by_the_second_road_the_sip_uri_takes_the_realms_place(tmp_path: Path) -> None:
    site = Site(tmp_path, 'road = "sip-uri"\n' + SITE)
    uri = "sip:ceed057d-970c-4ae0-bc09-73e894234f9a@sip-uri.voice-api.bandwidth.test"
    assert site.overview().parts["realm"].name == "SIP URI"
    site.write("inbound_sip_uri", action="created", object={"uri": uri, "application_id": "app-1"}, account=ACCOUNT)
    part = site.overview().parts["realm"]
    assert (part.name, part.values, part.state) == ("SIP URI", (uri,), "proven")
    site.undone("inbound_sip_uri", thing={"uri": uri, "application_id": "app-1"})
    assert site.states()["realm"] == "not proven"


def test_a_spoilt_journal_is_left_out_from_where_it_is_spoilt(site: Site) -> None:
    site.done("realm", "sip_credential")
    with site.record.journal.path.open("a") as journal:
        journal.write("no line\n")
    site.new_run()
    site.done("application")
    assert site.proven() == {"realm", "application"}


def test_the_picture_is_whole_and_its_words_are_its_description(site: Site) -> None:
    site.done(*OBJECTS)
    root = ElementTree.fromstring(site.overview().svg())
    described = root.find("{http://www.w3.org/2000/svg}desc")
    assert described is not None
    assert described.text == site.overview().text()
    assert "Bandwidth (sandbox)" in root.itertext()
    dates = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text") if "by anna" in (text.text or "")]
    assert len(dates) == 7  # pbx, trunk, realm, application, webhooks and the two calls


def test_a_run_shows_it_with_words_beside_it_and_without_its_secrets(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    shown: list[tuple[str, str]] = []
    monkeypatch.setattr("bwlib.widgets.show.show_drawing", lambda svg, text: shown.append((svg, text)))
    site.record.redactor.learn("a name", "PBX Interconnect demo")
    on = SimpleNamespace(account_id=ACCOUNT, number="+1", target="sandbox", application=Application("x", "https://b/"))
    run: Any = SimpleNamespace(settings=load_settings(site.folder / "site.toml"), on=on, record=site.record)
    overview_now.show_overview(run)
    ((svg, text),) = shown
    assert svg.startswith("<svg")
    assert "the sandbox's Asterisk" in text
    assert "PBX Interconnect demo" not in svg + text


def test_a_check_that_failed_takes_back_what_it_had_confirmed(site: Site) -> None:
    site.done(*OBJECTS)
    site.new_run()
    site.write("check_pbx", "failed", came_back="trunk.registration is yes")
    shown = site.overview()
    assert (shown.parts["trunk"].state, shown.parts["realm"].state) == ("not proven", "proven")
