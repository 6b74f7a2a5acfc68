"""Every setting is read: flipping it through the API changes what the system does."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.selectors import balance_of
from followups.choices import State
from followups.conf import SETTINGS
from followups.exceptions import Rejected
from followups.models import FollowUpAnalytics, FollowUpSchedule, FollowUpSetting, SessionPlan
from followups.selectors.settings import effective_settings, stored_settings
from followups.services.analytics import roll_up_changed_days
from followups.services.planning import plan_session
from followups.services.withdrawing import cancel_overdue
from jyotiflow.accounts.models import User
from sessions_app.services import complete_session
from tests.factories import SessionFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db
PATH = "/api/followup/admin/settings"
NO_QUIET = {"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"}


@pytest.fixture
def flip(admin: User) -> Callable[..., Any]:
    """Changes settings as staff do."""
    client = APIClient()
    client.force_authenticate(admin)

    def put(**changes: object) -> Any:
        return client.put(PATH, changes, format="json")

    return put


@pytest.fixture
def book(rich_user: User, make_template: Any) -> Callable[..., Any]:
    """Books follow-ups of one template as the user does, at hours from now."""
    client = APIClient()
    client.force_authenticate(rich_user)
    template = make_template(channel="email")

    def post(hours: float = 0, **fields: Any) -> Any:
        body = {"template_id": str(template.pk), "scheduled_at": (now() + timedelta(hours=hours)).isoformat()}
        return client.post("/api/followup/schedule", {**body, **fields}, format="json")

    return post


@pytest.fixture
def automatic(rich_user: User, make_template: Any, flip: Any) -> Callable[[], FollowUpSchedule]:
    """Plans a follow-up for this very moment."""
    flip(**NO_QUIET, min_interval_hours=0)
    make_template(sequence_order=1, delay_hours=0, local_time=None)

    def plan() -> FollowUpSchedule:
        session = SessionFactory(user=rich_user, completed=True)
        plan_session(session_id=session.pk)
        return FollowUpSchedule.objects.get(session=session)

    return plan


def test_every_setting_has_a_flip_test() -> None:
    tests = [name for name in vars(sys.modules[__name__]) if name.startswith("test_flip_")]
    assert {name.removeprefix("test_flip_") for name in tests} == set(SETTINGS)


def test_flip_auto_followup_enabled(rich_user: User, make_template: Any, flip: Any) -> None:
    make_template(sequence_order=1)
    complete_session(session_id=SessionFactory(user=rich_user).pk)
    assert FollowUpSchedule.objects.count() == 1
    flip(auto_followup_enabled=False)
    complete_session(session_id=SessionFactory(user=rich_user).pk)
    assert FollowUpSchedule.objects.count() == 1
    assert SessionPlan.objects.latest("created_at").decisions == [{"skipped": "auto_followup_enabled"}]


def test_flip_default_credits_cost(rich_user: User, make_template: Any, book: Any, flip: Any) -> None:
    unpriced = {"template_id": str(make_template(credits_cost=None).pk)}
    assert book(1, **unpriced).json()["credits_charged"] == 5
    flip(default_credits_cost=7)
    assert book(48, **unpriced).json()["credits_charged"] == 7
    assert book(96).json()["credits_charged"] == 5  # a price of its own is kept
    assert balance_of(rich_user) == 100 - 5 - 7 - 5


def test_flip_max_followups_per_session(rich_user: User, book: Any, flip: Any) -> None:
    session = SessionFactory(user=rich_user, completed=True)
    flip(max_followups_per_session=1)
    assert book(1, session_id=session.pk).status_code == 201
    refused = book(48, session_id=session.pk)
    assert (refused.status_code, refused.json()["code"]) == (400, "max_followups_per_session")
    flip(max_followups_per_session=2)
    assert book(48, session_id=session.pk).status_code == 201


def test_flip_min_interval_hours(book: Any, flip: Any) -> None:
    assert book(30).status_code == 201
    for hours in (7, 53):
        refused = book(hours)
        assert (refused.status_code, refused.json()["code"]) == (400, "min_interval")
    flip(min_interval_hours=22)
    assert [book(hours).status_code for hours in (7, 53)] == [201, 201]


def test_flip_max_interval_days(book: Any, flip: Any) -> None:
    refused = book(24 * 40)
    assert (refused.status_code, refused.json()["code"]) == (400, "max_interval_days")
    flip(max_interval_days=41)
    assert book(24 * 40).status_code == 201


def test_flip_enable_credit_charging(rich_user: User, book: Any, flip: Any, api: APIClient) -> None:
    flip(enable_credit_charging=False)
    free = book(1).json()
    assert free["credits_charged"] == 0
    assert FollowUpSchedule.objects.get().credits_charged == 0
    flip(enable_credit_charging=True)
    assert book(48).json()["credits_charged"] == 5
    assert balance_of(rich_user) == 95
    # What cost nothing gives nothing back.
    assert api.post(f"/api/followup/cancel/{free['followup_id']}").json()["credits_refunded"] == 0
    assert balance_of(rich_user) == 95


def test_flip_enable_analytics(book: Any, flip: Any, provider: ScriptedChannel, run_queue: Any) -> None:
    flip(enable_analytics=False)
    book()
    run_queue()
    assert roll_up_changed_days() == []
    assert not FollowUpAnalytics.objects.exists()
    flip(enable_analytics=True)
    roll_up_changed_days()
    assert FollowUpAnalytics.objects.get().total_sent == 1  # it catches up


@pytest.mark.parametrize(("days", "status"), [(1, State.CANCELLED), (3, State.PENDING)])
def test_flip_auto_cancel_after_days(rich_user: User, book: Any, flip: Any, days: int, status: State) -> None:
    flip(auto_cancel_after_days=days)
    book()
    two_days_pass()
    assert cancel_overdue() == (status == State.CANCELLED)
    assert FollowUpSchedule.objects.get().status == status
    assert balance_of(rich_user) == (100 if status == State.CANCELLED else 95)


def two_days_pass() -> None:
    follow_up = FollowUpSchedule.objects.get()
    ago = timedelta(days=2)
    FollowUpSchedule.objects.update(
        scheduled_at=follow_up.scheduled_at - ago,
        due_at=follow_up.due_at - ago,
        expires_at=follow_up.expires_at - ago,
    )


@pytest.mark.parametrize("gives_back", [True, False])
def test_flip_refund_on_cancel(
    rich_user: User, book: Any, flip: Any, api: APIClient, gives_back: bool
) -> None:
    flip(refund_on_cancel=gives_back, refund_on_failure=not gives_back)
    answer = api.post(f"/api/followup/cancel/{book(1).json()['followup_id']}").json()
    assert answer["credits_refunded"] == 5 * gives_back
    assert balance_of(rich_user) == 95 + 5 * gives_back


@pytest.mark.parametrize("gives_back", [True, False])
def test_flip_refund_on_failure(
    rich_user: User, book: Any, flip: Any, provider: ScriptedChannel, run_queue: Any, gives_back: bool
) -> None:
    flip(refund_on_failure=gives_back, refund_on_cancel=not gives_back)
    book()
    provider.script = [Rejected("550", "No such mailbox.")]
    run_queue()
    failed = FollowUpSchedule.objects.get()
    assert (failed.status, failed.credits_refunded) == (State.FAILED, 5 * gives_back)
    assert balance_of(rich_user) == 95 + 5 * gives_back


def test_flip_revenue_per_credit(book: Any, flip: Any, provider: ScriptedChannel, run_queue: Any) -> None:
    book()
    run_queue()
    roll_up_changed_days()
    assert FollowUpAnalytics.objects.get().revenue_generated == Decimal("5.00")
    flip(revenue_per_credit=2.5)
    roll_up_changed_days()
    assert FollowUpAnalytics.objects.get().revenue_generated == Decimal("12.50")


def local(user: User, hours: int) -> str:
    """The time of day at the user's, hours from now."""
    return (datetime.now(UTC).astimezone(user.zone) + timedelta(hours=hours)).strftime("%H:%M")


@pytest.mark.parametrize(("start", "goes_out"), [(2, True), (-2, False)])
def test_flip_quiet_hours_start(
    rich_user: User, automatic: Any, flip: Any, run_queue: Any, start: int, goes_out: bool
) -> None:
    follow_up = automatic()
    flip(quiet_hours_start=local(rich_user, start), quiet_hours_end=local(rich_user, 4))
    run_queue()
    follow_up.refresh_from_db()
    assert follow_up.status == (State.DELIVERED if goes_out else State.PENDING)
    assert follow_up.failure_code == ("" if goes_out else "quiet_hours")


@pytest.mark.parametrize(("end", "goes_out"), [(-2, True), (2, False)])
def test_flip_quiet_hours_end(
    rich_user: User, automatic: Any, flip: Any, run_queue: Any, end: int, goes_out: bool
) -> None:
    follow_up = automatic()
    flip(quiet_hours_start=local(rich_user, -4), quiet_hours_end=local(rich_user, end))
    run_queue()
    follow_up.refresh_from_db()
    assert follow_up.status == (State.DELIVERED if goes_out else State.PENDING)
    later = automatic()
    wait = later.scheduled_at - now()
    assert (wait < timedelta(minutes=1)) is goes_out  # planned around them, too
    assert wait < timedelta(hours=2, minutes=1)


def loss_warned_of(admin: User, template: Any) -> bool:
    client = APIClient()
    client.force_authenticate(admin)
    answer = client.post(f"/api/followup/admin/templates/{template.pk}/preview", {}, format="json")
    return any("more than its price" in warning for warning in answer.json()["data"]["warnings"])


def test_flip_provider_cost_email(admin: User, make_template: Any, flip: Any) -> None:
    template = make_template(channel="email", credits_cost=2)
    assert not loss_warned_of(admin, template)
    flip(provider_cost_email=2.0001)
    assert loss_warned_of(admin, template)
    flip(provider_cost_email=2)
    assert not loss_warned_of(admin, template)


def test_flip_provider_cost_sms(admin: User, make_template: Any, flip: Any) -> None:
    long = make_template(channel="sms", credits_cost=2, content="a" * 161)  # two segments
    short = make_template(channel="sms", credits_cost=2, content="a" * 160)
    flip(provider_cost_sms=1.5)
    assert [loss_warned_of(admin, template) for template in (long, short)] == [True, False]


def test_flip_provider_cost_whatsapp(admin: User, make_template: Any, flip: Any) -> None:
    template = make_template(channel="whatsapp", credits_cost=2)
    flip(provider_cost_whatsapp=3)
    assert loss_warned_of(admin, template)
    flip(revenue_per_credit=1.5)
    assert not loss_warned_of(admin, template)


def test_flip_provider_cost_push(admin: User, make_template: Any, flip: Any) -> None:
    template = make_template(channel="push", credits_cost=0)
    assert not loss_warned_of(admin, template)
    flip(provider_cost_push="0.0001")
    assert loss_warned_of(admin, template)


def fallback_of(key: str) -> object:
    """What a setting reads as where its row says nothing: never what spends money by itself."""
    setting = SETTINGS[key]
    return setting.default if setting.safe is None else setting.safe


@pytest.mark.parametrize("key", SETTINGS)
def test_a_broken_a_missing_and_an_inactive_row_never_turn_anything_on(key: str) -> None:
    setting = SETTINGS[key]
    other = {"boolean": "false", "integer": "11", "decimal": "9.75", "time": "13:37"}[setting.type]
    row = FollowUpSetting.objects.get(setting_key=key)
    row.setting_value = other
    row.save()
    assert getattr(effective_settings(), key) == setting.parse(other) != setting.default
    row.is_active = False
    row.save()
    assert getattr(effective_settings(), key) == fallback_of(key)
    row.is_active, row.setting_value = True, "perhaps"
    row.save()
    assert getattr(effective_settings(), key) == fallback_of(key)
    row.delete()
    assert getattr(effective_settings(), key) == fallback_of(key)


@pytest.mark.parametrize("change", [{"setting_value": "ja"}, {"is_active": False}])
def test_unreadable_switches_read_as_off(
    rich_user: User, book: Any, make_template: Any, change: dict[str, object]
) -> None:
    switches = ("enable_credit_charging", "auto_followup_enabled")
    FollowUpSetting.objects.filter(setting_key__in=switches).update(**change)
    make_template(sequence_order=1)
    complete_session(session_id=SessionFactory(user=rich_user).pk)
    assert not FollowUpSchedule.objects.exists()
    assert book(1).json()["credits_charged"] == 0
    assert balance_of(rich_user) == 100


BAD_VALUES: list[tuple[str, object]] = [
    ("no_such_setting", 1),
    ("credits_to_charge", 1),
    *((key, None) for key in SETTINGS),
    *((key, ["5"]) for key in SETTINGS),
    *((key, {}) for key in SETTINGS),
    *((key, "") for key in SETTINGS),
    *((key, -1) for key in SETTINGS if SETTINGS[key].type in ("integer", "decimal")),
    *((key, True) for key in SETTINGS if SETTINGS[key].type != "boolean"),
    ("enable_credit_charging", 1),
    ("enable_credit_charging", "ja"),
    ("min_interval_hours", 1.5),
    ("min_interval_hours", 24 * 90 + 1),
    ("max_interval_days", 0),
    ("max_interval_days", 367),
    ("revenue_per_credit", "NaN"),
    ("revenue_per_credit", "-Infinity"),
    ("revenue_per_credit", "1e-999999999"),
    ("revenue_per_credit", "0.00001"),
    ("quiet_hours_start", "25:00"),
    ("quiet_hours_start", "21:00+05:30"),
    ("quiet_hours_end", "soon"),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES, ids=lambda value: str(value))
def test_a_bad_value_is_refused_and_nothing_is_saved(flip: Any, key: str, value: object) -> None:
    before = list(FollowUpSetting.objects.values())
    answer = flip(**{"default_credits_cost": 9, key: value})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [key]
    assert list(FollowUpSetting.objects.values()) == before


def test_what_is_left_out_stays_and_what_is_read_can_be_sent_back(flip: Any, admin: User) -> None:
    flip(min_interval_hours=2, quiet_hours_start="22:30", revenue_per_credit=1.25)
    flip(max_interval_days=10)
    client = APIClient()
    client.force_authenticate(admin)
    read = client.get(PATH).json()["data"]
    assert read == stored_settings()
    assert read | {"min_interval_hours": 2, "quiet_hours_start": "22:30", "max_interval_days": 10} == read
    assert read["revenue_per_credit"] == 1.25
    assert client.put(PATH, read, format="json").status_code == 200
    assert client.get(PATH).json()["data"] == read
    assert effective_settings().quiet_hours_start == time(22, 30)
