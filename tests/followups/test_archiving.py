"""The archive: what moves there is still shown, counted, reported on and forgotten as if it had stayed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import Client
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.selectors import balance_of, imbalances
from followups.choices import AttemptState, ReceiptKind, State
from followups.exceptions import Rejected
from followups.models import (
    Attempt,
    FollowUpAnalytics,
    FollowUpSchedule,
    InAppMessage,
    ProviderEvent,
    SandboxMessage,
)
from followups.selectors.privacy import export_personal_data
from followups.services.analytics import recompute
from followups.services.archiving import archive_finished, forget_old_events, forget_sandbox
from followups.services.privacy import erase_person
from followups.services.receipts import Receipt, mark_read, record_receipt
from followups.services.retrying import retry_follow_up
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict
from sessions_app.models import Session
from tests.factories import SessionFactory
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db
OLD = timedelta(days=91)


@pytest.fixture
def session(rich_user: User) -> Session:
    return SessionFactory(user=rich_user, completed=True)


@pytest.fixture
def send(
    rich_user: User, session: Session, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> Callable[..., FollowUpSchedule]:
    """Books and sends a follow-up on a channel, whose provider answers as told."""

    def go(channel: str = "email", answer: Any = None) -> FollowUpSchedule:
        provider.script = [answer] if answer else []
        follow_up = schedule_follow_up(
            user=rich_user,
            template_id=make_template(channel=channel).pk,
            session_id=session.pk,
            scheduled_at=now() + timedelta(days=FollowUpSchedule.objects.count() * 2),
        )
        FollowUpSchedule.objects.filter(pk=follow_up.pk).update(due_at=now())
        run_queue()
        return again(follow_up)

    return go


def again(follow_up: FollowUpSchedule) -> FollowUpSchedule:
    return FollowUpSchedule.objects.get(pk=follow_up.pk)


def age(by: timedelta = OLD) -> None:
    """Time passes: what there is happened that much earlier."""
    times = "scheduled_at due_at expires_at created_at updated_at sent_at delivered_at failed_at refunded_at"
    FollowUpSchedule.objects.update(**{name: F(name) - by for name in times.split()})


def archived() -> set[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM follow_up_archive")
        return {row[0] for row in cursor.fetchall()}


def only_in(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ONLY {table}")
        return int(cursor.fetchone()[0])


def test_what_is_long_finished_moves_with_its_calls_and_its_place_in_the_inbox(send: Any) -> None:
    mail, in_app = send(), send("in_app")
    age()
    recent = send()
    assert archive_finished(batch=1) == 2
    assert archived() == {mail.pk, in_app.pk}
    assert (only_in("follow_up_schedules"), only_in("follow_up_attempts")) == (1, 1)
    assert only_in("follow_up_in_app_messages") == 0
    assert set(Attempt.objects.values_list("follow_up_id", flat=True)) == {mail.pk, in_app.pk, recent.pk}
    assert InAppMessage.objects.get().follow_up_id == in_app.pk
    moved = again(mail)
    assert moved.archived_at is not None
    assert (moved.status, moved.updated_at) == (mail.status, mail.updated_at - OLD)
    assert archive_finished() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"status": State.PENDING, "sent_at": None},
        {"status": State.IN_DOUBT},
        {"expires_at": now() + timedelta(days=1)},
        {"updated_at": now() - timedelta(days=89)},
    ],
)
def test_what_may_still_change_stays(send: Any, change: dict[str, Any]) -> None:
    follow_up = send()
    age()
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(**change)
    assert archive_finished() == 0


def test_what_waits_for_an_answer_of_the_provider_stays(send: Any) -> None:
    send()
    age()
    Attempt.objects.update(state=AttemptState.IN_DOUBT, finished_at=None)
    assert archive_finished() == 0


def test_what_was_booked_anew_stays_with_what_it_became(send: Any) -> None:
    failed = send(answer=Rejected("gone", "Gone."))
    retry_follow_up(follow_up_id=failed.pk)
    age()
    FollowUpSchedule.objects.filter(retry_of=failed).update(status=State.SENT, sent_at=now() - OLD)
    assert archive_finished() == 0


def test_everybody_sees_what_they_saw(send: Any, api: APIClient, admin: User, admin_site: Client) -> None:
    for _ in range(3):
        send()
    age()
    api.force_authenticate(FollowUpSchedule.objects.first().user)  # type: ignore[union-attr]
    staff = APIClient()
    staff.force_authenticate(admin)
    session = FollowUpSchedule.objects.values_list("session_id", flat=True)[0]
    one = FollowUpSchedule.objects.values_list("pk", flat=True)[0]
    pages = {
        "/api/followup/my-followups": api,
        f"/api/followup/session/{session}": api,
        "/api/followup/admin/schedules?channel=email&status=sent": staff,
        "/api/user/sessions": api,
        "/api/user/credits/history": api,
    }
    before = {page: client.get(page).json() for page, client in pages.items()}
    assert before["/api/followup/my-followups"]["count"] == 3
    assert archive_finished() == 3
    assert {page: client.get(page).json() for page, client in pages.items()} == before
    assert "3 follow-ups" in admin_site.get("/admin/followups/followupschedule/").content.decode()
    assert admin_site.get(f"/admin/followups/followupschedule/{one}/change/").status_code == 200


def test_the_figures_of_a_day_are_the_same(send: Any) -> None:
    send()
    send(answer=Rejected("gone", "Gone."))
    age()
    days = {now().date() - timedelta(days=back) for back in range(88, 94)}

    def figures() -> list[Any]:
        recompute(days=days)
        names = "date total_sent total_failed credits_charged credits_refunded revenue_generated"
        return list(FollowUpAnalytics.objects.order_by("date", "channel").values(*names.split()))

    before = figures()
    assert sum(row["total_sent"] for row in before) == 1
    assert archive_finished() == 2
    assert figures() == before


def test_a_late_report_still_finds_its_message(send: Any, session: Session, rich_user: User) -> None:
    follow_up = send()
    age()
    archive_finished()
    attempt = follow_up.attempts.get()
    balance = balance_of(rich_user)
    bounce = Receipt("scripted", "late", ReceiptKind.BOUNCED, attempt_reference=str(attempt.pk))
    assert record_receipt(bounce)
    assert not record_receipt(bounce)
    assert again(follow_up).status == State.FAILED
    assert balance_of(rich_user) == balance + 5
    assert ProviderEvent.objects.get().attempt_id == attempt.pk
    session.refresh_from_db()
    assert (session.follow_up_count, imbalances()) == (0, [])


def test_its_reader_can_still_read_it(send: Any) -> None:
    follow_up = send("in_app")
    age()
    archive_finished()
    assert mark_read(follow_up=follow_up).status == State.READ
    assert archived() == {follow_up.pk}


def test_it_is_not_tried_again(send: Any) -> None:
    follow_up = send(answer=Rejected("gone", "Gone."))
    age()
    archive_finished()
    with pytest.raises(Conflict, match="schedule a new one"):
        retry_follow_up(follow_up_id=follow_up.pk)


def test_it_is_exported_and_erased_with_its_person(send: Any, rich_user: User) -> None:
    send()
    send("in_app")
    age()
    before = export_personal_data(rich_user)["follow_ups"]
    assert archive_finished() == 2
    assert export_personal_data(rich_user)["follow_ups"] == before
    assert len(before) == 2
    assert all(row["attempts"] for row in before)
    assert erase_person(user=rich_user).is_finished
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_email || subject_sent || message_sent FROM follow_up_archive")
        assert cursor.fetchall() == [("",), ("",)]
        cursor.execute("SELECT count(*) FROM follow_up_in_app_archive")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE follow_up_archive SET status = 'pending', sent_at = NULL",
        "UPDATE follow_up_archive SET archived_at = NULL",
        "UPDATE follow_up_archive SET retry_of_id = id",
        "UPDATE follow_up_attempts_archive SET state = 'in_doubt', finished_at = NULL",
        "UPDATE ONLY follow_up_schedules SET archived_at = now()",
        "DELETE FROM follow_up_archive; SET CONSTRAINTS ALL IMMEDIATE",
        "UPDATE follow_up_archive SET credits_charged = -1",
    ],
)
def test_the_database_keeps_the_queue_and_the_archive_apart(send: Any, broken: str) -> None:
    send()
    age()
    assert archive_finished() == 1
    send()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(broken)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_move_each_once(send: Any, in_parallel: Any) -> None:
    sent = {send().pk for _ in range(3)}
    age()
    assert sum(in_parallel(*[lambda: archive_finished(batch=1)] * 2)) == 3
    assert archived() == sent


def test_reports_and_the_outbox_are_forgotten_in_time(send: Any) -> None:
    follow_up = send()
    for key in ("a", "b", "c"):
        record_receipt(Receipt("scripted", key, ReceiptKind.DELIVERED, str(follow_up.attempts.get().pk)))
    old = ProviderEvent.objects.order_by("pk")[:2]
    ProviderEvent.objects.filter(pk__in=[event.pk for event in old]).update(
        received_at=now() - timedelta(days=401)
    )
    assert forget_old_events(batch=1) == 2
    assert ProviderEvent.objects.get().event_key == "c"
    for days in (29, 31):
        message = SandboxMessage.objects.create(
            follow_up_id=f"00000000-0000-0000-0000-0000000000{days}",
            attempt_id=follow_up.pk,
            channel="email",
            to="",
            language="en",
            body="",
        )
        SandboxMessage.objects.filter(pk=message.pk).update(created_at=now() - timedelta(days=days))
    assert (forget_sandbox(), SandboxMessage.objects.count()) == (1, 1)
