"""How many people, not messages: each is counted once, in however many days, templates and languages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.db.models import Max, Q
from pyroaring import BitMap, BitMap64

from followups.models import Audience
from followups.models.audiences import AudienceSpan

# How a set of 64 bits begins that is one of 32 bits: it has one part (8 bytes), whose ids begin with 0 (4).
_SMALL_IDS: Final = (1).to_bytes(8, "little") + (0).to_bytes(4, "little")
_NOBODY: Final = (0).to_bytes(8, "little")


@dataclass(frozen=True)
class People:
    """How many were written to, and how many of them read it."""

    recipients: int
    readers: int


def people_of(*, first: date | None, last: date | None, what: Q) -> People:
    """Exact numbers of the days from ``first`` to ``last`` (both included, either open).

    ``what`` is a condition on template, channel and language. Read are the longest spans there are.
    """
    rows = Audience.objects.filter(_spans(first, last), what).values_list("recipients", "readers")
    recipients, readers = zip(*rows, strict=True) if rows else ((), ())
    return People(_size(recipients), _size(readers))


def _size(sets: Sequence[bytes]) -> int:
    """How many are in any of these sets; by 32 bits, in half the time, where no id has more."""
    found = [bytes(each) for each in sets if each]
    if any(each[:12] != _SMALL_IDS for each in found if each != _NOBODY):
        return len(union(found))
    small = [BitMap.deserialize(each[12:]) for each in found if each != _NOBODY]
    return len(BitMap.union(*small)) if small else 0


def union(sets: Iterable[bytes]) -> BitMap64:
    """Who is in any of these sets."""
    found = [BitMap64.deserialize(bytes(each)) for each in sets]
    return BitMap64.union(*found) if found else BitMap64()


def closed_until() -> date | None:
    """The last day of the months that are kept as wholes; nothing when there are none."""
    found = Audience.objects.filter(span=AudienceSpan.EVER).aggregate(last=Max("last_on"))["last"]
    return found if isinstance(found, date) else None


def month_end(day: date) -> date:
    """The last day of its month."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _spans(first: date | None, last: date | None) -> Q:
    """Rows whose spans make up the days, none twice."""
    closed = closed_until()
    if closed is None or (first is not None and first > closed):
        return _days(first, last)
    if first is None and (last is None or last >= closed):
        return Q(span=AudienceSpan.EVER) | _days(closed + timedelta(days=1), last)
    # The whole months from `begin` to `end`, and the days on either side.
    begin = first if first is None or first.day == 1 else month_end(first) + timedelta(days=1)
    end = closed if last is None else min(closed, last)
    end = end if end == month_end(end) else end.replace(day=1) - timedelta(days=1)
    if begin is not None and begin > end:
        return _days(first, last)
    months = Q(span=AudienceSpan.MONTH, last_on__lte=end)
    if begin is not None:
        months &= Q(last_on__gte=begin)
    before = _days(first, begin - timedelta(days=1)) if begin is not None and begin != first else Q()
    return months | before | _days(end + timedelta(days=1), last)


def _days(first: date | None, last: date | None) -> Q:
    condition = Q(span=AudienceSpan.DAY)
    if first is not None:
        condition &= Q(last_on__gte=first)
    if last is not None:
        condition &= Q(last_on__lte=last)
    return condition
