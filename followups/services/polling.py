"""Messages that were sent and not reported on since: the provider is asked how they stand."""

import time
from collections import Counter
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db.models import F, Q

from followups.channels import get_channel
from followups.choices import AttemptState, ReceiptKind, State
from followups.models import Attempt
from followups.services.receipts import receipt_of, record_receipt
from followups.services.settling import database_now, let_connection_go

log = structlog.get_logger(__name__)

NO_NEWS: Final = (ReceiptKind.ACCEPTED, ReceiptKind.OTHER)
LATEST: Final = timedelta(days=7)  # after the last time that is set; what was missed for longer stays sent
LONGEST_RUN_SECONDS: Final = 45  # then the next run goes on
FAILED_CALLS: Final = 5  # in a row; then a provider is left alone for this run


def poll_silent(*, batch: int = 200) -> int:
    """Ask about messages still only sent so many hours later (``FOLLOWUP_POLL_HOURS``), once at each.

    What the provider says is taken as if it had called us, so that its own later call is a repeat. Returns
    how many had news; a status that never becomes final leaves a message sent.
    """
    started = time.monotonic()
    failed: Counter[str] = Counter()
    news = 0
    for attempt in _silent(batch):
        name = attempt.follow_up.channel
        if time.monotonic() - started > LONGEST_RUN_SECONDS:
            break
        if failed[name] >= FAILED_CALLS:
            continue
        try:
            news += _ask(attempt)
            failed[name] = 0
        except Exception as error:  # the provider is away: ask again later
            failed[name] += 1
            log.warning("poll_failed", attempt_id=str(attempt.pk), error=type(error).__name__)
    return news


def _silent(batch: int) -> list[Attempt]:
    moment = database_now()
    waits = [timedelta(hours=hours) for hours in settings.FOLLOWUP_POLL_HOURS]
    channels = {name: get_channel(name) for name in settings.FOLLOWUP_CHANNELS}
    pollable = {name: each.provider for name, each in channels.items() if each.can_be_polled}
    if not waits or not pollable:
        return []
    is_due = Q()
    for wait in waits:
        unasked = Q(checked_at__isnull=True) | Q(checked_at__lt=F("follow_up__sent_at") + wait)
        is_due |= Q(follow_up__sent_at__lte=moment - wait) & unasked
    sent = Attempt.objects.filter(
        is_due,
        state=AttemptState.ACCEPTED,
        provider__in=set(pollable.values()),
        follow_up__status=State.SENT,
        follow_up__channel__in=pollable,
        follow_up__sent_at__gt=moment - max(waits) - LATEST,
    )
    known = sent.exclude(provider_message_id="").select_related("follow_up")
    return list(known.order_by("follow_up__sent_at")[:batch])


def _ask(attempt: Attempt) -> bool:
    let_connection_go()
    report = get_channel(attempt.follow_up.channel).fetch(attempt.provider_message_id)
    Attempt.objects.filter(pk=attempt.pk).update(checked_at=database_now())
    if report is None or report.kind in NO_NEWS:
        return False
    return record_receipt(
        receipt_of(
            report,
            provider=attempt.provider,
            attempt_reference=str(attempt.pk),
            provider_message_id=attempt.provider_message_id,
        )
    )
