"""The one list of stopped addresses: which reason stands, and who may lift it."""

from itertools import permutations
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.addresses import hash_address
from followups.choices import GRAVITY, LIFTED_BY, ConsentDoor, ConsentKind, ReceiptKind, SuppressionReason
from followups.exceptions import Unreachable
from followups.models import ConsentEvent, FollowUpSchedule, RecipientPreference, Suppression
from followups.services.consent import choose_channels, lift, opt_in, opt_out, suppress
from followups.services.receipts import Receipt, record_receipt
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.factories import UserFactory
from tests.followups.consent.conftest import PHONE

pytestmark = pytest.mark.django_db
HASH = hash_address(PHONE)


def stop(reason: SuppressionReason, channel: str = "sms") -> bool:
    return suppress(channel=channel, address_hash=HASH, reason=reason, source=f"test {reason}")


def events() -> list[tuple[str, str, str]]:
    return list(ConsentEvent.objects.order_by("pk").values_list("kind", "channel", "door"))


@pytest.mark.parametrize(("first", "second"), [*permutations(SuppressionReason, 2)])
def test_the_graver_reason_stands_and_of_equals_the_first(
    first: SuppressionReason, second: SuppressionReason
) -> None:
    assert stop(first)
    is_graver = GRAVITY[second] > GRAVITY[first]
    assert stop(second) == is_graver
    row = Suppression.objects.get()
    standing = second if is_graver else first
    assert (row.reason, row.source) == (standing, f"test {standing}")


def test_every_reason_has_its_gravity_and_the_readers_own_are_the_lightest() -> None:
    assert GRAVITY.keys() == set(SuppressionReason)
    readers = {
        reason for door, reasons in LIFTED_BY.items() if door != ConsentDoor.STAFF for reason in reasons
    }
    assert {reason for reason, gravity in GRAVITY.items() if gravity == 0} == readers


@pytest.mark.parametrize("door", list(ConsentDoor))
@pytest.mark.parametrize("reason", list(SuppressionReason))
def test_a_door_lifts_what_is_its_own(door: ConsentDoor, reason: SuppressionReason) -> None:
    stop(reason)
    may_lift = reason in LIFTED_BY.get(door, ())
    assert lift(channel="sms", address_hash=HASH, door=door) == may_lift
    assert Suppression.objects.exists() != may_lift


@pytest.mark.parametrize("door", [door for door in ConsentDoor if door != ConsentDoor.STAFF])
@pytest.mark.parametrize("reason", ["hard_bounce", "complaint", "invalid", "blocked", "by_staff"])
def test_no_reader_lifts_a_bounce_a_complaint_or_what_staff_stopped(door: ConsentDoor, reason: str) -> None:
    stop(SuppressionReason(reason))
    assert not lift(channel="sms", address_hash=HASH, door=door)


def test_the_database_knows_the_reasons() -> None:
    with pytest.raises(IntegrityError, match="suppression_reason_known"), transaction.atomic():
        Suppression.objects.create(channel="sms", address_hash=HASH, reason="whim")


def test_two_people_with_one_number_are_both_covered(
    rich_user: User, sharer: User, make_template: Any
) -> None:
    stop(SuppressionReason.STOP_WORD)
    for user in (rich_user, sharer):
        with pytest.raises(Unreachable) as refused:
            schedule_follow_up(user=user, template_id=make_template(channel="sms", credits_cost=0).pk)
        assert refused.value.code == "suppressed"


def test_another_channel_of_the_same_number_stays_open(rich_user: User, make_template: Any) -> None:
    stop(SuppressionReason.STOP_WORD, channel="whatsapp")
    assert schedule_follow_up(user=rich_user, template_id=make_template(channel="sms").pk)


def test_a_complaint_stops_the_address_and_the_user_whatever_it_says_later(
    rich_user: User, make_template: Any, provider: Any, run_queue: Any
) -> None:
    schedule_follow_up(user=rich_user, template_id=make_template(channel="email").pk, scheduled_at=now())
    run_queue()
    attempt = FollowUpSchedule.objects.get().attempts.get()
    record_receipt(
        Receipt(
            "scripted",
            "complaint-1",
            ReceiptKind.COMPLAINED,
            attempt_reference=str(attempt.pk),
            suppress=SuppressionReason.COMPLAINT,
        )
    )
    assert Suppression.objects.get().reason == SuppressionReason.COMPLAINT
    assert RecipientPreference.objects.get().channels_off == ["email"]
    assert events() == [("opt_out", "email", "provider")] * 2  # the user's, and the address's
    User.objects.filter(pk=rich_user.pk).update(email="new@example.test")
    rich_user.refresh_from_db()
    with pytest.raises(Unreachable):
        schedule_follow_up(
            user=rich_user, template_id=make_template(channel="email", template_type="support").pk
        )
    assert balance_of(rich_user) == 95
    choose_channels(user=rich_user, channels_off=[], door=ConsentDoor.PREFERENCES)
    User.objects.filter(pk=rich_user.pk).update(email="USER@example.test")
    assert Suppression.objects.exists()


def test_each_decision_leaves_one_event_and_a_repeat_none(user: User) -> None:
    assert opt_out(user=user, channel="sms", door=ConsentDoor.LINK, wording="page 1")
    assert not opt_out(user=user, channel="sms", door=ConsentDoor.REPLY, wording="STOP")
    assert opt_in(user=user, channel="sms", door=ConsentDoor.PREFERENCES)
    assert not opt_in(user=user, channel="sms", door=ConsentDoor.PREFERENCES)
    assert events() == [("opt_out", "sms", "link"), ("opt_in", "sms", "preferences")]
    first = ConsentEvent.objects.order_by("pk")[0]
    assert (first.user, first.wording, first.address_hash) == (user, "page 1", "")
    assert abs((first.created_at - now()).total_seconds()) < 300


def test_a_fact_about_an_address_is_nobodys_decision() -> None:
    for reason in (SuppressionReason.HARD_BOUNCE, SuppressionReason.INVALID):
        suppress(channel="email", address_hash=f"{reason}", reason=reason, source="550")
    assert events() == []


def test_choosing_channels_lifts_what_the_link_stopped_and_no_bounce(user: User) -> None:
    for channel, reason in (("email", "unsubscribed"), ("in_app", "hard_bounce")):
        address = user.email if channel == "email" else str(user.pk)
        suppress(
            channel=channel,
            address_hash=hash_address(address),
            reason=SuppressionReason(reason),
            source="test",
        )
        opt_out(user=user, channel=channel)
    choose_channels(user=user, channels_off=["sms"], door=ConsentDoor.PREFERENCES)
    assert RecipientPreference.objects.get().channels_off == ["sms"]
    assert list(Suppression.objects.values_list("channel", flat=True)) == ["in_app"]


def test_events_are_never_changed_and_never_deleted(user: User) -> None:
    opt_out(user=user, channel="sms", door=ConsentDoor.LINK)
    row = ConsentEvent.objects.get()
    other = UserFactory()
    for change in (
        lambda: ConsentEvent.objects.update(kind=ConsentKind.OPT_IN),
        lambda: ConsentEvent.objects.update(wording="x"),
        lambda: ConsentEvent.objects.update(user=other),
        lambda: ConsentEvent.objects.all().delete(),
        row.save,
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    assert ConsentEvent.objects.get().user == user


def test_an_event_outlives_its_user_without_them(user: User) -> None:
    opt_out(user=user, channel="sms", door=ConsentDoor.LINK)
    user.delete()
    assert ConsentEvent.objects.get().user is None
