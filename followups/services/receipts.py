"""Providers' reports: stored once, then applied forward only."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.timezone import now

from followups.channels.base import Accepted, Report
from followups.choices import (
    OPEN_ATTEMPT_STATES,
    SENT_STATES,
    AttemptState,
    ConsentDoor,
    ReceiptKind,
    State,
    SuppressionReason,
)
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.retries import gap
from followups.services.consent import opt_out, suppress
from followups.services.direct import note_report
from followups.services.failing import take_failure
from followups.services.settling import accept, record_acceptance
from followups.status import ARRIVED, STATE_BY_RECEIPT, next_state
from jyotiflow.failpoints import failpoint
from jyotiflow.masking import without_addresses

log = structlog.get_logger(__name__)

WAITS_FOR: Final = timedelta(hours=24)  # a report may come before our own commit; later it's not ours
LONGEST_RUN_SECONDS: Final = 20  # then the next run goes on


@dataclass(frozen=True)
class Receipt:
    """One report in our words. ``event_key`` is unique at the provider; ``raw`` holds no address."""

    provider: str
    event_key: str
    kind: ReceiptKind
    attempt_reference: str = ""
    provider_message_id: str = ""
    code: str = ""
    reason: str = ""
    suppress: SuppressionReason | None = None
    occurred_at: datetime | None = None
    raw: Mapping[str, object] = field(default_factory=dict)


def receipt_of(report: Report, **about: Any) -> Receipt:
    """A provider's report with what it is about: the rest of a receipt's fields."""
    return Receipt(
        event_key=report.event_key,
        kind=report.kind,
        code=report.code,
        reason=report.reason,
        suppress=report.suppress,
        occurred_at=report.occurred_at,
        **about,
    )


def record_receipt(receipt: Receipt) -> bool:
    """Store a report and apply it; ``False`` for one that is known already."""
    event, is_new = ProviderEvent.objects.get_or_create(
        provider=receipt.provider,
        event_key=_storable(receipt.event_key)[:300],
        defaults={
            "kind": receipt.kind,
            "attempt_reference": _storable(receipt.attempt_reference)[:64],
            "provider_message_id": _storable(receipt.provider_message_id)[:255],
            "code": _storable(receipt.code)[:50],
            "occurred_at": receipt.occurred_at,
            "raw": {
                **{name: without_addresses(_storable(value)) for name, value in receipt.raw.items()},
                "_reason": receipt.reason,
                "_suppress": receipt.suppress or "",
            },
        },
    )
    if is_new:
        failpoint("after_receipt_stored")
        apply_event(event)
    return is_new


def _storable(value: object) -> str:
    """A provider's word without the characters PostgreSQL refuses."""
    return str(value or "").replace("\x00", "").encode("utf-8", "replace").decode()


def apply_waiting_receipts(*, batch: int = 500) -> int:
    """Apply reports that found no message yet; returns how many found theirs.

    Each is tried with growing gaps, those tried least first: many that are never ours, as on an account that
    is shared, hold up none that is. After ``WAITS_FOR`` one that found nothing is marked and left alone.
    """
    started = time.monotonic()
    applied = 0
    while True:
        waiting = ProviderEvent.objects.filter(
            applied_at__isnull=True, unmatched_at__isnull=True, next_try_at__lte=now()
        )
        events = list(waiting.order_by("tries", "next_try_at")[:batch])
        missed = [event for event in events if not _apply_safely(event)]
        _try_later(missed)
        applied += len(events) - len(missed)
        if len(events) < batch or time.monotonic() - started > LONGEST_RUN_SECONDS:
            return applied


def _apply_safely(event: ProviderEvent) -> bool:
    try:
        return apply_event(event)
    except Exception:  # one row must not hold up the others
        log.error("receipt_not_applied", event_id=event.pk, exc_info=True)
        return False


def _try_later(missed: Sequence[ProviderEvent]) -> None:
    """Count a try of each, and let it wait for the next or mark it for good."""
    moment = now()
    gone = [event for event in missed if event.received_at < moment - WAITS_FOR]
    still = ProviderEvent.objects.filter(applied_at__isnull=True, unmatched_at__isnull=True)
    still.filter(pk__in=[event.pk for event in gone]).update(unmatched_at=moment)
    for provider, count in Counter(event.provider for event in gone).items():
        log.warning("receipts_unmatched", provider=provider, count=count)
    by_tries: defaultdict[int, list[int]] = defaultdict(list)
    for event in missed:
        by_tries[event.tries].append(event.pk)
    for tries, keys in by_tries.items():
        still.filter(pk__in=keys).update(tries=tries + 1, next_try_at=moment + gap(tries))


@transaction.atomic
def apply_event(event: ProviderEvent) -> bool:
    """Move the follow-up, or the direct message, an event speaks of; ``False`` when there is none yet."""
    attempt = _attempt_of(event)
    if attempt is None:
        return _apply_to_direct(event)
    follow_up = (
        FollowUpSchedule.objects.select_for_update(of=("self",))
        .select_related("user")
        .get(pk=attempt.follow_up_id)
    )
    attempt.refresh_from_db()
    event.attempt = attempt
    _apply(event, attempt, follow_up)
    event.applied_at = now()
    if follow_up.user.erased_at is not None:
        event.raw = {}
    event.save(update_fields=["attempt", "applied_at", "raw"])
    failpoint("in_apply_receipt")
    return True


def _apply_to_direct(event: ProviderEvent) -> bool:
    if not note_report(event):
        return False
    event.applied_at = now()
    event.save(update_fields=["applied_at"])
    return True


def _apply(event: ProviderEvent, attempt: Attempt, follow_up: FollowUpSchedule) -> None:
    kind = ReceiptKind(event.kind)
    if attempt.state != AttemptState.ACCEPTED and kind in STATE_BY_RECEIPT:
        # The report proves that the provider took it, whatever became of our own answer.
        accepted = Accepted(provider_message_id=event.provider_message_id)
        if attempt.state in OPEN_ATTEMPT_STATES:
            accept(attempt, follow_up, accepted)
        else:
            record_acceptance(attempt, follow_up, accepted)
    _move(event, attempt, follow_up, kind)
    _remember_wishes(event, attempt, follow_up, kind)  # last: its row is locked after the account


def _move(event: ProviderEvent, attempt: Attempt, follow_up: FollowUpSchedule, kind: ReceiptKind) -> None:
    moment = event.occurred_at or event.received_at
    known = set(attempt.events.exclude(pk=event.pk).values_list("kind", flat=True))
    state = next_state(
        State(follow_up.status),
        kind,
        has_bounced=ReceiptKind.BOUNCED in known,
        has_failed=ReceiptKind.FAILED in known,
    )
    if state is None:
        if follow_up.status in ARRIVED:
            _know_when(follow_up, kind, moment)
            follow_up.save()
        return
    if state == State.FAILED:
        take_failure(event, attempt, follow_up)
        return
    follow_up.status = state
    follow_up.sent_at = follow_up.sent_at or attempt.gate_at
    _know_when(follow_up, kind, moment)
    follow_up.provider_message_id = follow_up.provider_message_id or event.provider_message_id
    follow_up.claim_token = follow_up.lease_until = None
    follow_up.save()
    log.info("receipt_applied", follow_up_id=str(follow_up.pk), kind=kind)


def _know_when(follow_up: FollowUpSchedule, kind: ReceiptKind, moment: datetime) -> None:
    """Reports come in any order: it arrived, and was read, at the earliest time any of them tells."""
    if STATE_BY_RECEIPT.get(kind) in ARRIVED:
        follow_up.delivered_at = min(moment, follow_up.delivered_at or moment)
    if kind == ReceiptKind.READ:
        follow_up.read_at = min(moment, follow_up.read_at or moment)


def _remember_wishes(
    event: ProviderEvent, attempt: Attempt, follow_up: FollowUpSchedule, kind: ReceiptKind
) -> None:
    if kind in (ReceiptKind.UNSUBSCRIBED, ReceiptKind.COMPLAINED):  # a complaint outlives the address
        source = f"{event.provider} {kind}"
        opt_out(user=follow_up.user, channel=follow_up.channel, door=ConsentDoor.PROVIDER, wording=source)
    reason = event.raw.get("_suppress")
    if reason:
        suppress(
            channel=follow_up.channel,
            address_hash=attempt.to_hash,  # the address that was written to, not a corrected one
            reason=SuppressionReason(reason),
            source=f"{event.provider} {event.code}".strip(),
        )


def _attempt_of(event: ProviderEvent) -> Attempt | None:
    """The attempt an event names, itself or by its follow-up (then the latest), or else by the message."""
    own = Attempt.objects.filter(provider=event.provider)
    if event.attempt_reference:
        try:
            reference = UUID(event.attempt_reference)
        except ValueError:
            return None
        return own.filter(pk=reference).first() or own.filter(follow_up=reference).order_by("-number").first()
    if not event.provider_message_id:
        return None
    return own.filter(provider_message_id=event.provider_message_id, state=AttemptState.ACCEPTED).first()


def mark_read(*, follow_up: FollowUpSchedule) -> FollowUpSchedule:
    """The reader opened it in our own app (in-app, push). Reading it twice changes nothing."""
    with transaction.atomic():
        locked = FollowUpSchedule.objects.select_for_update().get(pk=follow_up.pk)
        if next_state(State(locked.status), ReceiptKind.READ) and locked.status in SENT_STATES:
            locked.status = State.READ
            locked.read_at = now()
            locked.delivered_at = locked.delivered_at or locked.read_at
            locked.save()
    return locked
