"""Keeping who was written to and who read it: the sets of a day, and of longer spans from their days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from pyroaring import BitMap64

from followups.models import Audience
from followups.models.audiences import AudienceSpan
from followups.selectors.audiences import closed_until, month_end, union

# By then hardly anybody reads a message any more, so that a month that is kept as a whole seldom changes.
CLOSED_AFTER: Final = timedelta(days=35)


@dataclass(frozen=True)
class What:
    """Whose audience."""

    template_id: UUID
    channel: str
    language: str

    def matches(self) -> Q:
        """As a condition."""
        return Q(template_id=self.template_id, channel=self.channel, language=self.language)


Sets = tuple[bytes, bytes]  # recipients, readers


def keep_audiences(*, day: date, reached: Mapping[What, tuple[Iterable[int], Iterable[int]]]) -> None:
    """Keep whom a day's messages went to and who read them, and the longer spans the day is part of."""
    found = {what: (_set(recipients), _set(readers)) for what, (recipients, readers) in reached.items()}
    changed = _store(AudienceSpan.DAY, day, found)
    closed = closed_until()
    if closed is not None and day <= closed:
        for what in changed:
            of_month = _united(AudienceSpan.DAY, day.replace(day=1), month_end(day), what.matches())
            _store(AudienceSpan.MONTH, month_end(day), of_month, within=what.matches())
            ever = _united(AudienceSpan.MONTH, date.min, closed, what.matches())
            _store(AudienceSpan.EVER, closed, ever, within=what.matches())


def close_months(*, today: date) -> None:
    """Keep as wholes the months that ended long ago and are not yet."""
    before = (today - CLOSED_AFTER).replace(day=1)
    while True:
        closed = closed_until()
        days = Audience.objects.filter(span=AudienceSpan.DAY, last_on__lt=before)
        open_days = days.filter(last_on__gt=closed) if closed else days
        first = open_days.order_by("last_on").values_list("last_on", flat=True).first()
        if first is None:
            return
        last = month_end(first)
        _store(AudienceSpan.MONTH, last, _united(AudienceSpan.DAY, first, last, Q()))
        ever = _united(AudienceSpan.MONTH, date.min, last, Q())
        Audience.objects.filter(span=AudienceSpan.EVER).delete()
        _store(AudienceSpan.EVER, last, ever)


def _set(users: Iterable[int]) -> bytes:
    return BitMap64(users).serialize()


def _united(span: AudienceSpan, first: date, last: date, condition: Q) -> Mapping[What, Sets]:
    rows = Audience.objects.filter(condition, span=span, last_on__range=(first, last))
    found: dict[What, list[Sets]] = {}
    for template_id, channel, language, recipients, readers in rows.values_list(
        "template_id", "channel", "language", "recipients", "readers"
    ):
        sets = bytes(recipients), bytes(readers)
        found.setdefault(What(template_id, channel, language), []).append(sets)
    return {
        what: (
            union(recipients for recipients, _ in each).serialize(),
            union(readers for _, readers in each).serialize(),
        )
        for what, each in found.items()
    }


def _store(
    span: AudienceSpan, last: date, found: Mapping[What, Sets], *, within: Q | None = None
) -> list[What]:
    """Write what differs from what is kept, which is all that is ``within``; returns whose it was."""
    kept = {
        What(row.template_id, row.channel, row.language): (bytes(row.recipients), bytes(row.readers))
        for row in Audience.objects.filter(within or Q(), span=span, last_on=last)
    }
    gone = [what for what in kept if what not in found]
    for what in gone:
        Audience.objects.filter(what.matches(), span=span, last_on=last).delete()
    changed = [what for what, sets in found.items() if kept.get(what) != sets]
    Audience.objects.bulk_create(
        [
            Audience(
                span=span,
                last_on=last,
                template_id=what.template_id,
                channel=what.channel,
                language=what.language,
                recipients=found[what][0],
                readers=found[what][1],
            )
            for what in changed
        ],
        update_conflicts=True,
        unique_fields=["span", "last_on", "template", "channel", "language"],
        update_fields=["recipients", "readers"],
    )
    return changed + gone
