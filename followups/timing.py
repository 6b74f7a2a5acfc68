"""When a follow-up may go out. Pure functions over aware datetimes; the user's zone decides local hours."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class ClosedHours:
    """Hours of the day, in a zone of their own, in which the law lets a message wait."""

    start: time
    end: time
    zone: ZoneInfo

    def holds(self, moment: datetime) -> bool:
        """Whether the moment lies in them."""
        return is_quiet(moment, self.zone, self.start, self.end)

    def end_after(self, moment: datetime) -> datetime:
        """The moment itself, or the end of the closed hours it falls in."""
        return after_quiet_hours(moment, self.zone, self.start, self.end)


def is_quiet(moment: datetime, zone: ZoneInfo, start: time, end: time) -> bool:
    """Whether the moment's wall-clock time lies in [start, end); equal bounds mean no quiet hours."""
    wall = moment.astimezone(zone).time()
    if start == end:
        return False
    return start <= wall < end if start < end else wall >= start or wall < end


def resolve_wall_time(day_and_time: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a naive wall-clock time.

    In an overlap it's the first of the two; a time the clocks skip becomes the one as long after the gap.
    """
    return day_and_time.replace(tzinfo=zone, fold=0).astimezone(UTC)


def at_local_time(earliest: datetime, zone: ZoneInfo, wall: time) -> datetime:
    """The first instant (UTC) not before ``earliest`` at which clocks in the zone show ``wall``.

    A time the clocks skip that day becomes the one as long after the gap.
    """
    day = earliest.astimezone(zone).date()
    while True:
        for fold in (0, 1):  # the second differs where the clocks show the time twice
            candidate = datetime.combine(day, wall).replace(tzinfo=zone, fold=fold).astimezone(UTC)
            if candidate >= earliest:
                return candidate
        day += timedelta(days=1)


def after_quiet_hours(moment: datetime, zone: ZoneInfo, start: time, end: time) -> datetime:
    """The moment itself, or the end of the quiet hours it falls in."""
    while is_quiet(moment, zone, start, end):
        # A tick on: an end the clocks skip can come out inside the next quiet hours and must not come again.
        moment = at_local_time(moment + timedelta.resolution, zone, end)
    return moment


def conflicts(moment: datetime, taken: Iterable[datetime], interval: timedelta) -> list[datetime]:
    """The taken times closer to the moment than the interval, on either side."""
    return sorted(other for other in taken if abs(other - moment) < interval)


def first_free(
    *,
    earliest: datetime,
    zone: ZoneInfo,
    wall: time | None,
    quiet: tuple[time, time],
    taken: Iterable[datetime],
    interval: timedelta,
    closed: ClosedHours | None = None,
) -> datetime | None:
    """The first allowed moment from ``earliest`` on; ``None`` where quiet and closed hours leave none.

    At ``wall`` o'clock in the zone when given, else as soon as possible; outside quiet hours (at their end
    when ``wall`` lies in them) and outside ``closed`` ones; at least ``interval`` from every taken time.
    """
    taken = list(taken)
    moment = earliest
    while True:
        if wall is not None:
            moment = at_local_time(moment, zone, wall)
        open_at = _outside(moment, zone, quiet, closed)
        if open_at is None:
            return None
        moment = open_at
        close = conflicts(moment, taken, interval)
        if not close:
            return moment
        moment = close[-1] + interval


def _outside(
    moment: datetime, zone: ZoneInfo, quiet: tuple[time, time], closed: ClosedHours | None
) -> datetime | None:
    """The first moment outside both; each round passes the end of one of them, and a few days tell."""
    for _ in range(8):
        moment = after_quiet_hours(moment, zone, *quiet)
        if closed is None or not closed.holds(moment):
            return moment
        moment = closed.end_after(moment)
    return None
