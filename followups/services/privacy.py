"""Erasing a person: what waits is refunded, what is personal is forgotten, the ledger stays as it is.

Several short transactions, in an order in which a crash between any two is harmless: the account is closed
first, and whoever runs it again, or the beat, goes on where it stopped. See `docs/privacy.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Case, Value, When
from django.db.models.functions import Now

from credits.services import lock_account
from followups.choices import State
from followups.models import (
    Attempt,
    Device,
    Erasure,
    FollowUpSchedule,
    IdempotentAnswer,
    InAppMessage,
    ProviderEvent,
    RecipientPreference,
    SandboxMessage,
)
from followups.selectors.privacy import direct_messages_to, is_on_its_way, suppressions_of
from followups.services.direct import forget
from followups.services.importing import forget_rows
from followups.services.withdrawing import withdraw_for_erasure
from jyotiflow.accounts.erasure import close_account, erase_account
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import InvalidInput, NotAllowed
from sessions_app.services import erase_sessions

log = structlog.get_logger(__name__)

NO_WORDS: Mapping[str, Any] = {
    "user_email": "",
    "custom_variables": {},
    "subject_sent": "",
    "message_sent": "",
}
ERASED = "Erased."  # a failure has a reason


@dataclass(frozen=True)
class ErasureReport:
    """What one run of an erasure did. Not finished: something is on its way, and the beat goes on."""

    cancelled: int
    credits_refunded: int
    is_finished: bool


def check_it_is_them(*, user: User, signed_in_by_platform: bool, password: str, confirm: str) -> None:
    """Whether the person themselves asks to be erased, not somebody who found their phone unlocked.

    By password, or for who signs in through the platform by their email. Raises ``InvalidInput`` for a
    missing proof, ``NotAllowed`` for a wrong one.
    """
    if signed_in_by_platform:
        if not confirm:
            raise InvalidInput.field("confirm", "Send your email address as confirm.")
        if confirm.strip().casefold() != user.email.casefold():
            raise NotAllowed("This is not the email address of your account.", code="wrong_confirmation")
        return
    if not password:
        raise InvalidInput.field("password", "Send your password.")
    if not user.check_password(password):
        raise NotAllowed("The password is wrong.", code="wrong_password")


def erase_person(*, user: User, actor: User | None = None) -> ErasureReport:
    """Erase a person, for good. A repeat goes on with what is left, and may find nothing to do.

    Raises ``Conflict`` for staff; nothing is done then.
    """
    with transaction.atomic():
        lock_account(user=user)  # a booking that is under way comes first, later ones see the closed account
        close_account(user=user)
        _, is_new = Erasure.objects.get_or_create(user=user, defaults={"actor": actor})
        if is_new and actor != user:
            record_change(action=Action.ERASED, of=user, label=f"user {user.pk}", actor=actor)
    log.info("erasure_begun", user_id=user.pk)
    return _go_on(user)


def finish_erasures(*, batch: int = 50) -> int:
    """Go on with what a crash or a message on its way left open; returns how many erasures ended."""
    finished = 0
    waiting = Erasure.objects.filter(finished_at__isnull=True).select_related("user")
    for erasure in list(waiting.order_by("requested_at")[:batch]):
        try:
            finished += _go_on(erasure.user).is_finished
        except Exception:  # one person must not hold up the others
            log.error("erasure_failed", user_id=erasure.user_id, exc_info=True)
    return finished


def _go_on(user: User) -> ErasureReport:
    _forget_who_it_was(user)
    refunds = [
        withdraw_for_erasure(follow_up_id=follow_up_id)
        for follow_up_id in _ids(user, status__in=[State.PENDING, State.SENDING])
    ]
    # Looked at first: what is on its way now may still write a row, which the next run finds.
    is_open = is_on_its_way(user)
    _forget_messages(user)
    _forget_what_was_kept(user)
    if not is_open:
        Erasure.objects.filter(user=user, finished_at__isnull=True).update(finished_at=Now())
        log.info("erasure_finished", user_id=user.pk)
    done = [refund for refund in refunds if refund is not None]
    return ErasureReport(len(done), sum(done), not is_open)


@transaction.atomic
def _forget_who_it_was(user: User) -> None:
    """The last moment at which anybody knows the addresses: what is found by them goes with them."""
    person = User.objects.get(pk=user.pk)
    suppressions_of(person).update(source="")
    forget(direct_messages_to(person))
    erase_account(user=user)


def _forget_messages(user: User) -> None:
    for ids in _batches(_ids(user)):
        follow_ups = FollowUpSchedule.objects.filter(pk__in=ids)
        follow_ups.exclude(**NO_WORDS, failure_reason__in=["", ERASED]).update(
            **NO_WORDS, failure_reason=Case(When(status=State.FAILED, then=Value(ERASED)), default=Value(""))
        )
        attempts = Attempt.objects.filter(follow_up__in=ids)
        attempts.exclude(details={}, body_hash="").update(details={}, body_hash="")
        ProviderEvent.objects.filter(attempt__in=attempts).exclude(raw={}).update(raw={})
        InAppMessage.objects.filter(follow_up__in=ids).delete()
        SandboxMessage.objects.filter(follow_up_id__in=ids).delete()


def _forget_what_was_kept(user: User) -> None:
    erase_sessions(user=user)
    forget_rows(user=user)
    for model in (Device, RecipientPreference, IdempotentAnswer, InAppMessage):
        model.objects.filter(user=user).delete()


def _ids(user: User, **conditions: object) -> list[UUID]:
    found = FollowUpSchedule.objects.filter(user=user, **conditions).order_by("pk")
    return list(found.values_list("pk", flat=True))


def _batches(ids: Sequence[UUID], size: int = 200) -> list[Sequence[UUID]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
