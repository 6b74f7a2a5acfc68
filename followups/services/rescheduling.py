"""Moving a follow-up that waits to another time. What was paid stays paid."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from credits.services import lock_account
from followups.choices import Origin
from followups.exceptions import FollowUpNotFound
from followups.models import FollowUpSchedule
from followups.selectors.changes import moving
from followups.selectors.settings import effective_settings
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change

log = structlog.get_logger(__name__)


@transaction.atomic
def reschedule_follow_up(
    *, follow_up_id: UUID, scheduled_at: datetime, owner: User | None = None, actor: User | None = None
) -> FollowUpSchedule:
    """Move a pending follow-up to another time (aware), within the limits of a booking, at the same price.

    ``owner`` limits it to that user's own; its reader has then chosen the time themselves, and it's kept in
    the default quiet hours too. Without one it's staff, whom the interval between two doesn't bind:
    ``actor``, who is written down.

    Raises ``FollowUpNotFound``; ``Conflict`` once it's no longer pending, or was handed over before; else as
    a booking for that time, ``Unreachable`` where it would only fail then. Nothing is changed then.
    """
    mine = FollowUpSchedule.objects.filter(pk=follow_up_id, **({"user": owner} if owner else {}))
    follow_up = mine.select_for_update().first()
    if follow_up is None:
        raise FollowUpNotFound() if owner else FollowUpNotFound("There is no such follow-up.")
    settings = effective_settings()
    lock_account(user=follow_up.user)  # the user's lock: limits are looked at one request at a time
    found = moving(follow_up, scheduled_at, settings, by_reader=owner is not None)
    if found.refusal:
        raise found.refusal
    assert found.scheduled_at is not None
    wanted = found.scheduled_at
    before = {"scheduled_at": follow_up.scheduled_at}
    if owner is not None:
        follow_up.origin = Origin.MANUAL  # whoever booked it: the time is its reader's now
    follow_up.scheduled_at = follow_up.due_at = wanted
    follow_up.expires_at = wanted + timedelta(days=settings.auto_cancel_after_days)
    follow_up.tries = 0
    follow_up.failure_code = ""
    follow_up.save(
        update_fields=[
            "origin",
            "scheduled_at",
            "due_at",
            "expires_at",
            "tries",
            "failure_code",
            "updated_at",
        ]
    )
    if actor is not None:
        record_change(
            action=Action.RESCHEDULED,
            of=follow_up,
            label=follow_up.template.name,
            actor=actor,
            before=before,
            after={"scheduled_at": wanted},
        )
    log.info("follow_up_rescheduled", follow_up_id=str(follow_up.pk), by_reader=owner is not None)
    return follow_up
