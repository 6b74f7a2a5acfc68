"""Tests of templates, words of staff: to one address, at most once, free, on record, not to who said no."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now
from pytest_django import Settings

from credits.models import CreditEntry
from followups.addresses import hash_address
from followups.choices import ConsentDoor, DirectState, SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected, Unreachable
from followups.models import (
    ChannelSwitch,
    DirectMessage,
    FollowUpAnalytics,
    FollowUpSchedule,
    ProviderEvent,
    SandboxMessage,
    Suppression,
)
from followups.selectors.privacy import export_personal_data
from followups.services.analytics import roll_up_changed_days
from followups.services.consent import opt_out, register_device, suppress
from followups.services.direct import deliver_direct, give_up_old, queue_notice, queue_test
from followups.services.privacy import erase_person
from followups.services.receipts import Receipt, apply_waiting_receipts, record_receipt
from followups.services.sandbox import play_receipts
from followups.tasks import hand_over_direct, send_direct
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, InvalidInput
from tests.factories import UserFactory
from tests.followups.consent.conftest import real_channels

__all__ = ["real_channels"]
pytestmark = pytest.mark.django_db

TO = "editor@example.test"


@pytest.fixture
def try_out(make_template: Any, admin: User) -> Any:
    """Queues a template as a test; by email unless told otherwise."""

    def queue(to: str = TO, language: str = "en", **template: Any) -> DirectMessage:
        made = make_template(**{"channel": "email", **template})
        return queue_test(template=made, to=to, language=language, actor=admin)

    return queue


def notice(actor: User, **change: Any) -> DirectMessage:
    words = {"channel": "email", "to": TO, "subject": "Hello", "message": "One\n\ntwo & three.", **change}
    return queue_notice(actor=actor, **words)


def sent(row: DirectMessage) -> DirectMessage:
    deliver_direct(message_id=row.pk)
    row.refresh_from_db()
    return row


def test_a_test_goes_out_with_fallbacks_free_and_uncounted(try_out: Any, admin: User) -> None:
    row = sent(try_out())
    message = SandboxMessage.objects.get()
    assert (message.to, message.subject) == (TO, "[Test] How are you, friend?")
    assert "Dear friend, how are you?" in message.body
    assert "Dear friend, how are you?" in message.html
    assert (row.state, row.actor, row.to, row.to_hash) == (DirectState.SENT, admin, "", hash_address(TO))
    assert row.body == "Dear friend, how are you?"
    roll_up_changed_days()
    assert not CreditEntry.objects.exists()
    assert not FollowUpSchedule.objects.exists()
    assert not FollowUpAnalytics.objects.exists()


def test_it_speaks_tamil_where_there_is_tamil(try_out: Any) -> None:
    assert try_out(language="ta").subject == "[Test] நலமா, நண்பரே?"
    english = try_out(language="ta", tamil_content="", tamil_subject="")
    assert (english.language, english.subject) == ("en", "[Test] How are you, friend?")


def test_words_of_staff_go_out_as_they_stand(admin: User) -> None:
    row = sent(notice(admin, subject=" Hello\r\nBcc: all@example.test ", message="{{user_email}} <b>1</b>"))
    message = SandboxMessage.objects.get()
    assert message.subject == "Hello Bcc: all@example.test"
    assert message.body.startswith("{{user_email}} <b>1</b>") or "{{user_email}} <b>1</b>" in message.body
    assert "{{user_email}} &lt;b&gt;1&lt;/b&gt;" in message.html
    assert (row.kind, row.state) == ("notice", DirectState.SENT)


def test_it_is_called_for_once_however_often_its_task_runs(provider: Any, try_out: Any) -> None:
    row = try_out()
    for _ in range(3):
        send_direct(str(row.pk))
    assert len(provider.taken) == 1
    (message,) = provider.taken
    assert (message.attempt_id, message.to) == (row.pk, (TO,))
    assert message.callback_url.endswith(f"?a={row.pk}")
    assert message.unsubscribe_url == ""


@pytest.mark.django_db(transaction=True)
def test_two_workers_call_once(provider: Any, try_out: Any, in_parallel: Any) -> None:
    row = try_out()
    in_parallel(*[lambda: deliver_direct(message_id=row.pk)] * 4)
    assert len(provider.taken) == 1


@pytest.mark.parametrize(
    ("outcome", "state", "code"),
    [
        (NotProcessed("busy"), DirectState.FAILED, "busy"),
        (Misconfigured("20003", "refused"), DirectState.FAILED, "20003"),
        (Rejected("550", "no such user"), DirectState.FAILED, "550"),
        (OutcomeUnknown("timeout"), DirectState.UNKNOWN, "timeout"),
        (ValueError("a bug"), DirectState.UNKNOWN, "ValueError"),
    ],
)
def test_however_the_call_ends_it_is_written_down_and_never_tried_again(
    provider: Any, try_out: Any, outcome: Exception, state: DirectState, code: str
) -> None:
    provider.script = [outcome]
    row = sent(try_out())
    assert (row.state, row.code, row.to) == (state, code, "")
    assert row.finished_at is not None
    assert sent(row).state == state
    assert len(provider.taken) == 1


def test_an_address_the_provider_calls_dead_is_remembered(provider: Any, try_out: Any) -> None:
    provider.script = [Rejected("550", "no such user", SuppressionReason.INVALID)]
    sent(try_out())
    assert Suppression.objects.get().address_hash == hash_address(TO)
    with pytest.raises(Unreachable):
        try_out(name="Again")


class TestWhoIsNotWrittenTo:
    def test_a_stopped_address(self, try_out: Any, admin: User) -> None:
        suppress(
            channel="email",
            address_hash=hash_address(TO),
            reason=SuppressionReason.COMPLAINT,
            source="spam",
        )
        for queue in (try_out, lambda: notice(admin)):
            with pytest.raises(Unreachable) as refused:
                queue()
            assert (refused.value.code, list(refused.value.errors)) == ("suppressed", ["to"])

    @pytest.mark.parametrize("channel", ["email", "sms", "push"])
    def test_somebody_who_switched_the_channel_off(self, channel: str, rich_user: User, admin: User) -> None:
        register_device(user=rich_user, token="token-1", platform="ios")
        opt_out(user=rich_user, channel=channel, door=ConsentDoor.PREFERENCES)
        to = {"email": rich_user.email.upper(), "sms": rich_user.phone, "push": "token-1"}[channel]
        with pytest.raises(Unreachable) as refused:
            notice(admin, channel=channel, to=to)
        assert refused.value.code == "opted_out"
        free = {"email": "free@example.test", "sms": "+919840054321", "push": "token-2"}[channel]
        assert notice(admin, channel=channel, to=free).to == free

    @pytest.mark.parametrize(
        ("channel", "to", "code"),
        [
            ("email", "no address", "invalid_address"),
            ("email", "a@b.test, c@d.test", "invalid_address"),
            ("sms", "98400 12345", "invalid_phone"),
            ("sms", "+914423456789", "not_mobile"),
            ("in_app", "1", "no_address"),
        ],
    )
    def test_what_is_no_address_of_the_channel(self, admin: User, channel: str, to: str, code: str) -> None:
        with pytest.raises(Unreachable) as refused:
            notice(admin, channel=channel, to=to)
        assert refused.value.code == code
        assert not DirectMessage.objects.exists()

    def test_nobody_against_the_law_or_the_provider_s_rules(
        self, try_out: Any, admin: User, real_channels: Settings
    ) -> None:
        with pytest.raises(Unreachable) as refused:
            notice(admin, channel="whatsapp", to="+919840012345")
        assert refused.value.code == "not_approved"
        real_channels.DLT_ENTITY_ID = "1101234567890123456"
        with pytest.raises(Unreachable) as refused:
            notice(admin, channel="sms", to="+919840012345")
        assert refused.value.code == "dlt_missing"
        with time_machine.travel("2026-05-01T22:30:00+05:30"), pytest.raises(Unreachable) as refused:
            try_out(channel="sms", to="+919840012345", template_type="offer", dlt_template_id="1")
        assert refused.value.code == "closed_hours"

    def test_nobody_while_the_channel_is_paused(self, provider: Any, try_out: Any) -> None:
        row = try_out()
        ChannelSwitch.objects.create(channel="email", is_paused=True)
        with pytest.raises(Conflict):
            try_out(name="Again")
        assert (sent(row).state, row.code) == (DirectState.FAILED, "channel_paused")
        assert not provider.taken


def test_a_number_may_be_written_as_people_write_it(admin: User) -> None:
    assert notice(admin, channel="sms", to=" +91 98400 12345 ").to == "+919840012345"


def test_words_that_would_be_cut_are_refused(admin: User) -> None:
    with pytest.raises(InvalidInput) as refused:
        notice(admin, channel="sms", to="+919840012345", message="x" * 1_601)
    assert list(refused.value.errors) == ["message"]


class TestReports:
    def test_a_provider_s_report_finds_its_message(self, try_out: Any) -> None:
        row = sent(try_out())
        SandboxMessage.objects.update(created_at=now() - timedelta(minutes=1))
        play_receipts()
        row.refresh_from_db()
        assert row.state == DirectState.DELIVERED
        assert not ProviderEvent.objects.filter(applied_at__isnull=True).exists()
        assert apply_waiting_receipts() == 0

    @pytest.mark.parametrize("is_late", [False, True])
    def test_a_bounce_fails_it_and_stops_the_address(
        self, provider: Any, try_out: Any, is_late: bool
    ) -> None:
        row = sent(try_out())
        kinds = ["delivered", "bounced"] if is_late else ["bounced", "delivered"]
        for number, kind in enumerate(kinds):
            record_receipt(
                Receipt(
                    provider="scripted",
                    event_key=f"{number}",
                    kind=kind,  # type: ignore[arg-type]
                    attempt_reference=str(row.pk),
                    suppress=SuppressionReason.HARD_BOUNCE if kind == "bounced" else None,
                )
            )
        row.refresh_from_db()
        assert row.state == (DirectState.FAILED if is_late else DirectState.DELIVERED)
        assert Suppression.objects.get().reason == SuppressionReason.HARD_BOUNCE

    def test_one_that_comes_before_our_own_answer_stands(self, provider: Any, try_out: Any) -> None:
        row = try_out()

        def answer(message: Any) -> Any:
            record_receipt(
                Receipt(
                    provider="scripted",
                    event_key="1",
                    kind="delivered",  # type: ignore[arg-type]
                    attempt_reference=str(message.attempt_id),
                )
            )
            raise OutcomeUnknown("timeout")

        provider.script = [answer]
        assert sent(row).state == DirectState.DELIVERED

    def test_one_of_another_provider_is_not_believed(self, provider: Any, try_out: Any) -> None:
        row = sent(try_out())
        record_receipt(
            Receipt(
                provider="twilio",
                event_key="1",
                kind="delivered",  # type: ignore[arg-type]
                attempt_reference=str(row.pk),
            )
        )
        row.refresh_from_db()
        assert row.state == DirectState.SENT


class TestWhatIsLeftOver:
    def test_what_could_not_be_handed_over_has_failed(
        self, try_out: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: Any, **__: Any) -> None:
            raise OSError

        row = try_out()
        monkeypatch.setattr(send_direct, "apply_async", away)
        hand_over_direct(row)
        row.refresh_from_db()
        assert (row.state, row.code, row.to) == (DirectState.FAILED, "broker_unreachable", "")

    def test_an_old_one_is_not_sent_any_more(self, provider: Any, try_out: Any) -> None:
        queued, begun = try_out(), try_out(name="Second")
        DirectMessage.objects.filter(pk=begun.pk).update(state=DirectState.CALLING)
        DirectMessage.objects.update(created_at=now() - timedelta(minutes=16))
        assert sent(queued).state == DirectState.QUEUED
        assert give_up_old() == 2
        queued.refresh_from_db()
        begun.refresh_from_db()
        assert (queued.state, begun.state) == (DirectState.FAILED, DirectState.UNKNOWN)
        assert (queued.to, begun.to) == ("", "")
        assert give_up_old() == 0
        assert not provider.taken

    def test_a_fresh_one_is_left_alone(self, try_out: Any) -> None:
        try_out()
        assert give_up_old() == 0


def test_who_is_erased_takes_the_words_along(admin: User) -> None:
    person = UserFactory(phone="+919840012345")
    mail, sms = notice(admin, to=person.email), notice(admin, channel="sms", to=person.phone)
    other = notice(admin)
    sent(mail)
    assert len(export_personal_data(person)["direct_messages"]) == 2
    erase_person(user=person)
    for row in (mail, sms):
        row.refresh_from_db()
        assert (row.subject, row.body, row.to) == ("", "", "")
    assert sms.state == DirectState.FAILED
    assert not SandboxMessage.objects.exists()
    other.refresh_from_db()
    assert other.body
