"""The daily figures: by language, people counted once, and always what the follow-ups say."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db.models import Count, Q
from django.utils.timezone import now
from pyroaring import BitMap64

from followups.choices import State
from followups.models import Audience, FollowUpAnalytics, FollowUpSchedule, FollowUpTemplate
from followups.selectors.analytics import Period, analytics_report
from followups.selectors.audiences import closed_until, people_of
from followups.services import analytics
from followups.services.analytics import recompute, roll_up_at_ease, roll_up_changed_days
from followups.services.preferences import update_preferences
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import Language, User
from tests.factories import UserFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_gap(db: None) -> None:
    update_settings(changes={"min_interval_hours": 0})


def charged(language: str) -> object:
    return analytics_report(Period(language=language))["total_credits_charged"]


def test_each_language_has_figures_of_its_own(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    template = make_template(channel="email")
    for language in (Language.TAMIL, Language.TAMIL, Language.ENGLISH):
        User.objects.filter(pk=rich_user.pk).update(preferred_language=language)
        reader = User.objects.get(pk=rich_user.pk)
        schedule_follow_up(user=reader, template_id=template.pk, scheduled_at=now())
    run_queue()
    roll_up_changed_days()
    figures = FollowUpAnalytics.objects.values_list("language", "total_sent", "credits_charged")
    assert sorted(figures) == [("en", 1, 5), ("ta", 2, 10)]
    sent = {
        language: analytics_report(Period(language=language))["total_sent"] for language in ("en", "ta", "")
    }
    assert sent == {"en": 1, "ta": 2, "": 3}


@pytest.mark.django_db(transaction=True)
def test_what_waits_counts_in_the_language_it_will_be_told_in(rich_user: User, make_template: Any) -> None:
    template = make_template(channel="email")
    schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now() + timedelta(days=2))
    roll_up_changed_days()
    assert (charged("en"), charged("ta")) == (5, 0)
    update_preferences(user=rich_user, changes={"preferred_language": "ta"}, wording="")
    roll_up_changed_days()
    assert (charged("en"), charged("ta")) == (0, 5)


def test_a_long_roll_up_is_followed_by_a_rest(
    rich_user: User, make_template: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule_follow_up(user=rich_user, template_id=make_template().pk, scheduled_at=now() + timedelta(days=2))
    assert roll_up_at_ease()
    assert roll_up_at_ease()  # a short one: no rest
    monkeypatch.setattr(analytics, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(analytics, "REST", 1e6)
    assert roll_up_at_ease()
    assert roll_up_at_ease() == []
    cache.clear()  # the rest is over
    assert roll_up_at_ease()


# --- People ------------------------------------------------------------------------------------------------

DAYS = 130
CHANCE = random.Random(20_26)


def some_time(day: date) -> datetime:
    return datetime.combine(day, time(CHANCE.randrange(24), CHANCE.randrange(60)), UTC)


@pytest.fixture
def history(rich_user: User, make_template: Any) -> list[FollowUpTemplate]:
    """Four months of messages to eight people, by two templates, in two languages; all rolled up."""
    templates = [make_template(name=channel, channel=channel, credits_cost=0) for channel in ("email", "sms")]
    people = [UserFactory() for _ in range(8)]
    booked = [
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now() + timedelta(days=2))
        for template in templates
    ]
    today = now().date()
    rows = []
    for _ in range(150):
        sent_at = some_time(today - timedelta(days=CHANCE.randrange(DAYS)))
        row = FollowUpSchedule.objects.get(pk=CHANCE.choice(booked).pk)
        row.pk, row.user, row.sent_at, row.delivered_at = None, CHANCE.choice(people), sent_at, sent_at
        row.language = CHANCE.choice(Language.values)
        row.status = CHANCE.choice([State.SENT, State.DELIVERED, State.READ])
        row.read_at = sent_at if row.status == State.READ else None
        row._state.adding = True
        rows.append(row)
    FollowUpSchedule.objects.bulk_create(rows)
    recompute(days=[today - timedelta(days=back) for back in range(DAYS)])
    return templates


def as_counted_live(period: Period) -> tuple[int, int]:
    sent = Q(sent_at__isnull=False)
    sent &= Q(sent_at__date__gte=period.start) if period.start else Q()
    sent &= Q(sent_at__date__lte=period.end) if period.end else Q()
    for name in ("channel", "language"):
        sent &= Q(**{name: getattr(period, name)}) if getattr(period, name) else Q()
    sent &= Q(template=period.template) if period.template else Q()
    found = FollowUpSchedule.objects.filter(sent).aggregate(
        recipients=Count("user", distinct=True),
        readers=Count("user", distinct=True, filter=Q(status=State.READ)),
    )
    return found["recipients"], found["readers"]


def people_are_exact(templates: list[FollowUpTemplate]) -> None:
    today = now().date()
    for _ in range(60):
        days = sorted(today - timedelta(days=CHANCE.randrange(-5, DAYS + 40)) for _ in range(2))
        period = Period(
            start=CHANCE.choice([None, days[0], days[0].replace(day=1)]),
            end=CHANCE.choice([None, days[1]]),
            channel=CHANCE.choice(["", "", "email"]),
            template=str(CHANCE.choice(["", "", CHANCE.choice(templates).pk])),
            language=CHANCE.choice(["", "", "ta"]),
        )
        people = period.people()
        assert (people.recipients, people.readers) == as_counted_live(period), period


def _read(rows: Any) -> None:
    rows.update(status=State.READ, delivered_at=now(), read_at=now())


def _send_anew(rows: Any) -> None:
    rows.update(status=State.PENDING, sent_at=None, delivered_at=None, read_at=None)


def _send_on_another_day(rows: Any) -> None:
    rows.update(sent_at=rows[0].sent_at - timedelta(days=40))


@pytest.mark.parametrize("change", [_read, _send_anew, _send_on_another_day])
def test_people_are_counted_once_and_exactly_in_any_period(
    history: list[FollowUpTemplate], change: Callable[[Any], None]
) -> None:
    closed = closed_until()
    assert closed is not None
    assert closed < now().date() - timedelta(days=35)
    people_are_exact(history)
    # However old it is: the month it lies in, and all that is before now, change with it.
    for when in (closed - timedelta(days=45), closed, now().date() - timedelta(days=3)):
        day = FollowUpSchedule.objects.filter(sent_at__date__lte=when).latest("sent_at").sent_at
        assert day is not None
        ids = list(FollowUpSchedule.objects.filter(sent_at__date=day.date()).values_list("pk", flat=True))
        change(FollowUpSchedule.objects.filter(pk__in=ids))
        recompute(days=[day.date(), day.date() - timedelta(days=40)])
        people_are_exact(history)


@pytest.mark.parametrize("ids", [[1, 7, 9], [1, 2**32, 2**40 + 1], [2**33], []])
def test_people_with_large_numbers_are_counted_too(make_template: Any, ids: list[int]) -> None:
    template = make_template()
    for day, some in enumerate([ids, ids[:2], []]):
        sets = {"recipients": BitMap64(some).serialize(), "readers": BitMap64(some[1:]).serialize()}
        last_on = now().date() - timedelta(days=day)
        Audience.objects.create(
            span="day", last_on=last_on, template=template, channel="email", language="en", **sets
        )
    people = people_of(first=None, last=None, what=Q())
    assert (people.recipients, people.readers) == (len(ids), max(0, len(ids) - 1))


def test_what_nobody_was_sent_any_more_is_not_kept(history: list[FollowUpTemplate]) -> None:
    days = list(Audience.objects.filter(span="day").values_list("last_on", flat=True).distinct())
    FollowUpSchedule.objects.filter(sent_at__isnull=False).delete()
    recompute(days=days)
    assert not Audience.objects.exists()
    assert people_of(first=None, last=None, what=Q()).recipients == 0
