"""Many follow-ups changed at once: looked at, confirmed, done one by one, never twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.choices import BulkAction, BulkItemState, BulkState, State
from followups.exceptions import Rejected
from followups.models import BulkChange, BulkItem, FollowUpSchedule
from followups.selectors.bulk import tally_of
from followups.services import bulk
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.templates import save_template
from followups.services.withdrawing import cancel_follow_up
from followups.tasks import go_on_with_bulk_changes
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput
from tests.factories import UserFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followupschedule/"
CHANGES = "/admin/followups/bulkchange/"


def choose(client: Client, action: str, *follow_ups: FollowUpSchedule, **form: Any) -> BulkChange:
    """Choose these rows for an action, as the list's form does; the change that waits for a yes."""
    answer = client.post(LIST, {"action": action, "_selected_action": [row.pk for row in follow_ups], **form})
    change = BulkChange.objects.latest("pk")
    assert answer.headers["Location"] == f"{CHANGES}{change.pk}/change/"
    return change


def confirm(client: Client, change: BulkChange) -> BulkChange:
    client.post(f"{CHANGES}{change.pk}/run/")
    change.refresh_from_db()
    return change


def page(client: Client, change: BulkChange) -> str:
    answer = client.get(f"{CHANGES}{change.pk}/change/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def book_many(count: int, make_template: Any) -> list[FollowUpSchedule]:
    """So many people's follow-ups for 5 credits each, for the days ahead."""
    template = make_template(name="Many", channel="email")
    booked = []
    for number in range(count):
        user = UserFactory()
        grant(user=user, amount=5, reason="test", key=f"many:{user.pk}")
        at = now() + timedelta(days=1, minutes=number)
        booked.append(schedule_follow_up(user=user, template_id=template.pk, scheduled_at=at))
    return booked


@pytest.fixture
def many(make_template: Any) -> list[FollowUpSchedule]:
    return book_many(3, make_template)


@pytest.fixture
def failed(rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any) -> Any:
    """A follow-up for 5 credits that the provider refused, refunded."""
    provider.script = [Rejected("21211", "The number does not exist.")]
    follow_up = schedule_follow_up(
        user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now()
    )
    run_queue()
    follow_up.refresh_from_db()
    assert follow_up.status == State.FAILED
    return follow_up


class TestLooking:
    def test_it_tells_what_would_be_done_what_not_why_and_what_comes_back(
        self, admin_site: Client, many: list[FollowUpSchedule], sent: FollowUpSchedule
    ) -> None:
        text = page(admin_site, choose(admin_site, "cancel_selected", *many, sent))
        assert "3 will be cancelled." in text
        assert "15 credits go back to their readers." in text
        assert "<li>1: only one that is still scheduled can be cancelled or moved</li>" in text
        assert {row.status for row in FollowUpSchedule.objects.exclude(pk=sent.pk)} == {State.PENDING}
        assert [balance_of(each.user) for each in many] == [0, 0, 0]

    def test_it_heeds_the_setting_that_keeps_credits(
        self, admin_site: Client, many: list[FollowUpSchedule]
    ) -> None:
        update_settings(changes={"refund_on_cancel": False})
        text = page(admin_site, choose(admin_site, "cancel_selected", *many))
        assert "No credits move." in text

    def test_a_retry_of_what_was_refunded_costs_its_reader(
        self, admin_site: Client, failed: FollowUpSchedule
    ) -> None:
        text = page(admin_site, choose(admin_site, "retry_selected", failed))
        assert "1 will be queued again." in text
        assert "5 credits will be charged to their readers." in text
        assert FollowUpSchedule.objects.count() == 1

    def test_without_credits_nothing_is_tried_again(
        self, admin_site: Client, failed: FollowUpSchedule, make_template: Any
    ) -> None:
        update_settings(changes={"min_interval_hours": 0})
        dear = make_template(name="Dear", credits_cost=100)
        schedule_follow_up(user=failed.user, template_id=dear.pk, scheduled_at=now())
        text = page(admin_site, choose(admin_site, "retry_selected", failed))
        assert "<li>1: the reader has not enough credits</li>" in text

    def test_what_went_out_is_not_tried_again(self, admin_site: Client, sent: FollowUpSchedule) -> None:
        text = page(admin_site, choose(admin_site, "retry_selected", sent))
        assert "<li>1: only one that never went out can be tried again</li>" in text

    def test_all_that_the_filter_finds_are_chosen(
        self, admin_site: Client, many: list[FollowUpSchedule], make_template: Any
    ) -> None:
        form = {"action": "cancel_selected", "_selected_action": [many[0].pk], "select_across": "1"}
        admin_site.post(f"{LIST}?q={many[0].user.email}", form)
        assert tally_of(BulkChange.objects.latest("pk")).total == 1
        admin_site.post(f"{LIST}?template={many[0].template_id}&status__exact=pending", form)
        assert tally_of(BulkChange.objects.latest("pk")).total == 3
        admin_site.post(f"{LIST}?from_day=yesterday", form)  # not valid: nothing matches
        assert BulkChange.objects.count() == 2

    def test_more_than_it_looks_at_at_once_are_looked_at_in_the_background(
        self, admin_site: Client, make_template: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        booked = book_many(bulk.AT_ONCE + 5, make_template)
        change = choose(admin_site, "cancel_selected", *booked)
        assert change.state == BulkState.CHECKING
        text = page(admin_site, change)
        assert f"Looked at {bulk.AT_ONCE} of {bulk.AT_ONCE + 5}." in text
        assert f'hx-get="{CHANGES}{change.pk}/progress/"' in text
        go_on_with_bulk_changes()
        fragment = admin_site.get(f"{CHANGES}{change.pk}/progress/").content.decode()
        assert f"{bulk.AT_ONCE + 5} will be cancelled." in fragment
        assert "hx-get" not in fragment  # it polls no more
        assert "<html" not in fragment

    def test_nobody_is_chosen_or_too_many(
        self, admin: User, monkeypatch: pytest.MonkeyPatch, many: Any
    ) -> None:
        with pytest.raises(InvalidInput):
            bulk.choose(actor=admin, action=BulkAction.CANCEL, follow_ups=FollowUpSchedule.objects.none())
        monkeypatch.setattr(bulk, "MOST", 2)
        with pytest.raises(InvalidInput):
            bulk.choose(actor=admin, action=BulkAction.CANCEL, follow_ups=FollowUpSchedule.objects.all())
        assert not BulkChange.objects.exists()


class TestDoing:
    def test_a_confirmed_one_is_done_and_tells_so(
        self, admin_site: Client, many: list[FollowUpSchedule], sent: FollowUpSchedule
    ) -> None:
        change = confirm(admin_site, choose(admin_site, "cancel_selected", *many, sent))
        assert change.state == BulkState.FINISHED
        text = page(admin_site, change)
        assert "3 cancelled." in text
        assert "15 credits given back." in text
        assert [balance_of(each.user) for each in many] == [5, 5, 5]
        sent.refresh_from_db()
        assert sent.status == State.READ
        assert imbalances() == []

    def test_confirming_twice_does_it_once(self, admin_site: Client, failed: FollowUpSchedule) -> None:
        change = choose(admin_site, "retry_selected", failed)
        confirm(admin_site, change)
        confirm(admin_site, change)
        assert FollowUpSchedule.objects.count() == 2
        assert balance_of(failed.user) == 95
        again = choose(admin_site, "retry_selected", failed)
        assert "<li>1: it was booked anew before</li>" in page(admin_site, again)
        confirm(admin_site, again)
        assert FollowUpSchedule.objects.count() == 2

    def test_what_changed_since_the_look_is_refused_in_words(
        self, admin_site: Client, many: list[FollowUpSchedule]
    ) -> None:
        change = choose(admin_site, "cancel_selected", *many)
        cancel_follow_up(follow_up_id=many[1].pk)
        confirm(admin_site, change)
        tally = tally_of(change)
        assert (tally.done, tally.refused, tally.given_back) == (2, 1, 10)
        assert [each.code for each in tally.refusals] == ["not_pending"]
        assert [balance_of(each.user) for each in many] == [5, 5, 5]

    def test_nothing_costs_more_than_was_shown(
        self, admin_site: Client, failed: FollowUpSchedule, many: list[FollowUpSchedule]
    ) -> None:
        retry = choose(admin_site, "retry_selected", failed)
        cancel = choose(admin_site, "cancel_selected", *many)
        save_template(template=failed.template, fields={"credits_cost": 6})
        update_settings(changes={"refund_on_cancel": False})
        for change in (retry, cancel):
            confirm(admin_site, change)
            assert {each.code for each in tally_of(change).refusals} == {"price_changed"}
        assert balance_of(failed.user) == 100
        assert FollowUpSchedule.objects.filter(status=State.PENDING).count() == 3
        assert imbalances() == []

    def test_after_a_kill_it_goes_on_and_does_nothing_twice(
        self, admin_site: Client, many: list[FollowUpSchedule]
    ) -> None:
        change = choose(admin_site, "cancel_selected", *many)
        bulk.confirm(change_id=change.pk, actor=change.actor)
        assert bulk.go_on(change_id=change.pk, limit=1) == 1  # and the worker is gone
        assert tally_of(change).done == 1
        go_on_with_bulk_changes()
        go_on_with_bulk_changes()
        change.refresh_from_db()
        assert change.state == BulkState.FINISHED
        assert [balance_of(each.user) for each in many] == [5, 5, 5]
        assert imbalances() == []

    def test_stopped_it_leaves_the_rest(self, admin_site: Client, many: list[FollowUpSchedule]) -> None:
        change = choose(admin_site, "cancel_selected", *many)
        bulk.confirm(change_id=change.pk, actor=change.actor)
        bulk.go_on(change_id=change.pk, limit=1)
        assert 'value="Stop"' in page(admin_site, change)
        admin_site.post(f"{CHANGES}{change.pk}/stop/")
        go_on_with_bulk_changes()
        change.refresh_from_db()
        assert change.state == BulkState.STOPPED
        text = page(admin_site, change)
        assert "1 cancelled." in text
        assert "2 left as they are." in text
        assert FollowUpSchedule.objects.filter(status=State.PENDING).count() == 2
        confirm(admin_site, change)
        assert FollowUpSchedule.objects.filter(status=State.PENDING).count() == 2

    def test_one_that_breaks_the_service_holds_up_no_other(
        self, admin_site: Client, many: list[FollowUpSchedule]
    ) -> None:
        change = choose(admin_site, "cancel_selected", *many)
        BulkItem.objects.filter(follow_up=many[0]).update(follow_up=None)
        confirm(admin_site, change)
        tally = tally_of(change)
        assert (tally.done, [each.code for each in tally.refusals]) == (2, ["error"])


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_work_and_do_each_once(
    admin: User, make_template: Any, in_parallel: Any
) -> None:
    booked = book_many(12, make_template)
    change = bulk.choose(actor=admin, action=BulkAction.CANCEL, follow_ups=FollowUpSchedule.objects.all())
    bulk.go_on(change_id=change.pk)
    bulk.confirm(change_id=change.pk, actor=change.actor)
    calls = [lambda: bulk.go_on(change_id=change.pk) for _ in range(4)]
    assert not [each for each in in_parallel(*calls) if isinstance(each, Exception)]
    bulk.go_on(change_id=change.pk)
    change.refresh_from_db()
    assert (change.state, tally_of(change).done) == (BulkState.FINISHED, 12)
    assert {balance_of(each.user) for each in booked} == {5}
    assert imbalances() == []


class TestMoving:
    def test_it_asks_when_to_and_keeps_the_choice(
        self, admin_site: Client, many: list[FollowUpSchedule]
    ) -> None:
        form = {"action": "move_selected", "_selected_action": [many[0].pk, many[1].pk]}
        text = admin_site.post(LIST, form).content.decode()
        assert text.count('name="_selected_action"') == 2
        assert 'name="move_to"' in text
        refused = admin_site.post(LIST, {**form, "move_to": "", "move_by_hours": ""})
        assert "Give a time, or a number of hours other than 0." in refused.content.decode()
        assert not BulkChange.objects.exists()

    def test_by_so_many_hours(self, admin_site: Client, many: list[FollowUpSchedule]) -> None:
        before = [each.scheduled_at for each in many]
        change = choose(admin_site, "move_selected", *many, move_to="", move_by_hours="24")
        assert "by 24 hours" in page(admin_site, change)
        confirm(admin_site, change)
        for each, was in zip(many, before, strict=True):
            each.refresh_from_db()
            assert each.scheduled_at == was + timedelta(hours=24)
        assert f"by {change.actor}" in admin_site.get(f"{LIST}{many[0].pk}/change/").content.decode()

    def test_to_one_time(self, admin_site: Client, many: list[FollowUpSchedule]) -> None:
        wanted = (now() + timedelta(days=3)).replace(second=0, microsecond=0)
        change = choose(
            admin_site, "move_selected", *many, move_to=f"{wanted:%Y-%m-%dT%H:%M}", move_by_hours=""
        )
        confirm(admin_site, change)
        assert set(FollowUpSchedule.objects.values_list("scheduled_at", flat=True)) == {wanted}

    def test_into_the_past_is_refused(self, admin_site: Client, many: list[FollowUpSchedule]) -> None:
        change = choose(admin_site, "move_selected", *many, move_to="", move_by_hours="-48")
        text = page(admin_site, change)
        assert "None of these can be changed." in text
        assert "<li>3: that time is past</li>" in text
        assert "Yes, do it" not in text

    def test_what_its_reader_moved_meanwhile_stays(
        self, admin_site: Client, many: list[FollowUpSchedule]
    ) -> None:
        change = choose(admin_site, "move_selected", *many, move_to="", move_by_hours="1")
        theirs = now() + timedelta(days=7)
        FollowUpSchedule.objects.filter(pk=many[0].pk).update(scheduled_at=theirs)
        confirm(admin_site, change)
        assert [each.code for each in tally_of(change).refusals] == ["moved_meanwhile"]
        many[0].refresh_from_db()
        assert many[0].scheduled_at == theirs


class TestWhoMay:
    @pytest.mark.parametrize("action", ["cancel_selected", "retry_selected", "move_selected"])
    def test_only_who_may_change_follow_ups_chooses_any(
        self, client: Client, staff: User, many: list[FollowUpSchedule], action: str
    ) -> None:
        staff.user_permissions.add(Permission.objects.get(codename="view_followupschedule"))
        client.force_login(staff)
        client.post(
            LIST, {"action": action, "_selected_action": [many[0].pk], "move_by_hours": "1", "move_to": ""}
        )
        assert not BulkChange.objects.exists()

    @pytest.mark.parametrize("route", ["run", "stop"])
    def test_only_who_may_change_follow_ups_begins_or_stops(
        self, client: Client, staff: User, admin: User, many: list[FollowUpSchedule], route: str
    ) -> None:
        change = bulk.choose(actor=admin, action=BulkAction.CANCEL, follow_ups=FollowUpSchedule.objects.all())
        bulk.go_on(change_id=change.pk)
        staff.user_permissions.add(Permission.objects.get(codename="view_bulkchange"))
        client.force_login(staff)
        assert "Yes, do it" not in page(client, change)
        assert client.post(f"{CHANGES}{change.pk}/{route}/").status_code == 403
        change.refresh_from_db()
        assert change.state == BulkState.READY
        assert client.get(f"{CHANGES}{change.pk}/{route}/").status_code == 405

    def test_only_who_may_see_changes_sees_one(
        self, client: Client, staff: User, admin: User, many: Any
    ) -> None:
        change = bulk.choose(actor=admin, action=BulkAction.CANCEL, follow_ups=FollowUpSchedule.objects.all())
        client.force_login(staff)
        assert client.get(f"{CHANGES}{change.pk}/change/").status_code == 403
        assert client.get(f"{CHANGES}{change.pk}/progress/").status_code == 403


def test_the_page_of_many_asks_as_often_as_that_of_few(admin_site: Client, make_template: Any) -> None:
    def queries(count: int) -> int:
        change = choose(admin_site, "cancel_selected", *book_many(count, make_template))
        with CaptureQueriesContext(connection) as captured:
            page(admin_site, change)
        return len(captured)

    queries(1)
    assert queries(2) == queries(12) <= 15


def test_what_nobody_confirmed_or_ended_long_ago_is_forgotten(admin: User, many: Any) -> None:
    everything = FollowUpSchedule.objects.all()
    old, fresh, ended = (
        bulk.choose(actor=admin, action=BulkAction.CANCEL, follow_ups=everything) for _ in range(3)
    )
    BulkChange.objects.filter(pk=old.pk).update(created_at=now() - timedelta(days=2))
    BulkChange.objects.filter(pk=ended.pk).update(
        state=BulkState.FINISHED, confirmed_at=now(), finished_at=now() - timedelta(days=401)
    )
    bulk.forget_old()
    assert list(BulkChange.objects.values_list("pk", flat=True)) == [fresh.pk]
    assert BulkItem.objects.filter(state=BulkItemState.NEW).count() == 3
