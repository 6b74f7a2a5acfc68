"""The list of follow-ups, narrowed by what staff look for."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import localdate, now

from followups.choices import State
from followups.models import FollowUpSchedule
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followupschedule/"


def found(client: Client, **query: Any) -> set[Any]:
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


@pytest.fixture
def two(follow_up: FollowUpSchedule, make_template: Any) -> tuple[FollowUpSchedule, FollowUpSchedule]:
    """One for tomorrow, and one of another template for in five days."""
    update_settings(changes={"min_interval_hours": 0})
    later = schedule_follow_up(
        user=follow_up.user,
        template_id=make_template(name="Later").pk,
        scheduled_at=follow_up.scheduled_at + timedelta(days=4),
    )
    return follow_up, later


def test_by_template(admin_site: Client, two: tuple[FollowUpSchedule, FollowUpSchedule]) -> None:
    early, later = two
    assert found(admin_site, template=later.template_id) == {later.pk}
    assert found(admin_site, template="") == {early.pk, later.pk}


def test_by_days_both_included(admin_site: Client, two: tuple[FollowUpSchedule, FollowUpSchedule]) -> None:
    early, later = two
    day = localdate(early.scheduled_at)
    assert found(admin_site, from_day=day, to_day=day) == {early.pk}
    assert found(admin_site, from_day=day + timedelta(days=1)) == {later.pk}
    assert found(admin_site, to_day=localdate(later.scheduled_at)) == {early.pk, later.pk}


def test_by_refund_and_failure_code(
    admin_site: Client, two: tuple[FollowUpSchedule, FollowUpSchedule]
) -> None:
    early, later = two
    cancel_follow_up(follow_up_id=early.pk)
    assert found(admin_site, refunded="yes") == {early.pk}
    assert found(admin_site, refunded="no") == {later.pk}
    assert found(admin_site, failure_code="cancelled") == {early.pk}
    assert found(admin_site, failure_code="30003") == set()


def test_by_being_stuck(admin_site: Client, two: tuple[FollowUpSchedule, FollowUpSchedule]) -> None:
    early, later = two
    FollowUpSchedule.objects.filter(pk=early.pk).update(due_at=now() - timedelta(minutes=6))
    FollowUpSchedule.objects.filter(pk=later.pk).update(due_at=now() - timedelta(minutes=4))
    assert found(admin_site, stuck="yes") == {early.pk}
    FollowUpSchedule.objects.filter(pk=early.pk).update(status=State.CANCELLED, cancelled_at=now())
    assert found(admin_site, stuck="yes") == set()


@pytest.mark.parametrize(
    "query", [{"from_day": "yesterday"}, {"template": "no-id"}, {"failure_code": "x" * 51}]
)
def test_what_is_not_valid_finds_nothing_and_says_so(
    admin_site: Client, follow_up: FollowUpSchedule, query: dict[str, str]
) -> None:
    assert found(admin_site, **query) == set()
    assert 'class="errornote"' in admin_site.get(LIST, query).content.decode()


def test_a_filter_s_form_keeps_the_search_and_the_other_filters(
    admin_site: Client, two: tuple[FollowUpSchedule, FollowUpSchedule]
) -> None:
    early, _ = two
    text = admin_site.get(
        LIST, {"q": "example", "status__exact": "pending", "failure_code": "x"}
    ).content.decode()
    assert text.count('<input type="hidden" name="q" value="example">') == 3  # in each form of a filter
    assert text.count('<input type="hidden" name="status__exact" value="pending">') >= 3
    assert found(admin_site, q=early.user.email, channel__exact="email", template=early.template_id) == {
        early.pk
    }
