"""What happened to one follow-up, in the order of time: told from what is stored, nothing is guessed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from typing import Any, Final

from django.utils.timezone import now

from credits.models import CreditEntry
from followups.choices import WITHDRAWN_STATES, AttemptState, BulkAction, Origin, ReceiptKind, State
from followups.models import Attempt, BulkItem, FollowUpSchedule, ProviderEvent
from followups.selectors.channels import is_paused
from followups.selectors.refusals import refusals_of
from jyotiflow.auditing.models import Action, AuditEntry

# Why the gate or a limit lets a message wait; any other code of one that waits is its provider's.
WAIT_CODES: Final = (
    "quiet_hours",
    "closed_hours",
    "paused",
    "channel_paused",
    "one_at_a_time",
    "rate_limit",
    "breaker_open",
    "admission_unknown",
)
STAFF_ACTS: Final = (Action.CANCELLED, Action.RETRIED, Action.RESCHEDULED)


class Kind(StrEnum):
    """What a step tells."""

    SESSION_COMPLETED = auto()
    BOOKED = auto()  # origin
    BY_STAFF = auto()  # action, actor; before and after of a move
    FROM_FILE = auto()  # actor, change
    OTHER_LANGUAGE = auto()  # language, wanted
    CHARGED = auto()  # credits
    REFUNDED = auto()  # credits, code, reason
    KEPT = auto()  # credits: withdrawn, and nothing was given back
    WAITED = auto()  # code: it was due, and something held it back
    HANDED_OVER = auto()  # provider, number
    ENDED = auto()  # provider, state, code: how a call ended
    IN_DOUBT = auto()  # provider, looks: how often it was asked about
    REPORTED = auto()  # provider, kind, code
    SENT = auto()
    DELIVERED = auto()
    READ = auto()
    FAILED = auto()  # code, reason
    CANCELLED = auto()  # code
    BOOKED_ANEW = auto()  # follow_up: the one that goes out in its place
    ARCHIVED = auto()
    # As things stand; `at` is when it will be.
    DUE = auto()
    WAITS = auto()  # code
    UNDER_WAY = auto()
    WOULD_FAIL = auto()  # code, reason
    CHANNEL_PAUSED = auto()
    EXPIRES = auto()


@dataclass(frozen=True)
class Step:
    """One thing that happened, or will happen as things stand (``is_ahead``), with what its words need."""

    at: datetime
    kind: Kind
    values: Mapping[str, Any] = field(default_factory=dict)
    is_ahead: bool = False


def timeline_of(follow_up: FollowUpSchedule) -> list[Step]:
    """Every step of a follow-up's life, earliest first, then what is ahead of it.

    A handful of queries, however long its history; ``user``, ``session``, ``template`` and
    ``template_version`` had best been read with it.
    """
    attempts = list(follow_up.attempts.prefetch_related("events").order_by("number"))
    reports = [(attempt, event) for attempt in attempts for event in attempt.events.all()]
    steps = [
        *_booking(follow_up),
        *_by_staff(follow_up),
        *_credits(follow_up),
        *_waiting_before(follow_up, attempts),
        *(step for attempt in attempts for step in _calls(attempt)),
        *(_report(attempt, event) for attempt, event in reports),
        *_outcomes(follow_up, attempts, {event.kind for _, event in reports}),
    ]
    steps.sort(key=lambda step: step.at)  # stable: what happened at one moment stays in the order above
    return [*steps, *_ahead(follow_up)]


def _booking(follow_up: FollowUpSchedule) -> Iterator[Step]:
    session = follow_up.session
    if session is not None and session.completed_at and follow_up.origin == Origin.AUTOMATIC:
        yield Step(session.completed_at, Kind.SESSION_COMPLETED)
    booked = {"origin": follow_up.origin, "time": follow_up.scheduled_at}
    yield Step(follow_up.created_at, Kind.BOOKED, booked)
    if follow_up.language != follow_up.wanted_language:
        languages = {"language": follow_up.language, "wanted": follow_up.wanted_language}
        yield Step(follow_up.created_at, Kind.OTHER_LANGUAGE, languages)


def _by_staff(follow_up: FollowUpSchedule) -> Iterator[Step]:
    acts = AuditEntry.objects.filter(object_id=str(follow_up.pk), action__in=STAFF_ACTS)
    for act in acts.select_related("actor").order_by("pk"):
        values: dict[str, Any] = {"action": act.action, "actor": act.actor.email if act.actor else ""}
        for name, fields in (("before", act.before), ("after", act.after)):
            if moment := fields.get("scheduled_at"):
                values[name] = datetime.fromisoformat(moment)
        yield Step(act.at, Kind.BY_STAFF, values)
    rows = BulkItem.objects.filter(follow_up=follow_up, change__action=BulkAction.BOOK)
    for row in rows.select_related("change__actor"):
        values = {"actor": row.change.actor.email, "change": row.change_id}
        yield Step(row.done_at or follow_up.created_at, Kind.FROM_FILE, values)


def _credits(follow_up: FollowUpSchedule) -> Iterator[Step]:
    entries = CreditEntry.objects.filter(idempotency_key__in=[follow_up.charge_key, follow_up.refund_key])
    for entry in entries.order_by("created_at"):
        kind = Kind.REFUNDED if entry.kind == CreditEntry.Kind.REFUND else Kind.CHARGED
        why = {"code": follow_up.failure_code, "reason": follow_up.failure_reason}
        yield Step(entry.created_at, kind, {"credits": abs(entry.amount), **why})


def _waiting_before(follow_up: FollowUpSchedule, attempts: list[Attempt]) -> Iterator[Step]:
    """The last thing that held it back, as far as it's kept: it was due, and went out later or not at all."""
    code = follow_up.failure_code
    if code in WAIT_CODES and follow_up.status != State.PENDING:
        until = attempts[0].gate_at if attempts else follow_up.due_at
        if until > follow_up.scheduled_at:
            yield Step(follow_up.scheduled_at, Kind.WAITED, {"code": code})


def _calls(attempt: Attempt) -> Iterator[Step]:
    who = {"provider": attempt.provider, "number": attempt.number}
    yield Step(attempt.gate_at, Kind.HANDED_OVER, who)
    if attempt.state == AttemptState.IN_DOUBT:
        yield Step(attempt.gate_at, Kind.IN_DOUBT, {**who, "looks": attempt.looks})
    elif attempt.finished_at:
        ended = {**who, "state": attempt.state, "code": attempt.code}
        yield Step(attempt.finished_at, Kind.ENDED, ended)


def _report(attempt: Attempt, event: ProviderEvent) -> Step:
    # A provider's clock may be behind ours: nothing is reported before it was handed over.
    at = max(event.occurred_at or event.received_at, attempt.gate_at)
    values = {"provider": event.provider, "kind": event.kind, "code": event.code}
    return Step(at, Kind.REPORTED, values)


def _outcomes(follow_up: FollowUpSchedule, attempts: list[Attempt], reported: set[str]) -> Iterator[Step]:
    """What the row says and no call or report has told already."""
    if follow_up.sent_at and not any(each.state == AttemptState.ACCEPTED for each in attempts):
        yield Step(follow_up.sent_at, Kind.SENT)
    if follow_up.delivered_at and ReceiptKind.DELIVERED not in reported:
        yield Step(follow_up.delivered_at, Kind.DELIVERED)
    if follow_up.read_at and ReceiptKind.READ not in reported:
        yield Step(follow_up.read_at, Kind.READ)
    why = {"code": follow_up.failure_code, "reason": follow_up.failure_reason}
    if follow_up.failed_at:
        yield Step(follow_up.failed_at, Kind.FAILED, why)
    if follow_up.cancelled_at:
        yield Step(follow_up.cancelled_at, Kind.CANCELLED, why)
    ended_at = follow_up.failed_at or follow_up.cancelled_at
    is_kept = follow_up.status in WITHDRAWN_STATES and follow_up.credits_charged and not follow_up.refunded_at
    if ended_at and is_kept:
        yield Step(ended_at, Kind.KEPT, {"credits": follow_up.credits_charged})
    if ended_at and (again := FollowUpSchedule.objects.filter(retry_of=follow_up).first()):
        yield Step(again.created_at, Kind.BOOKED_ANEW, {"follow_up": again.pk})
    if follow_up.archived_at:
        yield Step(follow_up.archived_at, Kind.ARCHIVED)


def _ahead(follow_up: FollowUpSchedule) -> Iterator[Step]:
    """What will happen, and what stands against it, as of now."""
    if follow_up.status == State.SENDING:
        yield Step(now(), Kind.UNDER_WAY, is_ahead=True)
    if follow_up.status != State.PENDING:
        return
    if follow_up.failure_code and follow_up.due_at > follow_up.scheduled_at:
        yield Step(follow_up.due_at, Kind.WAITS, {"code": follow_up.failure_code}, is_ahead=True)
    else:
        yield Step(follow_up.due_at, Kind.DUE, is_ahead=True)
    if is_paused(follow_up.channel):
        yield Step(follow_up.due_at, Kind.CHANNEL_PAUSED, is_ahead=True)
    for refusal in refusals_of(follow_up, max(follow_up.due_at, now())):
        why = {"code": refusal.code, "reason": refusal.message}
        yield Step(follow_up.due_at, Kind.WOULD_FAIL, why, is_ahead=True)
    yield Step(follow_up.expires_at, Kind.EXPIRES, is_ahead=True)
