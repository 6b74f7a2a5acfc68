"""What is kept about a person, and what erasing them would do."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet, Sum
from django.utils.timezone import now

from credits.selectors import balance_of, statement_of
from followups.addresses import hash_address
from followups.channels import get_channel
from followups.choices import OPEN_ATTEMPT_STATES, State
from followups.models import (
    Attempt,
    BulkItem,
    ConsentEvent,
    Device,
    DirectMessage,
    Erasure,
    FollowUpSchedule,
    InAppMessage,
    InboundMessage,
    ProviderEvent,
    RecipientPreference,
    Suppression,
)
from jyotiflow.accounts.models import User
from sessions_app.selectors import sessions_of

UNDECIDED = (State.PENDING, State.SENDING, State.IN_DOUBT)
SHOWN_OF_TOKEN = 6  # characters: who holds a whole token can push to the phone

PROFILE = "id email name phone preferred_language timezone is_active is_staff created_at last_login erased_at"
SESSION = "id service_type question guidance_summary status created_at completed_at"
FOLLOW_UP = (
    "id session_id channel origin language wanted_language status user_email custom_variables scheduled_at "
    "due_at expires_at sent_at delivered_at read_at failed_at cancelled_at failure_code failure_reason "
    "subject_sent message_sent provider provider_message_id credits_charged credits_refunded refunded_at "
    "created_at updated_at"
)
ATTEMPT = "id number state provider provider_message_id code details gate_at finished_at"
EVENT = "provider kind code provider_message_id raw occurred_at received_at"
IN_APP = "follow_up_id subject body language created_at"
ENTRY = "id kind amount reason created_at balance_after"
SUPPRESSION = "channel reason source created_at"
CONSENT = "kind channel door wording created_at"
DIRECT = "kind channel subject body state created_at finished_at"
REPLY = "channel kind word received_at"
ROW = "order state credits reason done_at"
PREFERENCE = "channels_off quiet_start quiet_end paused_until updated_at"


def export_personal_data(user: User) -> dict[str, Any]:
    """Everything that is kept about a person, ready for JSON. Device tokens are masked."""
    user = User.objects.get(pk=user.pk)
    data = {
        "exported_at": now(),
        "profile": _one(user, PROFILE),
        "preferences": _all(RecipientPreference.objects.filter(user=user), PREFERENCE),
        "devices": [_device(device) for device in Device.objects.filter(user=user)],
        "consent": _all(_decisions_of(user), CONSENT),
        "replies": _all(InboundMessage.objects.filter(_by_address(user)), REPLY),
        "direct_messages": _all(direct_messages_to(user), DIRECT),
        "suppressed_addresses": _all(suppressions_of(user), SUPPRESSION),
        "sessions": _all(sessions_of(user), SESSION),
        "follow_ups": [_follow_up(row) for row in _with_history(user)],
        "rows_of_files": _all(BulkItem.objects.filter(user=user), ROW),
        "in_app_messages": _all(InAppMessage.objects.filter(user=user), IN_APP),
        "credits": {"balance": balance_of(user), "entries": _all(statement_of(user), ENTRY)},
    }
    plain: dict[str, Any] = json.loads(json.dumps(data, cls=DjangoJSONEncoder))
    return plain


def suppressions_of(user: User) -> QuerySet[Suppression]:
    """The stopped addresses that are this person's, as long as their addresses are known."""
    return Suppression.objects.filter(_by_address(user))


def direct_messages_to(user: User) -> QuerySet[DirectMessage]:
    """What staff wrote to this person's addresses, as long as those are known."""
    return DirectMessage.objects.filter(_by_address(user, "to_hash")).order_by("created_at")


def _decisions_of(user: User) -> QuerySet[ConsentEvent]:
    return ConsentEvent.objects.filter(Q(user=user) | _by_address(user)).order_by("pk")


def _by_address(user: User, column: str = "address_hash") -> Q:
    hashes = Q(pk__in=[])
    for name in settings.FOLLOWUP_CHANNELS:
        addresses = get_channel(name).addresses(user)
        own = [hash_address(address) for address in addresses]
        hashes |= Q(("channel", name), (f"{column}__in", own))
    return hashes


def is_on_its_way(user: User) -> bool:
    """Whether anything of a person's may still be sent, or be found to have been sent."""
    return (
        FollowUpSchedule.objects.filter(user=user, status__in=UNDECIDED).exists()
        or Attempt.objects.filter(follow_up__user=user, state__in=OPEN_ATTEMPT_STATES).exists()
    )


@dataclass(frozen=True)
class ErasurePreview:
    """What erasing a person would do. ``undecided`` ones are past the point where they can be stopped."""

    user: User
    is_staff: bool
    cancelled: int
    credits_refunded: int
    undecided: int
    is_finished: bool


def erasure_preview(user: User) -> ErasurePreview:
    """Look, as of now; nothing is changed."""
    waiting = FollowUpSchedule.objects.filter(user=user, status__in=[State.PENDING, State.SENDING])
    stoppable = waiting.exclude(attempts__state__in=OPEN_ATTEMPT_STATES)
    undecided = FollowUpSchedule.objects.filter(user=user, attempts__state__in=OPEN_ATTEMPT_STATES)
    return ErasurePreview(
        user=user,
        is_staff=user.is_staff or user.is_superuser,
        cancelled=stoppable.count(),
        credits_refunded=stoppable.aggregate(credits=Sum("credits_charged"))["credits"] or 0,
        undecided=undecided.distinct().count(),
        is_finished=Erasure.objects.filter(user=user, finished_at__isnull=False).exists(),
    )


def _with_history(user: User) -> QuerySet[FollowUpSchedule]:
    own = FollowUpSchedule.objects.filter(user=user).select_related("template")
    return own.prefetch_related("attempts__events").order_by("scheduled_at", "pk")


def _follow_up(follow_up: FollowUpSchedule) -> dict[str, object]:
    return {
        **_one(follow_up, FOLLOW_UP),
        "template": follow_up.template.name,
        "attempts": [_attempt(attempt) for attempt in follow_up.attempts.all()],
    }


def _attempt(attempt: Attempt) -> dict[str, object]:
    events: Iterable[ProviderEvent] = attempt.events.all()
    return {**_one(attempt, ATTEMPT), "events": [_one(event, EVENT) for event in events]}


def _device(device: Device) -> dict[str, object]:
    return {**_one(device, "platform created_at seen_at"), "token": f"…{device.token[-SHOWN_OF_TOKEN:]}"}


def _all(rows: Iterable[Model], fields: str) -> list[dict[str, object]]:
    return [_one(row, fields) for row in rows]


def _one(row: Model, fields: str) -> dict[str, object]:
    return {field: getattr(row, field) for field in fields.split()}
