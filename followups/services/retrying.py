"""Trying a failed follow-up again because a person asks for it."""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils.timezone import now

from credits.services import lock_account
from followups.choices import State
from followups.exceptions import FollowUpNotFound
from followups.models import FollowUpSchedule
from followups.selectors.changes import anew, retrying
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.scheduling import book
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from sessions_app.services import lock_session


@transaction.atomic
def retry_follow_up(*, follow_up_id: UUID, actor: User | None = None) -> FollowUpSchedule:
    """Queue a failed or waiting follow-up for this moment and return the one that will go out.

    One whose credits were given back is booked anew, once, and charged at today's price, so that what is
    sent is what is paid. What would only fail again is refused as at booking. One that may have gone out is
    never repeated, nor one that lies in the archive: ``Conflict``. ``actor`` is written down.
    """
    follow_up = FollowUpSchedule.objects.select_for_update().filter(pk=follow_up_id).first()
    if follow_up is None:
        raise FollowUpNotFound("There is no such follow-up.")
    again = FollowUpSchedule.objects.filter(retry_of=follow_up).first()
    if again is not None:
        return again
    settings = effective_settings()
    if not follow_up.refunded_at:
        if refusal := retrying(follow_up, settings).refusal:
            raise refusal
        return _queue_again(follow_up, settings, actor)
    if follow_up.session_id:
        lock_session(session_id=follow_up.session_id)
    account = lock_account(user=follow_up.user)
    if refusal := retrying(follow_up, settings).refusal:
        raise refusal
    booked = book(
        anew(follow_up),
        settings,
        account=account,
        custom_variables=follow_up.custom_variables,
        retry_of=follow_up,
    )
    _record(follow_up, {"booked_anew_as": booked.pk, "credits": booked.credits_charged}, actor)
    return booked


def _queue_again(
    follow_up: FollowUpSchedule, settings: EffectiveSettings, actor: User | None
) -> FollowUpSchedule:
    follow_up.status = State.PENDING
    follow_up.tries = 0
    follow_up.due_at = now()
    follow_up.expires_at = follow_up.due_at + timedelta(days=settings.auto_cancel_after_days)
    follow_up.failure_code = follow_up.failure_reason = ""
    follow_up.save()
    _record(follow_up, {"status": follow_up.status}, actor)
    return follow_up


def _record(follow_up: FollowUpSchedule, after: dict[str, object], actor: User | None) -> None:
    if actor is not None:
        name = follow_up.template.name
        record_change(action=Action.RETRIED, of=follow_up, label=name, actor=actor, after=after)
