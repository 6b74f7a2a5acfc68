"""Local hours: over every time zone and every change of its clocks from 2024 to 2032."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.timing import (
    after_quiet_hours,
    at_local_time,
    conflicts,
    first_free,
    is_quiet,
    resolve_wall_time,
)

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2033, 1, 1, tzinfo=UTC)
KOLKATA, BERLIN, LORD_HOWE = (
    ZoneInfo("Asia/Kolkata"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Australia/Lord_Howe"),
)
TEN = time(10)
NIGHT = (time(21), time(8))
HOUR = timedelta(hours=1)


def changes_of(zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta]]:
    """Each moment at which the zone's clocks jump, and by how much."""
    step = timedelta(days=7)  # Morocco goes off and on its summer time within five weeks
    moment = START
    while moment < END:
        before, after = moment.astimezone(zone).utcoffset(), (moment + step).astimezone(zone).utcoffset()
        if before != after:
            low, high = moment, moment + step
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) / 2
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
            change = high.replace(microsecond=0)
            assert before is not None
            assert after is not None
            yield change, after - before
        moment += step


@cache
def clocks() -> list[tuple[ZoneInfo, datetime, timedelta]]:
    """Every change of clocks in the world; of zones that agree throughout, one."""
    found: dict[object, list[tuple[ZoneInfo, datetime, timedelta]]] = {}
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        changes = [(zone, *change) for change in changes_of(zone)]
        found.setdefault((START.astimezone(zone).utcoffset(), *(change[1:] for change in changes)), changes)
    return [change for changes in found.values() for change in changes]


def shows(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def instants_of(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants at which the zone's clocks show a wall time: none, one or two."""
    both = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(moment for moment in both if shows(moment, zone) == wall)


def first_showing(earliest: datetime, zone: ZoneInfo, wall: time) -> datetime | None:
    """The first instant from the earliest on, on its day or the next two, at which clocks show the time."""
    day = shows(earliest, zone).date()
    days = [datetime.combine(day + timedelta(days=number), wall) for number in range(3)]
    return next((moment for each in days for moment in instants_of(each, zone) if moment >= earliest), None)


def test_there_are_clocks_to_test() -> None:
    jumps = {jump for _, _, jump in clocks()}
    assert len(clocks()) > 400
    assert {-HOUR, HOUR, timedelta(minutes=30), timedelta(hours=2)} <= jumps
    assert len({zone.key for zone, _, _ in clocks()}) > 30


def test_a_wall_time_is_the_first_of_two_and_a_skipped_one_comes_as_long_after() -> None:
    for zone, change, jump in clocks():
        for minutes in range(-90, 91, 30):
            for base in (shows(change, zone), shows(change, zone) - jump):
                wall = base + timedelta(minutes=minutes)
                instants = instants_of(wall, zone)
                resolved = resolve_wall_time(wall, zone)
                if instants:
                    assert resolved == instants[0], (zone, wall)
                else:
                    assert shows(resolved, zone) == wall + jump, (zone, wall)


def test_a_local_time_is_kept_over_every_change_of_clocks() -> None:
    for zone, change, jump in clocks():
        local = shows(change, zone)
        walls = {(local + timedelta(minutes=by)).time() for by in (-61, -30, 0, 29, 60)}
        walls |= {(local - jump).time(), (local - jump / 2).time(), TEN}
        for earliest in (change + timedelta(hours=by, minutes=-by) for by in (-25, -2, -1, 0, 1, 24)):
            for wall in walls:
                moment = at_local_time(earliest, zone, wall)
                first = first_showing(earliest, zone, wall)
                assert earliest <= moment <= earliest + timedelta(hours=26), (zone, earliest, wall)
                if shows(moment, zone).time() == wall:
                    assert moment == first, (zone, earliest, wall)
                else:  # skipped that day: as long after the gap, and before the next day's
                    skipped = shows(moment, zone) - jump
                    assert skipped.time() == wall, (zone, earliest, wall)
                    assert instants_of(skipped, zone) == []
                    assert first is None or moment < first


def test_quiet_hours_are_quiet_over_every_change_of_clocks() -> None:
    for zone, change, jump in clocks():
        local = shows(change, zone).time()
        before = (shows(change, zone) - jump).time()
        inside = (shows(change, zone) - jump / 2).time()
        windows = [
            NIGHT,
            (time(23), inside),
            (inside, time(12)),
            (local, before),
            (before, local),
            (local, inside),
        ]
        for start, end in windows:
            for minutes in (-1_441, -61, -1, 0, 1, 59, 1_439):
                moment = change + timedelta(minutes=minutes)
                after = after_quiet_hours(moment, zone, start, end)
                assert not is_quiet(after, zone, start, end), (zone, moment, start, end)
                assert after >= moment
                assert after == moment or is_quiet(moment, zone, start, end)
                assert after - moment < timedelta(hours=50)


def test_an_end_the_clocks_skip_does_not_let_a_message_out_at_night() -> None:
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # 01:30; at 02:00 it's 03:00
    after = after_quiet_hours(moment, BERLIN, time(3, 10), time(2, 30))
    assert not is_quiet(after, BERLIN, time(3, 10), time(2, 30))


@pytest.mark.parametrize(
    ("earliest", "zone", "wall", "expected"),
    [
        ("2026-03-01T04:29:59+00:00", KOLKATA, TEN, "2026-03-01T04:30:00+00:00"),
        ("2026-03-01T04:30:00+00:00", KOLKATA, TEN, "2026-03-01T04:30:00+00:00"),
        ("2026-03-01T04:30:01+00:00", KOLKATA, TEN, "2026-03-02T04:30:00+00:00"),
        ("2026-03-28T12:00:00+00:00", BERLIN, TEN, "2026-03-29T08:00:00+00:00"),  # summer time since 02:00
        ("2026-03-28T12:00:00+00:00", BERLIN, time(2, 30), "2026-03-29T01:30:00+00:00"),  # skipped: 03:30
        ("2026-10-24T12:00:00+00:00", BERLIN, time(2, 30), "2026-10-25T00:30:00+00:00"),  # the first of two
        ("2026-10-25T00:45:00+00:00", BERLIN, time(2, 30), "2026-10-25T01:30:00+00:00"),  # the second
        (
            "2026-10-03T12:00:00+00:00",
            LORD_HOWE,
            time(2, 15),
            "2026-10-03T15:45:00+00:00",
        ),  # skipped
    ],
)
def test_worked_local_times(earliest: str, zone: ZoneInfo, wall: time, expected: str) -> None:
    found = at_local_time(datetime.fromisoformat(earliest), zone, wall)
    assert found == datetime.fromisoformat(expected)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("wall", "start", "end", "quiet"),
    [
        (time(20, 59), *NIGHT, False),
        (time(21), *NIGHT, True),
        (time(0), *NIGHT, True),
        (time(7, 59, 59), *NIGHT, True),
        (time(8), *NIGHT, False),
        (time(13), time(12), time(14), True),
        (time(14), time(12), time(14), False),
        (time(12), time(12), time(12), False),
    ],
)
def test_worked_quiet_hours(wall: time, start: time, end: time, quiet: bool) -> None:
    moment = datetime.combine(START.date(), wall, tzinfo=KOLKATA)
    assert is_quiet(moment.astimezone(UTC), KOLKATA, start, end) is quiet


DAY = datetime(2026, 10, 20, tzinfo=UTC)
moments = st.integers(0, 20 * 96).map(lambda quarters: DAY + quarters * timedelta(minutes=15))
intervals = st.sampled_from([timedelta(0), HOUR, timedelta(hours=24), timedelta(hours=25), timedelta(days=4)])


@given(
    earliest=moments,
    zone=st.sampled_from([KOLKATA, BERLIN, LORD_HOWE, ZoneInfo("America/New_York"), ZoneInfo("UTC")]),
    wall=st.sampled_from([None, TEN, time(2, 30), time(22), time(0)]),
    quiet=st.sampled_from([NIGHT, (time(0), time(0)), (time(9), time(11)), (time(3), time(2, 30))]),
    taken=st.lists(moments, max_size=8),
    interval=intervals,
)
def test_the_first_free_time_keeps_its_distance_on_both_sides(
    earliest: datetime,
    zone: ZoneInfo,
    wall: time | None,
    quiet: tuple[time, time],
    taken: list[datetime],
    interval: timedelta,
) -> None:
    free = first_free(earliest=earliest, zone=zone, wall=wall, quiet=quiet, taken=taken, interval=interval)
    assert free is not None
    assert free >= earliest
    assert all(abs(free - other) >= interval for other in taken)
    assert not is_quiet(free, zone, *quiet)
    if wall and not is_quiet(datetime.combine(DAY.date(), wall, tzinfo=zone), zone, *quiet):
        local = shows(free, zone)
        assert local.time() == wall or not instants_of(datetime.combine(local.date(), wall), zone)


@given(earliest=moments, taken=st.lists(moments, max_size=8), interval=intervals)
def test_no_earlier_time_would_have_been_free(
    earliest: datetime, taken: list[datetime], interval: timedelta
) -> None:
    never = (time(0), time(0))
    free = first_free(earliest=earliest, zone=KOLKATA, wall=None, quiet=never, taken=taken, interval=interval)
    candidates = sorted({earliest, *(other + interval for other in taken)})
    assert free == next(c for c in candidates if c >= earliest and not conflicts(c, taken, interval))


def test_conflicts_are_those_closer_than_the_interval_on_either_side() -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    near = [noon - HOUR * 23, noon + HOUR * 23]
    taken = [noon + HOUR * 24, near[1], near[0], noon - HOUR * 24]
    assert conflicts(noon, taken, timedelta(hours=24)) == near
    assert conflicts(noon, [noon], timedelta(0)) == []
