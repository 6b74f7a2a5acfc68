"""Reads of follow-ups and templates: what users and admins are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.timezone import now

from followups.channels import get_channel
from followups.choices import (
    PUBLIC_STATUS_BY_STATE,
    SENT_STATES,
    STATES_BY_PUBLIC_STATUS,
    PublicStatus,
    State,
)
from followups.composing import render_message
from followups.exceptions import FollowUpNotFound, SessionNotFound
from followups.models import FollowUpSchedule, FollowUpTemplate, SessionPlan
from jyotiflow.accounts.models import User
from sessions_app.models import Session

_SHOWN = ("user", "session", "template", "template_version")  # what an item needs, in one query

STUCK_AFTER: Final = timedelta(minutes=5)  # a due message goes out within seconds


def all_follow_ups() -> QuerySet[FollowUpSchedule]:
    """Every follow-up, newest ``scheduled_at`` first, with what its item shows."""
    return FollowUpSchedule.objects.select_related(*_SHOWN).order_by("-scheduled_at", "-id")


def follow_ups_of(user: User) -> QuerySet[FollowUpSchedule]:
    """The user's own follow-ups, newest first."""
    return all_follow_ups().filter(user=user)


def follow_up_of(user: User, follow_up_id: UUID) -> FollowUpSchedule:
    """One of the user's own. Raises ``FollowUpNotFound``."""
    follow_up = follow_ups_of(user).filter(pk=follow_up_id).first()
    if follow_up is None:
        raise FollowUpNotFound()
    return follow_up


def session_of(user: User, session_id: str) -> Session:
    """One of the user's own sessions. Raises ``SessionNotFound``."""
    session = Session.objects.filter(pk=session_id, user=user).first()
    if session is None:
        raise SessionNotFound()
    return session


def with_status(follow_ups: QuerySet[FollowUpSchedule], status: str) -> QuerySet[FollowUpSchedule]:
    """Those whose public status is the given one."""
    states = STATES_BY_PUBLIC_STATUS[PublicStatus(status)]
    found = follow_ups.filter(status__in=states)
    if states[0] not in SENT_STATES:
        return found
    # Nothing goes out before its time: so the newest that did are not looked for among all that still wait.
    return found.filter(scheduled_at__lte=now())


def stuck(follow_ups: QuerySet[FollowUpSchedule]) -> QuerySet[FollowUpSchedule]:
    """Those that should have gone out minutes ago, claimed or not, and have not."""
    return follow_ups.filter(status__in=[State.PENDING, State.SENDING], due_at__lt=Now() - STUCK_AFTER)


def planned_for(session: Session) -> list[FollowUpSchedule]:
    """The follow-ups a session's plan booked, in order of their time."""
    plan = SessionPlan.objects.filter(session=session).first()
    booked = [decision["follow_up"] for decision in plan.decisions if "follow_up" in decision] if plan else []
    planned = FollowUpSchedule.objects.filter(pk__in=booked).select_related("template")
    return list(planned.order_by("scheduled_at", "id"))


def current_templates() -> QuerySet[FollowUpTemplate]:
    """Every template that isn't archived."""
    return FollowUpTemplate.objects.filter(archived_at__isnull=True).order_by("name", "id")


def matching_template(text: str) -> Q:
    """A condition on follow-ups: their template has this id, or this name."""
    try:
        return Q(template_id=UUID(text))
    except ValueError:
        named = FollowUpTemplate.objects.filter(name__iexact=text)
        return Q(template__in=list(named.values_list("pk", flat=True)))  # ids, for the index by template


@dataclass(frozen=True)
class Words:
    """What a message says to its reader."""

    subject: str
    message: str


def words_of(follow_up: FollowUpSchedule) -> Words:
    """What was sent, or what would be sent as things stand."""
    if follow_up.message_sent:
        return Words(follow_up.subject_sent, follow_up.message_sent)
    may_show_guidance = (
        follow_up.channel in settings.FOLLOWUP_CHANNELS and get_channel(follow_up.channel).is_private
    )
    rendered = render_message(follow_up, is_private=may_show_guidance)
    return Words(rendered.subject, rendered.body)


def public_status(follow_up: FollowUpSchedule) -> PublicStatus:
    """The state as one of the six words clients know."""
    return PUBLIC_STATUS_BY_STATE[follow_up.status]


def item_of(follow_up: FollowUpSchedule) -> Mapping[str, object]:
    """The *item* of the API: one follow-up as its reader may see it."""
    words = words_of(follow_up)
    status = public_status(follow_up)
    return {
        "id": follow_up.pk,
        "session_id": follow_up.session_id,
        "template_id": follow_up.template_id,
        "template_name": follow_up.template.name,
        "template_tamil_name": follow_up.template.tamil_name,
        "channel": follow_up.channel,
        "status": status,
        "state": follow_up.status,
        "delivery_status": status,
        "subject": words.subject,
        "message": words.message,
        "language": follow_up.language,
        "scheduled_at": follow_up.scheduled_at,
        "sent_at": follow_up.sent_at,
        "delivered_at": follow_up.delivered_at,
        "read_at": follow_up.read_at,
        "failure_reason": follow_up.failure_reason,
        "credits_charged": follow_up.credits_charged,
        "credits_refunded": follow_up.credits_refunded,
        "created_at": follow_up.created_at,
        "updated_at": follow_up.updated_at,
    }
