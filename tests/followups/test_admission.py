"""Breaker, rate and switch: what is spent on a dead provider, what waits, what goes on."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from credits.selectors import imbalances
from followups.channels.base import Accepted
from followups.choices import BreakerState, State
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import Attempt, ChannelSwitch, FollowUpSchedule
from followups.selectors.channels import breaker_key, breakers, claimable, is_paused
from followups.services import admission
from followups.services.admission import BREAKER_CALLS, BREAKER_FAILURES, give_back, report
from followups.services.delivery import LOOKS_AFTER_SECONDS, deliver
from followups.services.dispatch import claim_due
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.switching import ensure_switches, switch_channel
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import NotFound
from jyotiflow.valkey import valkey
from tests.followups.conftest import ScriptedChannel
from tests.followups.steps import admit

pytestmark = pytest.mark.django_db

DEAD = NotProcessed("no_connection", answered=False)


def seconds_pass(channel: str, seconds: float) -> None:
    """As if the breaker's clock had gone on."""
    key = breaker_key(channel)
    for field in ("open_until", "probe_until", "since"):
        if (moment := valkey().hget(key, field)) is not None:
            valkey().hset(key, field, float(moment) - seconds)


def state_of(channel: str) -> BreakerState:
    return breakers()[channel].state


@pytest.fixture
def due(rich_user: User, make_template: Any, provider: ScriptedChannel) -> Callable[..., None]:
    """Books follow-ups that are due this moment."""
    update_settings(changes={"min_interval_hours": 0, "max_followups_per_session": 100})

    def book(count: int, channel: str = "email") -> None:
        template = make_template(channel=channel, credits_cost=1)
        for _ in range(count):
            schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())

    return book


@pytest.fixture
def everything_is_due() -> Callable[[], None]:
    def skip() -> None:
        FollowUpSchedule.objects.filter(status=State.PENDING).update(due_at=now() - timedelta(seconds=1))

    return skip


def test_no_more_calls_are_begun_than_a_dead_provider_may_cost(provider: ScriptedChannel) -> None:
    assert [admit("email") for _ in range(BREAKER_CALLS)] == [None] * BREAKER_CALLS
    refusal = admit("email")
    assert refusal is not None
    assert (refusal.code, state_of("email")) == ("breaker_open", BreakerState.CLOSED)  # it may just be slow
    seconds_pass("email", admission.PATIENCE_SECONDS)
    assert admit("email") is not None
    assert state_of("email") == BreakerState.OPEN


def test_an_answer_makes_room_again(provider: ScriptedChannel) -> None:
    for outcome in (Accepted("1"), Rejected("550", "no"), NotProcessed("429", retry_after=1, counts=False)):
        for _ in range(BREAKER_CALLS):
            assert admit("email") is None
        assert admit("email") is not None
        report("email", outcome)
        assert admit("email") is None
        valkey().delete(breaker_key("email"))


@pytest.mark.parametrize(
    "outcome", [DEAD, OutcomeUnknown("timeout"), Misconfigured("401", "The key is wrong.")]
)
def test_failures_in_a_row_open_it(provider: ScriptedChannel, outcome: Any) -> None:
    for number in range(BREAKER_FAILURES):
        assert admit("email") is None, number
        report("email", outcome)
    assert state_of("email") == BreakerState.OPEN
    refusal = admit("email")
    assert refusal is not None
    least = 250 if isinstance(outcome, Misconfigured) else 25  # a refused account isn't mended in seconds
    assert least < refusal.seconds <= 10 * least + 50


def test_a_failure_now_and_then_opens_nothing(provider: ScriptedChannel) -> None:
    for _ in range(3 * BREAKER_FAILURES):
        for outcome in (OutcomeUnknown("500"), Accepted("1")):
            assert admit("email") is None
            report("email", outcome)
    assert state_of("email") == BreakerState.CLOSED


def test_after_the_cool_down_one_probe_decides(provider: ScriptedChannel) -> None:
    for _ in range(BREAKER_FAILURES):
        admit("email")
        report("email", DEAD)
    waits = []
    for _ in range(6):
        waits.append(breakers()["email"].seconds)
        seconds_pass("email", waits[-1])
        assert state_of("email") == BreakerState.PROBING
        assert admit("email") is None
        assert admit("email") is not None, "one probe at a time"
        report("email", DEAD)
    assert [round(wait, -1) for wait in waits] == [30, 60, 120, 240, 480, 600]
    seconds_pass("email", 600)
    assert admit("email") is None
    report("email", Accepted("1"))
    assert state_of("email") == BreakerState.CLOSED
    assert [admit("email") for _ in range(BREAKER_CALLS)] == [None] * BREAKER_CALLS


def test_a_probe_whose_worker_died_is_forgotten(provider: ScriptedChannel) -> None:
    for _ in range(BREAKER_FAILURES):
        admit("email")
        report("email", DEAD)
    seconds_pass("email", admission.COOL_DOWN_SECONDS)
    assert admit("email") is None
    assert admit("email") is not None
    seconds_pass("email", admission.PROBE_SECONDS)
    assert admit("email") is None


def test_room_that_was_not_used_is_given_back(provider: ScriptedChannel) -> None:
    for _ in range(3 * BREAKER_CALLS):
        assert admit("email") is None
        give_back("email")
    give_back("email")
    assert breakers()["email"].unanswered == 0


def test_a_dead_provider_costs_ten_calls_at_most_and_no_message(
    due: Any, provider: ScriptedChannel, run_queue: Any, everything_is_due: Any
) -> None:
    due(40)
    provider.script = [DEAD] * 1_000
    for _ in range(10):  # minutes; what failed has its own back-off, so the probes are not always the same
        run_queue()
        seconds_pass("email", 60)
        FollowUpSchedule.objects.update(due_at=F("due_at") - timedelta(seconds=60))
    probes = 4  # 30 s, 1, 2 and 4 minutes after one another
    assert BREAKER_FAILURES <= len(provider.taken) <= BREAKER_CALLS + probes
    assert set(FollowUpSchedule.objects.values_list("status", flat=True)) == {State.PENDING}
    provider.script = []
    for _ in range(6):
        everything_is_due()
        seconds_pass("email", 600)
        run_queue()
    assert set(FollowUpSchedule.objects.values_list("status", flat=True)) == {State.SENT}
    assert Attempt.objects.filter(state="accepted").count() == 40
    assert imbalances() == []


def test_what_the_breaker_turns_away_uses_up_no_try(
    due: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    due(1)
    for _ in range(BREAKER_CALLS):
        admit("email")
    assert run_queue() == 1
    follow_up = FollowUpSchedule.objects.get()
    assert (follow_up.status, follow_up.tries, follow_up.failure_code) == ("pending", 0, "breaker_open")
    assert follow_up.due_at > now()
    assert provider.taken == []


def test_for_the_first_answers_on_their_way_it_is_waited(
    due: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    due(1)
    for _ in range(BREAKER_CALLS):
        admit("email")
    answer = threading.Timer(sum(LOOKS_AFTER_SECONDS[:3]), report, ["email", Accepted("1")])
    answer.start()
    assert run_queue() == 1
    answer.join()
    follow_up = FollowUpSchedule.objects.get()
    assert (follow_up.status, follow_up.tries, follow_up.failure_code) == ("sent", 1, "")


def test_behind_an_open_breaker_nothing_is_claimed_and_then_one_as_a_probe(
    due: Any, provider: ScriptedChannel, everything_is_due: Any
) -> None:
    due(3)
    due(2, channel="in_app")
    for _ in range(BREAKER_FAILURES):
        report("email", DEAD)
    assert {claim.channel for claim in claim_due(limit=10)} == {"in_app"}
    seconds_pass("email", admission.COOL_DOWN_SECONDS)
    assert [claim.channel for claim in claim_due(limit=10)] == ["email"]
    assert claim_due(limit=10) == []


def test_what_a_rate_has_no_room_for_waits(provider: ScriptedChannel, settings: Settings) -> None:
    settings.FOLLOWUP_PER_SECOND = {"email": 5}
    began = time.monotonic()
    admitted = 0
    while admit("email") is None:
        admitted += 1
        report("email", Accepted("1"))
        if time.monotonic() - began > 3:
            break
    taken = time.monotonic() - began
    assert admitted <= 5 * (taken + 1) + 2, "one second's worth at once, then the rate"
    assert admitted >= 10


def test_a_rate_that_many_wait_for_turns_the_rest_away(
    provider: ScriptedChannel, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FOLLOWUP_PER_SECOND = {"email": 5}
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for _ in range(8):
        assert admit("email") is None
        report("email", Accepted("1"))
    refusals = [admit("email") for _ in range(20)]
    refused = [refusal for refusal in refusals if refusal]
    assert refused
    assert {refusal.code for refusal in refused} <= {"rate_limit", "breaker_open"}
    assert max(waits) <= admission.LONGEST_WAIT_SECONDS


def test_of_a_channel_with_a_rate_little_is_claimed(provider: ScriptedChannel, settings: Settings) -> None:
    settings.FOLLOWUP_PER_SECOND = {"email": 1, "sms": 100}
    assert (claimable()["email"], claimable()["sms"], claimable()["push"]) == (10, 500, 1_000)


def test_without_valkey_a_message_waits_and_no_provider_is_called(
    due: Any, provider: ScriptedChannel, run_queue: Any, settings: Settings
) -> None:
    due(1)
    due(1, channel="in_app")
    claims = claim_due(limit=10)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for cached in (valkey, admission._script):
        cached.cache_clear()
    try:
        assert claimable()["email"] == 1_000
        for claim in claims:
            deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    finally:
        del settings.REDIS_URL
        for cached in (valkey, admission._script):
            cached.cache_clear()
    states = dict(FollowUpSchedule.objects.values_list("channel", "status"))
    assert states == {"email": State.PENDING, "in_app": State.DELIVERED}  # our own table needs no leave
    assert FollowUpSchedule.objects.get(channel="email").failure_code == "admission_unknown"
    assert provider.taken == []


def test_a_paused_channel_holds_what_was_claimed_and_claims_no_more(
    due: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    due(3)
    claims = claim_due(limit=1)
    switch_channel(channel="email", is_paused=True, actor=None, reason="numbers are being moved")
    for claim in claims:
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    assert run_queue() == 0
    assert provider.taken == []
    assert set(FollowUpSchedule.objects.values_list("status", "tries")) == {(State.PENDING, 0)}
    assert breakers()["email"].unanswered == 0
    switch_channel(channel="email", is_paused=False, actor=None)
    assert run_queue() == 3
    assert set(FollowUpSchedule.objects.values_list("status", flat=True)) == {State.SENT}


def test_a_paused_channel_still_refunds_what_expires(
    due: Any, provider: ScriptedChannel, rich_user: User
) -> None:
    due(1)
    claim = claim_due(limit=1)[0]
    switch_channel(channel="email", is_paused=True, actor=None)
    FollowUpSchedule.objects.update(expires_at=now())
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    follow_up = FollowUpSchedule.objects.get()
    assert (follow_up.status, follow_up.credits_refunded) == (State.FAILED, 1)


def test_an_unknown_channel_has_no_switch() -> None:
    with pytest.raises(NotFound, match="no channel 'fax'"):
        switch_channel(channel="fax", is_paused=True, actor=None)


def test_every_channel_has_a_switch_after_loading_once_or_twice() -> None:
    assert ensure_switches() == 5
    assert ensure_switches() == 0


def test_staff_pause_and_resume_in_the_admin(admin_site: Client, admin: User) -> None:
    ensure_switches()
    rows = "/admin/followups/channelswitch/"
    chosen = ChannelSwitch.objects.get(channel="sms").pk
    page = admin_site.post(rows, {"action": "pause", "_selected_action": chosen}, follow=True)
    assert "SMS is paused." in page.content.decode()
    switch = ChannelSwitch.objects.get(channel="sms")
    assert (switch.is_paused, switch.changed_by) == (True, admin)
    admin_site.post(rows, {"action": "resume", "_selected_action": chosen})
    assert not ChannelSwitch.objects.get(channel="sms").is_paused


def test_the_gate_s_look_at_the_switch_is_one_query(django_assert_num_queries: Any) -> None:
    ensure_switches()
    with django_assert_num_queries(1):
        assert not is_paused("sms")
