"""What is kept about a person, and how it goes: before, beside and after whatever a worker does."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session as SignInSession
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.test import Client
from django.utils.timezone import now
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from credits.models import CreditEntry
from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.addresses import hash_address
from followups.channels import get_channel
from followups.channels.base import CANNOT_TELL, Accepted
from followups.choices import ReceiptKind, State, SuppressionReason
from followups.exceptions import NotProcessed, OutcomeUnknown, Rejected, Unreachable
from followups.models import (
    Attempt,
    Device,
    Erasure,
    FollowUpSchedule,
    IdempotentAnswer,
    InAppMessage,
    InboundMessage,
    ProviderEvent,
    RecipientPreference,
    SandboxMessage,
    Suppression,
)
from followups.selectors.privacy import erasure_preview, export_personal_data
from followups.services.consent import opt_out, register_device, suppress
from followups.services.delivery import call, deliver
from followups.services.dispatch import claim_due
from followups.services.planning import plan_session
from followups.services.privacy import erase_person, finish_erasures
from followups.services.receipts import Receipt, apply_waiting_receipts, record_receipt
from followups.services.reconciling import reconcile
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.settling import database_now, settle
from followups.services.withdrawing import cancel_follow_up, fail_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import refresh, sign_in
from jyotiflow.exceptions import Conflict, DomainError, NotSignedIn
from sessions_app.models import Session
from sessions_app.services import complete_session
from tests.factories import PASSWORD, SessionFactory, UserFactory
from tests.followups.conftest import ScriptedChannel
from tests.followups.steps import begin, pass_gate
from tests.jyotiflow.test_tokens import platform_token

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]


@pytest.fixture
def person(rich_user: User) -> User:
    """A reader with 100 credits whose name is found nowhere else."""
    rich_user.name = "Lakshmi Narayanan"
    rich_user.save()
    return rich_user


@pytest.fixture
def book(person: User, make_template: Any) -> Any:
    """Books a follow-up for 5 credits, due now; by email unless told otherwise."""

    def make(*, channel: str = "email", hours: int = 0) -> FollowUpSchedule:
        update_settings(changes={"min_interval_hours": 0})
        template = make_template(name=f"T {uuid.uuid4()}", channel=channel)
        return schedule_follow_up(
            user=person, template_id=template.pk, scheduled_at=now() + timedelta(hours=hours)
        )

    return make


def kept_about(follow_up: FollowUpSchedule) -> list[object]:
    follow_up.refresh_from_db()
    return [
        follow_up.user_email,
        follow_up.subject_sent,
        follow_up.message_sent,
        follow_up.custom_variables,
        InAppMessage.objects.filter(follow_up=follow_up).count(),
        SandboxMessage.objects.filter(follow_up_id=follow_up.pk).count(),
        *Attempt.objects.filter(follow_up=follow_up).exclude(details={}, body_hash=""),
        *ProviderEvent.objects.filter(attempt__follow_up=follow_up).exclude(raw={}),
    ]


NOTHING: list[object] = ["", "", "", {}, 0, 0]


def refunds_of(follow_up: FollowUpSchedule) -> int:
    return CreditEntry.objects.filter(idempotency_key=follow_up.refund_key).count()


def test_the_export_holds_what_is_kept_and_no_whole_token(person: User, book: Any, run_queue: Any) -> None:
    session = SessionFactory(user=person, completed=True)
    sent = book(channel="in_app")
    run_queue()
    token = "t" * 100 + "secret"
    register_device(user=person, token=token, platform="ios")
    opt_out(user=person, channel="sms")
    suppress(
        channel="sms",
        address_hash=hash_address(person.phone),
        reason=SuppressionReason.OPT_OUT,
        source="asked",
    )
    for phone, message_id in ((person.phone, "SM1"), ("+919840099999", "SM2")):
        InboundMessage.objects.create(
            message_id=message_id, channel="sms", address_hash=hash_address(phone), kind="stop", word="STOP"
        )
    attempt = Attempt.objects.get(follow_up=sent)
    record_receipt(
        Receipt("in_app", "k", ReceiptKind.READ, attempt_reference=str(attempt.pk), raw={"word": "opened"})
    )
    UserFactory(name="Somebody Else")
    data = export_personal_data(person)
    text = json.dumps(data)
    for word in (person.email, person.phone, person.name, session.question, session.guidance_summary):
        assert word in text
    assert token not in text
    assert "Somebody Else" not in text
    assert data["devices"][0]["token"] == "…secret"
    assert data["preferences"][0]["channels_off"] == ["sms"]
    # What was decided by its reader, and about the address.
    decisions = [(event["kind"], event["channel"], event["wording"]) for event in data["consent"]]
    assert decisions == [("opt_out", "sms", ""), ("opt_out", "sms", "asked")]
    assert [(reply["channel"], reply["word"]) for reply in data["replies"]] == [("sms", "STOP")]
    assert data["suppressed_addresses"][0]["reason"] == "opt_out"
    assert data["credits"]["balance"] == 95
    assert [entry["amount"] for entry in data["credits"]["entries"]] == [-5, 100]
    assert data["follow_ups"][0]["message_sent"] == data["in_app_messages"][0]["body"]
    assert data["follow_ups"][0]["attempts"][0]["events"][0]["raw"]["word"] == "opened"


def test_erasing_refunds_what_waits_whatever_the_settings_say(person: User, book: Any) -> None:
    waiting = [book(hours=1), book(hours=48)]
    update_settings(changes={"refund_on_cancel": False, "refund_on_failure": False})
    would = erasure_preview(person)
    assert (would.cancelled, would.credits_refunded, would.undecided) == (2, 10, 0)
    report = erase_person(user=person, actor=person)
    assert (report.cancelled, report.credits_refunded, report.is_finished) == (2, 10, True)
    assert balance_of(person) == 100
    for follow_up in waiting:
        assert kept_about(follow_up) == NOTHING
        assert (follow_up.status, follow_up.failure_code) == (State.CANCELLED, "erased")
    assert imbalances() == []


def test_an_erased_person_leaves_a_pseudonym_and_whole_figures(
    person: User, book: Any, run_queue: Any
) -> None:
    session = SessionFactory(user=person, completed=True)
    sent = [book(channel=channel) for channel in ("email", "sms", "whatsapp", "in_app")]
    run_queue()
    register_device(user=person, token="a-token", platform="web")
    opt_out(user=person, channel="push")
    IdempotentAnswer.objects.create(user=person, key="k", request_hash="x", status=201, body="{}")
    before = CreditEntry.objects.aggregate(sum=Sum("amount"))["sum"]
    entries = list(CreditEntry.objects.values())
    assert erase_person(user=person).is_finished
    person.refresh_from_db()
    assert person.email == f"erased-{person.pk}@erased.invalid"
    assert (person.name, person.phone, person.is_active) == ("", "", False)
    assert person.erased_at
    assert not person.has_usable_password()
    session.refresh_from_db()
    assert (session.question, session.guidance_summary, session.status) == ("", "", "completed")
    for follow_up in sent:
        assert kept_about(follow_up) == NOTHING
        assert follow_up.status in (State.SENT, State.DELIVERED)
        assert follow_up.credits_charged == 5
    for model in (Device, RecipientPreference, IdempotentAnswer, InAppMessage, SandboxMessage):
        assert model.objects.count() == 0
    assert CreditEntry.objects.aggregate(sum=Sum("amount"))["sum"] == before
    assert list(CreditEntry.objects.values()) == entries


def test_an_erased_account_can_t_be_given_personal_data_again(person: User) -> None:
    erase_person(user=person)
    for change in (
        {"name": "Lakshmi"},
        {"phone": "+919840012345"},
        {"is_active": True},
        {"email": "a@b.test"},
    ):
        with pytest.raises(IntegrityError, match="user_erased_has_no_personal_data"), transaction.atomic():
            User.objects.filter(pk=person.pk).update(**change)


def test_erasing_twice_is_erasing_once(person: User, book: Any) -> None:
    book(hours=5)
    erase_person(user=person)
    first = User.objects.values().get(pk=person.pk)
    report = erase_person(user=person)
    assert (report.cancelled, report.credits_refunded, report.is_finished) == (0, 0, True)
    assert User.objects.values().get(pk=person.pk) == first
    assert Erasure.objects.count() == 1
    assert balance_of(person) == 100


def test_staff_are_not_erased_before_their_rights_are_taken_away(staff: User) -> None:
    with pytest.raises(Conflict, match="staff"):
        erase_person(user=staff)
    staff.refresh_from_db()
    assert staff.is_active
    assert not Erasure.objects.exists()


def test_every_table_that_refers_to_a_person_is_thought_of() -> None:
    """A new one fails here: say in the erasure what becomes of its rows, then add it."""
    cleared = {
        "followups.Device",
        "followups.IdempotentAnswer",
        "followups.InAppMessage",
        "followups.RecipientPreference",
        "token_blacklist.OutstandingToken",
        "accounts.User_groups",
        "accounts.User_user_permissions",
    }
    kept_without_words = {
        "admin.LogEntry",
        "auditing.AuditEntry",  # who of staff did it; people are numbers in it
        "credits.CreditAccount",
        "credits.CreditEntry",
        "followups.BulkChange",  # who of staff asked for it
        "followups.BulkItem",  # what the row of a file asked for is emptied
        "followups.ChannelSwitch",
        "followups.ConsentEvent",  # proof that a wish was heeded; by number and hash
        "followups.DirectMessage",  # who of staff wrote; to whom by hash, and no words
        "followups.Erasure",
        "followups.FollowUpSchedule",
        "followups.TemplateVersion",
        "sessions_app.Session",
    }
    refers = {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if field.concrete and field.related_model is User and not field.many_to_many
    }
    assert refers == cleared | kept_without_words


# --- Against a worker at every place where it may stand ----------------------------------------------------


def claim() -> tuple[uuid.UUID, uuid.UUID]:
    found = claim_due(limit=10)[0]
    return found.follow_up_id, found.token


def test_what_was_claimed_is_not_sent_after_the_erasure(
    person: User, book: Any, provider: ScriptedChannel
) -> None:
    follow_up = book()
    follow_up_id, token = claim()
    erase_person(user=person)
    deliver(follow_up_id=follow_up_id, token=token)
    assert provider.taken == []
    assert kept_about(follow_up) == NOTHING
    assert (follow_up.status, refunds_of(follow_up)) == (State.CANCELLED, 1)


def test_what_was_begun_is_not_sent_after_the_erasure(
    person: User, book: Any, provider: ScriptedChannel
) -> None:
    follow_up = book()
    follow_up_id, token = claim()
    own = begin(follow_up_id=follow_up_id, token=token)
    assert own
    erase_person(user=person)
    assert pass_gate(follow_up_id=follow_up_id, token=own.token) is None
    follow_up.refresh_from_db()
    assert (follow_up.status, refunds_of(follow_up)) == (State.CANCELLED, 1)


def test_the_gate_refuses_whose_account_was_closed_this_moment(
    person: User, book: Any, provider: ScriptedChannel
) -> None:
    """A crash after the account was closed: nothing is withdrawn yet, and nothing is sent."""
    update_settings(changes={"refund_on_failure": False})
    follow_up = book()
    follow_up_id, token = claim()
    Erasure.objects.create(user=person)
    User.objects.filter(pk=person.pk).update(is_active=False)
    deliver(follow_up_id=follow_up_id, token=token)
    assert provider.taken == []
    follow_up.refresh_from_db()
    assert (follow_up.status, refunds_of(follow_up)) == (State.FAILED, 1)
    assert finish_erasures() == 1
    assert kept_about(follow_up) == NOTHING


@pytest.mark.parametrize(
    ("outcome", "status", "refunds"),
    [
        (Accepted("id-1"), State.SENT, 0),
        (Rejected("550", "lakshmi@example.test is unknown"), State.FAILED, 1),
        (NotProcessed("429"), State.CANCELLED, 1),
        (OutcomeUnknown("timeout"), State.IN_DOUBT, 0),
    ],
)
def test_what_had_passed_the_gate_ends_as_usual_and_is_refunded_iff_not_sent(
    person: User, book: Any, provider: ScriptedChannel, outcome: Any, status: State, refunds: int
) -> None:
    update_settings(changes={"refund_on_failure": False})
    follow_up = book()
    follow_up_id, token = claim()
    own = begin(follow_up_id=follow_up_id, token=token)
    assert own
    passed = pass_gate(follow_up_id=follow_up_id, token=own.token)
    assert passed
    assert erasure_preview(person).undecided == 1
    assert not erase_person(user=person).is_finished  # the worker is between the gate and the call
    settle(attempt_id=passed.message.attempt_id, outcome=outcome)
    assert finish_erasures() == (status != State.IN_DOUBT)
    assert kept_about(follow_up) == NOTHING
    assert (follow_up.status, refunds_of(follow_up)) == (status, refunds)
    assert "lakshmi" not in follow_up.failure_reason
    assert imbalances() == []


def test_an_in_app_message_on_its_way_is_not_put_into_an_erased_inbox(person: User, book: Any) -> None:
    from_gate = book(channel="in_app")
    follow_up_id, token = claim()
    own = begin(follow_up_id=follow_up_id, token=token)
    assert own
    passed = pass_gate(follow_up_id=follow_up_id, token=own.token)
    assert passed
    erase_person(user=person)
    outcome = call(get_channel("in_app"), passed.message)
    assert outcome == Rejected("user_inactive", "The account is closed.")
    settle(attempt_id=passed.message.attempt_id, outcome=outcome)
    assert finish_erasures() == 1
    assert kept_about(from_gate) == NOTHING
    assert (from_gate.status, refunds_of(from_gate)) == (State.FAILED, 1)


def test_what_the_sandbox_writes_after_the_erasure_goes_with_the_next_run(person: User, book: Any) -> None:
    follow_up = book()
    follow_up_id, token = claim()
    own = begin(follow_up_id=follow_up_id, token=token)
    assert own
    passed = pass_gate(follow_up_id=follow_up_id, token=own.token)
    assert passed
    assert not erase_person(user=person).is_finished
    outcome = call(get_channel("email"), passed.message)
    assert SandboxMessage.objects.count() == 1
    assert finish_erasures() == 0
    settle(attempt_id=passed.message.attempt_id, outcome=outcome)
    assert finish_erasures() == 1
    assert kept_about(follow_up) == NOTHING
    assert follow_up.status == State.SENT


def in_doubt(follow_up: FollowUpSchedule, provider: ScriptedChannel) -> Attempt:
    provider.script = [OutcomeUnknown("timeout")]
    follow_up_id, token = claim()
    deliver(follow_up_id=follow_up_id, token=token)
    follow_up.refresh_from_db()
    assert follow_up.status == State.IN_DOUBT
    return Attempt.objects.get(follow_up=follow_up)


def test_what_is_in_doubt_is_settled_by_a_late_receipt_without_bringing_words_back(
    person: User, book: Any, provider: ScriptedChannel
) -> None:
    follow_up = book()
    attempt = in_doubt(follow_up, provider)
    assert not erase_person(user=person).is_finished
    receipt = Receipt(
        "scripted",
        "event",
        ReceiptKind.DELIVERED,
        attempt_reference=str(attempt.pk),
        raw={"to": "lakshmi@example.test"},
    )
    assert record_receipt(receipt)
    assert finish_erasures() == 1
    assert kept_about(follow_up) == NOTHING
    assert (follow_up.status, refunds_of(follow_up)) == (State.DELIVERED, 0)


def test_what_stays_in_doubt_is_refunded_after_a_day_and_ends_the_erasure(
    person: User, book: Any, provider: ScriptedChannel
) -> None:
    update_settings(changes={"refund_on_failure": False})
    follow_up = book()
    attempt = in_doubt(follow_up, provider)
    provider.sighting = CANNOT_TELL
    assert not erase_person(user=person).is_finished
    Attempt.objects.filter(pk=attempt.pk).update(gate_at=database_now() - timedelta(hours=25))
    assert reconcile() == 1
    assert finish_erasures() == 1
    assert kept_about(follow_up) == NOTHING
    assert (follow_up.status, refunds_of(follow_up)) == (State.FAILED, 1)


def test_a_worker_that_died_after_the_gate_leaves_nothing_behind(
    person: User, book: Any, provider: ScriptedChannel
) -> None:
    follow_up = book()
    follow_up_id, token = claim()
    own = begin(follow_up_id=follow_up_id, token=token)
    assert own
    passed = pass_gate(follow_up_id=follow_up_id, token=own.token)
    assert passed
    erase_person(user=person)
    FollowUpSchedule.objects.update(lease_until=now() - timedelta(seconds=1))
    assert rescue_expired() == 1
    assert finish_erasures() == 0  # in doubt: nobody knows
    assert kept_about(follow_up) == NOTHING


def test_late_reports_suppress_the_address_and_remember_no_wishes(
    person: User, book: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    follow_up = book()
    run_queue()
    attempt = Attempt.objects.get(follow_up=follow_up)
    address = hash_address(person.email)
    erase_person(user=person)
    for kind in (ReceiptKind.COMPLAINED, ReceiptKind.UNSUBSCRIBED):
        record_receipt(
            Receipt(
                "scripted",
                f"{kind}",
                kind,
                attempt_reference=str(attempt.pk),
                suppress=SuppressionReason.COMPLAINT,
            )
        )
    assert apply_waiting_receipts() == 0
    assert Suppression.objects.get().address_hash == address
    assert not RecipientPreference.objects.exists()
    assert kept_about(follow_up) == NOTHING


# --- Requests, plans and sign-ins that come too late -------------------------------------------------------


def test_nothing_is_booked_planned_or_registered_for_who_is_erased(person: User, make_template: Any) -> None:
    template = make_template(sequence_order=1)
    session = SessionFactory(user=person, completed=True)
    open_session = SessionFactory(user=person)
    asked_before = User.objects.get(pk=person.pk)  # a request that was signed in before
    erase_person(user=person)
    with pytest.raises(Unreachable, match="closed"):
        schedule_follow_up(user=asked_before, template_id=template.pk, scheduled_at=now())
    assert plan_session(session_id=session.pk).decisions == [
        {"template": str(template.pk), "skipped": "user_inactive"}
    ]
    with pytest.raises(NotSignedIn):
        register_device(user=asked_before, token="t", platform="web")
    opt_out(user=asked_before, channel="sms")
    with pytest.raises(Conflict, match="erased"):
        complete_session(session_id=open_session.pk, guidance_summary="Lakshmi should wait.")
    assert not Device.objects.exists()
    assert not RecipientPreference.objects.exists()
    assert not FollowUpSchedule.objects.exists()
    assert not Session.objects.exclude(guidance_summary="").exists()


def test_no_old_credential_signs_an_erased_person_in(person: User) -> None:
    email = person.email
    signed_in = sign_in(email=email, password=PASSWORD)
    refresh(refresh_token=signed_in.tokens.refresh_token)
    assert BlacklistedToken.objects.count() == 1
    browser = Client()
    browser.force_login(person)
    stranger = Client()
    stranger.force_login(UserFactory())
    erase_person(user=person)
    assert not OutstandingToken.objects.exists()
    assert not BlacklistedToken.objects.exists()
    assert SignInSession.objects.count() == 1  # the stranger's
    with pytest.raises(NotSignedIn):
        sign_in(email=email, password=PASSWORD)
    with pytest.raises(NotSignedIn):
        refresh(refresh_token=signed_in.tokens.refresh_token)
    for token in (
        signed_in.tokens.access_token,
        platform_token(email=email),
        platform_token(email=f"erased-{person.pk}@erased.invalid"),
    ):
        answer = Client().get("/api/user/profile", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
    assert browser.get("/followups/").status_code == 302
    assert stranger.get("/followups/").status_code == 200


def test_the_admin_log_forgets_the_name_and_keeps_what_was_done(person: User, admin: User) -> None:
    kind = ContentType.objects.get_for_model(User)
    common = {"user": admin, "action_flag": CHANGE, "content_type": kind}
    LogEntry.objects.create(
        **common, object_id=str(person.pk), object_repr=person.email, change_message="Changed Name."
    )
    LogEntry.objects.create(
        **common,
        object_id="1",
        object_repr="a suppression",
        change_message=f"{person.name.upper()} called from {person.phone}",
    )
    person.name = "லட்சுமி"
    person.save()
    LogEntry.objects.create(
        **common, object_id="2", object_repr="x", change_message=json.dumps([{"added": {"object": "லட்சுமி"}}])
    )
    erase_person(user=person)
    texts = "".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    assert person.email not in texts
    assert person.phone not in texts
    assert json.dumps("லட்சுமி")[1:-1] not in texts
    assert f"user {person.pk} Changed Name." in texts
    assert "called from …" in texts


# --- Several at once, and crashes --------------------------------------------------------------------------


def _fail(follow_up: FollowUpSchedule) -> None:
    with transaction.atomic():
        locked = FollowUpSchedule.objects.select_for_update().get(pk=follow_up.pk)
        fail_follow_up(follow_up=locked, code="x", reason="It failed.", from_states=[State.PENDING])


@pytest.mark.django_db(transaction=True)
def test_cancel_fail_and_erase_at_once_give_one_refund(
    rich_user: User, make_template: Any, in_parallel: Any
) -> None:
    template = make_template(channel="email")
    for _ in range(15):
        person = UserFactory()
        grant(user=person, amount=5, reason="test", key=f"race:{person.pk}")
        follow_up = schedule_follow_up(user=person, template_id=template.pk, scheduled_at=now())
        unexpected = [
            outcome
            for outcome in in_parallel(
                lambda one=follow_up: cancel_follow_up(follow_up_id=one.pk),
                lambda one=follow_up: _fail(one),
                lambda one=person: erase_person(user=one),
            )
            if isinstance(outcome, Exception) and not isinstance(outcome, DomainError)
        ]
        assert unexpected == []
        assert refunds_of(follow_up) == 1
        assert balance_of(person) == 5
        assert kept_about(follow_up) == NOTHING
    assert imbalances() == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_beside_an_erasure_sends_or_the_credits_come_back(
    book: Any, person: User, make_template: Any, provider: ScriptedChannel, in_parallel: Any
) -> None:
    template = book(hours=100).template
    for _ in range(20):
        other = UserFactory(name="Beside")
        grant(user=other, amount=5, reason="test", key=f"race:{other.pk}")
        follow_up = schedule_follow_up(user=other, template_id=template.pk, scheduled_at=now())
        follow_up_id, token = claim()
        taken = len(provider.taken)
        assert (
            in_parallel(
                lambda one=other: erase_person(user=one).cancelled,
                lambda one=follow_up_id, key=token: deliver(follow_up_id=one, token=key),
            )[1]
            is None
        )
        finish_erasures()
        is_sent = len(provider.taken) > taken
        assert kept_about(follow_up) == NOTHING
        assert (follow_up.status == State.SENT) == is_sent
        assert refunds_of(follow_up) == (not is_sent)
    assert imbalances() == []


@pytest.mark.django_db(transaction=True)
def test_bookings_beside_an_erasure_are_refunded_or_refused(make_template: Any, in_parallel: Any) -> None:
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(channel="email")
    for _ in range(10):
        person = UserFactory()
        grant(user=person, amount=50, reason="test", key=f"race:{person.pk}")

        def book(one: User = person) -> FollowUpSchedule:
            return schedule_follow_up(user=one, template_id=template.pk, scheduled_at=now())

        outcomes = in_parallel(book, book, lambda one=person: erase_person(user=one), book, book)
        assert [
            each for each in outcomes if isinstance(each, Exception) and not isinstance(each, DomainError)
        ] == []
        assert not FollowUpSchedule.objects.filter(user=person).exclude(status=State.CANCELLED).exists()
        assert not FollowUpSchedule.objects.filter(user=person).exclude(user_email="").exists()
        assert balance_of(person) == 50
    assert imbalances() == []


@pytest.mark.django_db(transaction=True)
def test_a_killed_erasure_is_ended_by_the_next_run(person: User, book: Any) -> None:
    many = 300
    grant(user=person, amount=5 * many, reason="test", key="more")
    template = book(hours=1).template
    for _ in range(many - 1):
        schedule_follow_up(user=person, template_id=template.pk, scheduled_at=now() + timedelta(hours=1))
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    command = subprocess.Popen(
        [sys.executable, "manage.py", "erase_person", str(person.pk), "--yes"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database.geturl()},
        stdout=subprocess.DEVNULL,
    )
    cancelled = FollowUpSchedule.objects.filter(status=State.CANCELLED)
    deadline = time.monotonic() + 120
    while cancelled.count() < 20:
        assert time.monotonic() < deadline
        assert command.poll() is None
        time.sleep(0.01)
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert 20 <= cancelled.count() < many, "the kill came too late to prove anything"
    assert claim_due(limit=10) == []
    assert finish_erasures() == 1
    assert cancelled.count() == many
    assert not FollowUpSchedule.objects.exclude(user_email="").exists()
    assert balance_of(person) == 100 + 5 * many
    assert CreditEntry.objects.filter(kind="refund").count() == many
    assert imbalances() == []
    person.refresh_from_db()
    assert person.erased_at
