"""What a channel or the law would refuse: not sold, and looked at again at the gate."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.checks import run_checks
from django.utils.timezone import now
from pytest_django import Settings

from credits.selectors import balance_of
from followups.addresses import hash_address, phone_fault, sms_fault
from followups.channels.india import PROMOTION_CLOSED
from followups.channels.whatsapp import REPLY_WINDOW
from followups.choices import Origin, State, SuppressionReason
from followups.exceptions import LimitReached, Unreachable
from followups.gate import Go, Later, Never, verdict
from followups.models import FollowUpSchedule, InboundMessage, SessionPlan
from followups.selectors.refusals import Order, every_refusal
from followups.selectors.settings import effective_settings
from followups.services.consent import opt_out, suppress
from followups.services.planning import plan_session
from followups.services.retrying import retry_follow_up
from followups.services.scheduling import schedule_follow_up, send_now
from followups.services.settings import update_settings
from followups.timing import first_free
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory
from tests.followups.consent.conftest import CONTENT, PHONE
from tests.followups.test_gate import FINE, KOLKATA

pytestmark = pytest.mark.django_db
DLT = {"dlt_template_id": "1107160000000000001", "tamil_dlt_template_id": "1107160000000000002"}
LONDON = "+447400123456"


@pytest.fixture
def domestic(real_channels: Settings) -> Settings:
    """India's domestic route."""
    real_channels.DLT_ENTITY_ID = "1101234567890123456"
    return real_channels


@pytest.fixture
def evening() -> Iterator[datetime]:
    """22:30 in Kolkata."""
    moment = datetime(2026, 5, 1, 22, 30, tzinfo=KOLKATA)
    with time_machine.travel(moment, tick=True):
        yield moment


def code_of(**order: Any) -> str:
    with pytest.raises(Unreachable) as refused:
        schedule_follow_up(**order)
    return refused.value.code


# --- Phone numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (PHONE, None),
        (LONDON, None),
        ("+14155550100", None),  # in the US nobody can tell mobiles from landlines
        ("+914423456789", "not_mobile"),
        ("+442079460000", "not_mobile"),
        ("+18005551234", "not_mobile"),
        ("+91984001234", "invalid_phone"),
        ("+9198400123456", "invalid_phone"),
        ("98400 12345", "invalid_phone"),
        ("", "invalid_phone"),
    ],
)
def test_an_sms_needs_a_valid_number_that_may_be_a_mobile(number: str, fault: str | None) -> None:
    found = sms_fault(number)
    assert (found.code if found else None) == fault
    assert (phone_fault(number) is None) == (fault != "invalid_phone")  # a landline may be on WhatsApp


def test_sms_go_to_the_countries_named(rich_user: User, make_template: Any, real_channels: Settings) -> None:
    sms = make_template(channel="sms")
    real_channels.SMS_COUNTRIES = ["GB", "US"]
    assert code_of(user=rich_user, template_id=sms.pk) == "country_not_allowed"
    assert balance_of(rich_user) == 100
    real_channels.SMS_COUNTRIES = ["GB", "IN"]
    schedule_follow_up(user=rich_user, template_id=sms.pk)


@pytest.mark.parametrize(
    ("phone", "code"), [("+914423456789", "not_mobile"), ("+91984001234", "invalid_phone")]
)
def test_a_number_no_sms_reaches_is_not_sold_to_and_costs_nothing_at_the_gate(
    rich_user: User, make_template: Any, run_queue: Any, phone: str, code: str
) -> None:
    sms = make_template(channel="sms")
    schedule_follow_up(user=rich_user, template_id=sms.pk, scheduled_at=now())
    User.objects.filter(pk=rich_user.pk).update(phone=phone)
    run_queue()
    failed = FollowUpSchedule.objects.get()
    assert (failed.status, failed.failure_code, balance_of(rich_user)) == (State.FAILED, code, 100)
    rich_user.refresh_from_db()
    assert code_of(user=rich_user, template_id=sms.pk) == code


# --- WhatsApp: 24 hours -------------------------------------------------------------------------------------


def test_without_approval_and_without_a_reply_nothing_is_sold(
    rich_user: User, make_template: Any, real_channels: Settings
) -> None:
    assert code_of(user=rich_user, template_id=make_template(channel="whatsapp").pk) == "not_approved"


def test_within_a_day_of_the_readers_message_free_text_is_sold(
    rich_user: User, make_template: Any, real_channels: Settings, reply: Any
) -> None:
    template = make_template(channel="whatsapp")
    reply("நன்றி", channel="whatsapp")
    update_settings(changes={"min_interval_hours": 0})
    for hours, sold in ((0, True), (23, True), (24, False), (48, False)):
        order = {
            "user": rich_user,
            "template_id": template.pk,
            "scheduled_at": now() + timedelta(hours=hours),
        }
        if sold:
            schedule_follow_up(**order)
        else:
            assert code_of(**order) == "outside_window"
    assert balance_of(rich_user) == 90


def test_an_sms_opens_no_window_on_whatsapp(
    rich_user: User, make_template: Any, real_channels: Settings, reply: Any
) -> None:
    reply("Hello", channel="sms")
    assert code_of(user=rich_user, template_id=make_template(channel="whatsapp").pk) == "not_approved"


@pytest.mark.parametrize(("sid", "status"), [("", State.FAILED), (CONTENT, State.PENDING)])
def test_what_is_late_for_the_window_fails_and_is_refunded_unless_approved(
    rich_user: User,
    make_template: Any,
    real_channels: Settings,
    reply: Any,
    run_queue: Any,
    sid: str,
    status: State,
) -> None:
    template = make_template(channel="whatsapp", whatsapp_content_sid=sid)
    reply("Hello", channel="whatsapp")
    schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    InboundMessage.objects.update(received_at=now() - REPLY_WINDOW)
    run_queue()
    follow_up = FollowUpSchedule.objects.get()
    assert follow_up.status == status  # an approved one went to the provider, which is not there
    if status == State.FAILED:
        assert follow_up.failure_code == "outside_window"
        assert "24 hours" in follow_up.failure_reason
        assert balance_of(rich_user) == 100


# --- India --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ta"])
def test_on_the_domestic_route_only_a_text_registered_in_its_language_is_sold(
    rich_user: User, make_template: Any, domestic: Settings, language: str
) -> None:
    User.objects.filter(pk=rich_user.pk).update(preferred_language=language)
    rich_user.refresh_from_db()
    assert code_of(user=rich_user, template_id=make_template(channel="sms").pk) == "dlt_missing"
    assert balance_of(rich_user) == 100
    both = schedule_follow_up(user=rich_user, template_id=make_template(channel="sms", **DLT).pk)
    assert both.language == language


def test_a_text_registered_in_english_only_goes_to_a_tamil_reader_in_english(
    rich_user: User, make_template: Any, domestic: Settings
) -> None:
    User.objects.filter(pk=rich_user.pk).update(preferred_language="ta")
    rich_user.refresh_from_db()
    template = make_template(channel="sms", dlt_template_id="1107160000000000001")
    assert schedule_follow_up(user=rich_user, template_id=template.pk).language == "en"


def test_off_the_route_and_to_other_countries_no_dlt_rule_holds(
    rich_user: User, make_template: Any, domestic: Settings
) -> None:
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(channel="sms")
    User.objects.filter(pk=rich_user.pk).update(phone=LONDON)
    rich_user.refresh_from_db()
    schedule_follow_up(user=rich_user, template_id=template.pk)
    User.objects.filter(pk=rich_user.pk).update(phone=PHONE)
    rich_user.refresh_from_db()
    domestic.DLT_ENTITY_ID = ""
    schedule_follow_up(user=rich_user, template_id=template.pk)


def test_a_route_taken_after_the_booking_is_seen_at_the_gate(
    rich_user: User, make_template: Any, real_channels: Settings, run_queue: Any
) -> None:
    schedule_follow_up(user=rich_user, template_id=make_template(channel="sms").pk, scheduled_at=now())
    real_channels.DLT_ENTITY_ID = "1101234567890123456"
    run_queue()
    failed = FollowUpSchedule.objects.get()
    assert (failed.status, failed.failure_code, balance_of(rich_user)) == (State.FAILED, "dlt_missing", 100)


PROMOTIONAL = {**DLT, "template_type": "offer"}
SERVICE = {**DLT, "template_type": "offer", "dlt_category": "service"}


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        (PROMOTIONAL, True),
        (SERVICE, False),
        (DLT, False),
        ({**DLT, "dlt_category": "promotional"}, True),
        ({**DLT, "dlt_category": "transactional"}, False),
    ],
)
def test_promotion_waits_for_ten_oclock_whoever_asked(
    rich_user: User,
    make_template: Any,
    domestic: Settings,
    evening: datetime,
    fields: dict[str, str],
    waits: bool,
) -> None:
    template = make_template(channel="sms", credits_cost=0, **fields)
    ten = datetime(2026, 5, 2, 10, tzinfo=KOLKATA)
    wanted = evening + timedelta(minutes=10)
    booked = schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=wanted)
    assert booked.scheduled_at == (ten if waits else wanted)


def test_send_now_of_a_promotion_at_night_is_booked_for_the_morning(
    rich_user: User, make_template: Any, domestic: Settings, evening: datetime
) -> None:
    make_template(channel="sms", dlt_category="promotional", **DLT)
    session = SessionFactory(user=rich_user, completed=True)
    booked = send_now(user=rich_user, session_id=session.pk, channel="sms")
    assert booked.scheduled_at == datetime(2026, 5, 2, 10, tzinfo=KOLKATA)


def test_a_plan_keeps_to_the_hours_of_promotion(
    rich_user: User, make_template: Any, domestic: Settings, evening: datetime
) -> None:
    make_template(channel="sms", dlt_category="promotional", local_time=time(8), sequence_order=1, **DLT)
    plan_session(session_id=SessionFactory(user=rich_user, completed=True).pk)
    planned = FollowUpSchedule.objects.get().scheduled_at.astimezone(KOLKATA)
    assert planned.time() == time(10)


@pytest.mark.parametrize("origin", Origin)
def test_the_gate_keeps_the_hours_of_promotion_whoever_asked(origin: Origin) -> None:
    def at(hour: int, minute: int = 0) -> Any:
        moment = FINE.now.replace(hour=hour, minute=minute)
        return verdict(replace(FINE, now=moment, scheduled_at=moment, origin=origin, closed=PROMOTION_CLOSED))

    assert at(10) == at(20, 59) == Go()
    for moment in (at(21), at(23), at(3), at(9, 59)):
        assert isinstance(moment, Later)
        assert moment.code == "closed_hours"
        assert moment.until.astimezone(KOLKATA).time() == time(10)


@pytest.mark.parametrize("origin", Origin)
def test_what_the_channel_objects_to_never_goes_out(origin: Origin) -> None:
    objection = Unreachable("It isn't registered.", code="dlt_missing")
    decision = verdict(replace(FINE, origin=origin, objection=objection, is_reachable=False))
    assert decision == Never("dlt_missing", "It isn't registered.")


def test_quiet_and_closed_hours_that_leave_no_time_end_the_search() -> None:
    day_is_quiet = (time(9), time(22))
    earliest = datetime(2026, 5, 1, tzinfo=UTC)
    assert (
        first_free(
            earliest=earliest,
            zone=ZoneInfo("Asia/Kolkata"),
            wall=None,
            quiet=day_is_quiet,
            taken=[],
            interval=timedelta(0),
            closed=PROMOTION_CLOSED,
        )
        is None
    )


def test_a_promotion_no_hour_is_left_for_is_not_sold(
    rich_user: User, make_template: Any, domestic: Settings
) -> None:
    update_settings(changes={"quiet_hours_start": "09:00", "quiet_hours_end": "22:00"})
    with pytest.raises(LimitReached):
        schedule_follow_up(
            user=rich_user, template_id=make_template(channel="sms", dlt_category="promotional", **DLT).pk
        )


# --- All reasons --------------------------------------------------------------------------------------------


def test_every_reason_is_told_not_just_the_first(user: User, make_template: Any, domestic: Settings) -> None:
    User.objects.filter(pk=user.pk).update(phone=PHONE, is_active=False)
    user.refresh_from_db()
    opt_out(user=user, channel="sms")
    suppress(channel="sms", address_hash=hash_address(PHONE), reason=SuppressionReason.STOP_WORD, source="x")
    update_settings(changes={"max_followups_per_session": 0})
    order = Order(
        user,
        make_template(channel="sms"),
        now() + timedelta(days=99),
        Origin.MANUAL,
        SessionFactory(user=user, completed=True),
    )
    assert [refusal.code for refusal in every_refusal(order, effective_settings())] == [
        "max_followups_per_session",
        "max_interval_days",
        "user_inactive",
        "opted_out",
        "suppressed",
        "dlt_missing",
        "insufficient_credits",
    ]


def test_what_nothing_speaks_against_has_no_reasons(rich_user: User, make_template: Any) -> None:
    order = Order(rich_user, make_template(channel="sms"), now() + timedelta(hours=1), Origin.MANUAL)
    assert every_refusal(order, effective_settings()) == []


def test_a_plan_keeps_the_reason_why_a_template_was_skipped(
    rich_user: User, make_template: Any, domestic: Settings
) -> None:
    make_template(channel="sms", sequence_order=1)
    plan_session(session_id=SessionFactory(user=rich_user, completed=True).pk)
    (decision,) = SessionPlan.objects.get().decisions
    assert decision["skipped"] == "dlt_missing"
    assert balance_of(rich_user) == 100


@pytest.mark.parametrize("refunds", [True, False])
def test_staff_do_not_try_again_what_would_fail_again(
    rich_user: User, make_template: Any, run_queue: Any, refunds: bool
) -> None:
    update_settings(changes={"refund_on_failure": refunds})
    follow_up = schedule_follow_up(
        user=rich_user, template_id=make_template(channel="sms").pk, scheduled_at=now()
    )
    opt_out(user=rich_user, channel="sms")
    run_queue()
    before = balance_of(rich_user)
    with pytest.raises(Unreachable) as refused:
        retry_follow_up(follow_up_id=follow_up.pk)
    assert refused.value.code == "opted_out"
    assert balance_of(rich_user) == before
    follow_up.refresh_from_db()
    assert follow_up.status == State.FAILED


def test_what_is_on_a_channel_that_was_taken_away_is_not_tried_again(
    rich_user: User, make_template: Any, settings: Settings
) -> None:
    template = make_template(channel="sms")
    follow_up = schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    settings.FOLLOWUP_CHANNELS = {"email": settings.FOLLOWUP_CHANNELS["email"]}
    with pytest.raises(Unreachable) as refused:
        retry_follow_up(follow_up_id=follow_up.pk)
    assert refused.value.code == "channel_gone"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("SMS_COUNTRIES", ["IN", "Atlantis"], "followups.E010"),
        ("SMS_COUNTRIES", ["in"], "followups.E010"),
        ("SMS_COUNTRIES", ["IN", "GB"], None),
        ("DLT_ENTITY_ID", "my company", "followups.E011"),
        ("DLT_ENTITY_ID", "1101234567890123456", None),
    ],
)
def test_a_setting_that_can_t_be_right_is_named_at_the_start(
    settings: Settings, name: str, value: object, fault: str | None
) -> None:
    setattr(settings, name, value)
    found = [each for each in run_checks() if each.id in ("followups.E010", "followups.E011")]
    assert [each.id for each in found] == ([fault] if fault else [])
    assert all(name in each.msg for each in found)
