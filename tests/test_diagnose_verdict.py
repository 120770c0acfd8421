"""How the table is read: what comes first, what is explained, what is only guessed, and that doubt is admitted."""

from __future__ import annotations

from facts_of_probes import OPEN, produced
from hypothesis import example, given
from hypothesis import strategies as st

from bwlib.diagnose import ladder
from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.row import SYMPTOMS
from bwlib.diagnose.rules import RULES
from bwlib.diagnose.verdict import CONFIDENCE, Verdict, judge, with_traps
from bwlib.models import Finding

REFUSED = {"outward.trunk": ladder.REFUSED_AFTER}
HEALTHY = {
    "account.applications": "ok", "account.realms": "ok", "account.credentials": "ok", "application": "found",
    "realm": "ACTIVE", "credential": "found", "credential.application": "as-wanted",
    "credential.password": "as-wanted", "clock": "right", "callback": "alive", "trunk": "found", "route": "found",
    "extension": "found", "trunk.registration": "off", "trunk.password": "as-wanted", "trunk.secret": "as-wanted",
    "trunk.username": "as-wanted", "trunk.outbound_auth": "found", "trunk.codecs": "usable", "route.matches": "yes",
    "extension.contact": "none", "direct.challenge": "challenged", "phone.register": "ok", "inward.create": "ok",
    "outward.phone": "answered", "outward.trunk": ladder.ANSWERED, "inward.pbx": ladder.ANSWERED,
    "inward.phone": "rang", "inward.identified": "yes",
    **{f"{way}.{what}": "yes" for way in ("outward", "inward") for what in ("heard", "spoken", "digits")},
    "outward.webhook": "arrived", "inward.webhook": "arrived", "outward.caller": "as-wanted",
}  # fmt: skip


def seen(facts: dict[str, str]) -> Facts:
    return Facts(Fact(name, value, f"{name} is {value}") for name, value in facts.items())


def verdict_on(facts: dict[str, str], *more: dict[str, str]) -> Verdict:
    for each in more:
        facts = {**facts, **each}
    return judge(seen(facts))


def names(verdict: Verdict) -> list[tuple[str, str]]:
    return [(cause.name, cause.confidence) for cause in verdict.causes]


def cause_of(name: str) -> str:
    return next(rule.cause for rule in RULES if rule.name == name)


# ---------------------------------------------------------------- nothing, and everything


def test_a_call_that_is_heard_both_ways_has_no_cause_and_much_is_ruled_out() -> None:
    verdict = verdict_on(HEALTHY)
    assert verdict.healthy
    assert names(verdict) == []
    assert {cause_of("wrong-password"), cause_of("no-trunk")} <= set(verdict.ruled_out)


def test_of_no_facts_at_all_nothing_follows_and_nothing_is_ruled_out() -> None:
    assert judge(Facts()) == Verdict((), (), (), ())


def test_what_could_not_be_looked_at_is_said_and_is_not_healthy() -> None:
    verdict = verdict_on(HEALTHY, {"probe.dns": "failed"})
    assert (verdict.healthy, verdict.not_looked, names(verdict)) == (False, ("probe.dns is failed",), [])


NOTHING_SET_UP = {
    "account.applications": "ok", "account.realms": "ok", "application": "absent", "realm": "absent",
    "trunk": "absent", "route": "absent", "extension": "absent", "route.matches": "no", "phone.register": "refused",
    "outward.phone": "not-answered", "outward.trunk": ladder.NO_INVITE,
}  # fmt: skip


def test_a_site_that_was_never_set_up_is_one_cause_and_not_many() -> None:
    assert names(verdict_on(NOTHING_SET_UP)) == [("nothing-set-up", "proven")]
    half = names(verdict_on(NOTHING_SET_UP, {"application": "found"}))
    assert half == [(name, "proven") for name in ("no-realm", "no-trunk", "no-route-object", "no-extension")]


# ---------------------------------------------------------------- what comes first


def test_proven_comes_before_likely_before_possible_before_found() -> None:
    verdict = verdict_on(
        HEALTHY, {"route.matches": "no", "outward.trunk": ladder.NO_INVITE, "outward.phone": "not-answered"},
        {"inward.pbx": ladder.REFUSED_BEFORE, "inward.phone": "did-not-ring"}, {"trunk.transfers": "differs"},
        {"phone.register": "silent"},
    )  # fmt: skip
    assert names(verdict) == [
        ("no-route", "proven"), ("pbx-deaf", "likely"), ("pbx-refuses-inward", "possible"), ("transfers-on", "found"),
    ]  # fmt: skip


def test_a_failing_call_that_something_read_explains_needs_no_guess() -> None:
    verdict = verdict_on(HEALTHY, REFUSED, {"outward.phone": "not-answered", "trunk.username": "differs"})
    assert names(verdict) == [("wrong-username", "proven")]
    assert verdict.unexplained == ()
    assert set(verdict.causes[0].because) == {
        "trunk.username is differs", "outward.trunk is refused-after-credentials", "outward.phone is not-answered",
    }  # fmt: skip


def test_two_failures_of_two_causes_are_both_named() -> None:
    verdict = verdict_on(
        HEALTHY, REFUSED, {"trunk.password": "differs", "trunk.secret": "differs"},
        {"trunk.bandwidth_ips": "differs", "inward.pbx": ladder.NOT_RETRIED, "inward.phone": "did-not-ring"},
    )  # fmt: skip
    assert names(verdict) == [("wrong-password", "proven"), ("no-identify", "proven")]


def test_a_cause_that_does_not_explain_the_failure_does_not_stop_the_guessing() -> None:
    verdict = verdict_on(HEALTHY, REFUSED, {"trunk.registration": "on"})
    assert names(verdict) == [
        ("credentials-refused", "possible"), ("policy-refused", "possible"), ("registration-on", "found"),
    ]  # fmt: skip


# ---------------------------------------------------------------- causes that are easily taken for each other


def test_a_refusal_after_credentials_leaves_two_causes_and_says_how_to_tell_them_apart() -> None:
    verdict = verdict_on(HEALTHY, REFUSED, {"outward.phone": "not-answered"})
    assert names(verdict) == [("credentials-refused", "possible"), ("policy-refused", "possible")]
    assert all(cause.next_probe for cause in verdict.causes)


def test_a_password_that_changed_at_bandwidth_is_told_from_one_that_is_wrong_on_the_trunk() -> None:
    wrong = {"trunk.password": "differs"}
    sides = {
        "wrong-password": {"trunk.secret": "differs", "credential.password": "as-wanted"},
        "rotated-password": {"trunk.secret": "as-wanted", "credential.password": "differs"},
        "site-password": {"trunk.secret": "differs", "credential.password": "differs"},
    }
    for name, facts in sides.items():
        verdict = verdict_on(HEALTHY, REFUSED, wrong, facts)
        assert names(verdict) == [(name, "proven")]
        assert cause_of("wrong-password") not in verdict.ruled_out


def test_a_trunk_that_is_right_is_not_blamed_for_a_site_file_that_is_not() -> None:
    verdict = verdict_on(HEALTHY, {"credential.password": "differs", "trunk.secret": "differs"})
    assert names(verdict) == [("site-password", "found")]


def test_a_password_nobody_can_compare_with_the_site_file_is_still_compared_with_bandwidth() -> None:
    facts = {"trunk.password": "differs", "trunk.secret": UNKNOWN, "credential.password": UNKNOWN}
    verdict = verdict_on(HEALTHY, REFUSED, facts)
    assert names(verdict) == [("wrong-password", "proven")]
    assert verdict.causes[0].because == ("trunk.password is differs", "outward.trunk is refused-after-credentials")


def test_the_password_of_a_sip_uri_is_compared_with_the_site_file() -> None:
    facts = {"outward.trunk": ladder.REFUSED_AFTER, "sip_uri": "enabled", "trunk.secret": "differs"}
    assert names(verdict_on(facts)) == [("wrong-password", "proven")]


def test_a_token_refused_while_the_clock_is_wrong_is_the_clocks_fault_and_the_token_is_not_ruled_out() -> None:
    for word in ("token-refused", "no-token"):
        verdict = verdict_on({"clock": "off", "account.applications": word})
        assert [name for name, _ in names(verdict)] == ["clock-skew"]
        assert cause_of(word) not in verdict.ruled_out


def test_silence_at_the_pbx_is_told_from_silence_of_the_realm_by_the_same_packet_from_here() -> None:
    silent = {"outward.trunk": ladder.SILENT, "outward.phone": "not-answered", "outward.left": "yes"}
    assert names(verdict_on(HEALTHY, silent)) == [("firewall-at-pbx", "likely")]
    assert names(verdict_on(HEALTHY, silent, {"direct.challenge": "silent"})) == [("realm-silent", "likely")]


def test_a_realm_that_is_silent_is_found_also_where_no_call_was_placed() -> None:
    verdict = verdict_on({"direct.challenge": "silent"})
    assert names(verdict) == [("realm-silent", "found")]
    assert names(verdict_on({"direct.challenge": "silent", "outward.phone": "answered"})) == []


def test_what_is_lost_with_the_sound_needs_no_cause_of_its_own() -> None:
    lost = {"outward.spoken": "no", "outward.digits": "no"}
    verdict = verdict_on(HEALTHY, lost)
    assert names(verdict) == [("rtp-from-pbx-lost", "likely")]
    assert verdict.unexplained == ()


def test_what_a_call_that_was_cut_short_lacks_is_not_lost() -> None:
    cut = {"outward.cut": "yes", "outward.spoken": "no", "outward.heard": "lossy", "outward.digits": "no"}
    for bye, name in (("pbx", "cut-by-pbx"), ("realm", "cut-by-realm")):
        verdict = verdict_on(HEALTHY, cut, {"outward.bye": bye})
        assert (names(verdict), verdict.unexplained) == ([(name, "likely")], ())
    verdict = verdict_on(HEALTHY, cut)
    assert (names(verdict), verdict.unexplained) == ([("cut-short", "possible")], ())


def test_audio_that_the_pbx_wants_elsewhere_is_no_reason_for_loss_nor_where_it_comes_in() -> None:
    elsewhere = {"outward.sdp": "elsewhere"}
    assert names(verdict_on(HEALTHY, elsewhere)) == []  # another machine takes its audio, and it is heard
    assert names(verdict_on(HEALTHY, elsewhere, {"outward.heard": "lossy"})) == [("packets-lost", "likely")]
    deaf = {"outward.heard": "no", "outward.rtp": "none-in"}
    assert names(verdict_on(HEALTHY, elsewhere, deaf)) == [("nat-address", "proven")]


def test_options_of_somebody_elses_are_looked_at_only_where_a_call_fails_and_nothing_else_explains_it() -> None:
    others = {"pbx.options": "others"}
    assert verdict_on(HEALTHY, others).healthy
    assert ("other-options", "possible") in names(verdict_on(HEALTHY, others, REFUSED))
    assert names(verdict_on(HEALTHY, others, REFUSED, {"trunk.username": "differs"})) == [("wrong-username", "proven")]


def test_a_number_that_was_changed_is_no_lost_webhook() -> None:
    changed = {"outward.number": "differs", "outward.webhook": "arrived"}
    assert names(verdict_on(HEALTHY, changed)) == [("route-number", "likely")]


def test_one_cause_seen_in_both_calls_is_named_once_with_the_evidence_of_both() -> None:
    verdict = verdict_on(HEALTHY, {f"{way}.heard": "lossy" for way in ("outward", "inward")})
    assert names(verdict) == [("packets-lost", "likely")]
    assert {"outward.heard is lossy", "inward.heard is lossy"} <= set(verdict.causes[0].because)


# ---------------------------------------------------------------- where nobody sees the trunk's messages


def test_a_call_that_is_not_answered_is_a_failure_also_where_nobody_sees_the_trunk() -> None:
    blind = {name: value for name, value in HEALTHY.items() if name != "outward.trunk"}
    verdict = verdict_on(blind, {"outward.phone": "not-answered"})
    assert (verdict.healthy, names(verdict), verdict.unexplained) == (False, [], ("outward.phone is not-answered",))
    verdict = verdict_on(blind, {"outward.phone": "not-answered", "trunk.username": "differs"})
    assert (names(verdict), verdict.unexplained) == ([("wrong-username", "proven")], ())


def test_what_stops_a_call_at_the_trunk_does_not_explain_a_phone_whose_call_the_realm_answered() -> None:
    verdict = verdict_on(HEALTHY, {"outward.phone": "not-answered", "trunk.username": "differs"})
    assert names(verdict) == [("wrong-username", "found")]
    assert verdict.unexplained == ("outward.phone is not-answered",)


# ---------------------------------------------------------------- "I do not know"


def test_a_failure_that_nothing_explains_is_said_with_what_was_ruled_out() -> None:
    verdict = verdict_on(HEALTHY, {"inward.create": "refused"})
    assert names(verdict) == []
    assert verdict.unexplained == ("inward.create is refused",)
    assert not verdict.healthy
    assert len(verdict.ruled_out) > 10


def test_nothing_is_ruled_out_by_what_is_not_known() -> None:
    verdict = verdict_on({"credential.password": UNKNOWN, "trunk.secret": UNKNOWN, "direct.challenge": "silent"})
    assert verdict.ruled_out == ()


def test_a_cause_of_several_places_is_ruled_out_only_when_none_of_them_shows_it() -> None:
    said = cause_of("callback-get")
    assert said in verdict_on({"application.call_initiated_method": "as-wanted"}).ruled_out
    one = {"application.call_initiated_method": "as-wanted", "application.call_status_method": "differs"}
    assert said not in verdict_on(one).ruled_out


# ---------------------------------------------------------------- a call that is over


def test_a_past_call_is_explained_by_what_is_read_or_by_how_bandwidth_says_it_ended() -> None:
    assert names(verdict_on({"call.cause": "callback-error", "callback": "alive"})) == [
        ("call-callback-error", "likely")
    ]
    assert names(verdict_on({"call.cause": "callback-error", "callback": "dead"})) == [("callback-dead", "proven")]
    assert verdict_on({"call.cause": "hangup"}).healthy
    assert verdict_on({"call.cause": "error"}).unexplained == ("call.cause is error",)


def test_a_past_calls_own_messages_say_more_than_its_last_word() -> None:
    verdict = verdict_on({"call.cause": "rejected", "inward.pbx": ladder.REFUSED_BEFORE})
    assert ("pbx-refuses-inward", "possible") in names(verdict)
    assert verdict.unexplained == ()


# ---------------------------------------------------------------- traps of the PBX


def test_traps_of_the_pbx_stand_behind_what_is_proven_with_their_own_evidence_and_fix() -> None:
    trap = Finding("Two trunks have this name, and one of them wins", ("trunk id 3", "trunk id 4"), "delete one")
    well = {**HEALTHY, **REFUSED, "trunk.username": "differs", "trunk.transfers": "differs"}
    verdict = with_traps(verdict_on(well), [trap])
    assert names(verdict) == [("wrong-username", "proven"), ("pbx-trap", "found"), ("transfers-on", "found")]
    cause = verdict.causes[1]
    assert (cause.cause, cause.because, cause.fix) == (trap.cause, trap.evidence, trap.fix)


def test_a_trap_that_the_table_names_itself_is_not_said_twice() -> None:
    trap = Finding(cause_of("registration-on"), ("sip:realm Registered",), "take it out", "registration-on")
    assert names(with_traps(verdict_on({"trunk.registration": "on"}), [trap])) == [("registration-on", "found")]
    assert names(with_traps(verdict_on(HEALTHY), [trap])) == [("pbx-trap", "found")]
    assert not with_traps(verdict_on(HEALTHY), [trap]).healthy


# ---------------------------------------------------------------- whatever was seen

MADE = {name: sorted((values - {OPEN}) | {UNKNOWN, "something-else"}) for name, values in produced().items()}
ANYTHING = st.lists(st.sampled_from(sorted(MADE)), unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({name: st.sampled_from(MADE[name]) for name in chosen})
)
# Mostly well, with a few things otherwise: as it is met.
SEEN = ANYTHING | st.lists(st.sampled_from(sorted(MADE)), max_size=4, unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries(
        {**{name: st.just(value) for name, value in HEALTHY.items()}, **{n: st.sampled_from(MADE[n]) for n in chosen}}
    )
)


@given(SEEN)
@example(HEALTHY)
def test_whatever_was_seen_a_verdict_is_sound(facts: dict[str, str]) -> None:
    verdict, known = verdict_on(facts), {f"{name} is {value}" for name, value in facts.items()}
    failed = {f"{name} is {value}" for name, value in facts.items() if value in SYMPTOMS.get(name, ())}
    order = [list(CONFIDENCE).index(cause.confidence) for cause in verdict.causes]
    assert order == sorted(order)
    assert len({cause.name for cause in verdict.causes}) == len(verdict.causes)
    for cause in verdict.causes:
        assert cause.because
        assert set(cause.because) <= known
        assert len(set(cause.because)) == len(cause.because)
        if cause.confidence in ("proven", "likely", "possible"):
            assert failed, cause
        if cause.confidence == "proven":
            assert set(cause.because) & failed, cause
    logged = {said for said in known if said.startswith("log.")}  # quoted beside what is not known
    assert set(verdict.unexplained) - logged <= failed
    assert set(verdict.unexplained) & failed or not verdict.unexplained
    assert verdict.healthy == (not verdict.causes and not verdict.unexplained and not verdict.not_looked)
    assert not (verdict.healthy and failed)
    assert not {cause.cause for cause in verdict.causes} & set(verdict.ruled_out)


@given(SEEN)
def test_every_failure_that_was_seen_is_explained_guessed_at_or_said_to_be_unknown(facts: dict[str, str]) -> None:
    failed = {f"{name} is {value}" for name, value in facts.items() if value in SYMPTOMS.get(name, ())}
    verdict = verdict_on(facts)
    if failed and not verdict.causes:
        assert {said for said in verdict.unexplained if not said.startswith("log.")} == failed


@given(SEEN, st.randoms(use_true_random=False))
def test_the_order_in_which_things_were_seen_changes_nothing(facts: dict[str, str], random: object) -> None:
    shuffled = list(facts.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = verdict_on(facts), verdict_on(dict(shuffled))
    assert names(one) == names(other)
    assert set(one.unexplained) == set(other.unexplained)
    assert one.ruled_out == other.ruled_out
