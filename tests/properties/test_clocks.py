"""A follow-up's hour from planning to sending: every zone, every change of clocks, outages in between."""

import zoneinfo
from datetime import UTC, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.choices import Origin
from followups.gate import Facts, Go, Later, Never, verdict
from followups.timing import first_free, is_quiet
from tests.followups.test_timing import HOUR, START, clocks, instants_of, shows

TEN = time(10)
NIGHT = (time(21), time(8))
NEVER_QUIET = (time(0), time(0))
WINDOWS = (NIGHT, (time(22, 30), time(6, 15)), (time(1), time(3)), NEVER_QUIET)
OUTAGES = (timedelta(0), 3 * HOUR, 11 * HOUR, 80 * HOUR)  # the last is longer than a message is kept
KEPT = timedelta(days=3)


def gate_at(moment: datetime, scheduled_at: datetime, zone: ZoneInfo, quiet: tuple[time, time]) -> object:
    """The gate's word on an automatic follow-up that nothing else forbids."""
    return verdict(
        Facts(
            now=moment,
            scheduled_at=scheduled_at,
            expires_at=scheduled_at + KEPT,
            origin=Origin.AUTOMATIC,
            zone=zone,
            default_quiet=quiet,
            own_quiet=None,
            paused_until=None,
            channel_is_paused=False,
            user_is_active=True,
            has_opted_out=False,
            is_suppressed=False,
            is_reachable=True,
        )
    )


def sent_at(
    scheduled_at: datetime, outage: timedelta, zone: ZoneInfo, quiet: tuple[time, time]
) -> datetime | None:
    """When the queue sends it, looking again whenever the gate says so; ``None`` when it's given up."""
    moment = scheduled_at + outage
    for _ in range(5):
        match gate_at(moment, scheduled_at, zone, quiet):
            case Go():
                return moment
            case Never(code=code):
                assert (code, moment >= scheduled_at + KEPT) == ("expired", True)
                return None
            case Later(until=until, code="quiet_hours"):
                assert until is not None
                assert until > moment, "the gate must not ask for a moment that is past"
                moment = until
    raise AssertionError("it waits and waits")


def plan(earliest: datetime, zone: ZoneInfo, wall: time | None, quiet: tuple[time, time]) -> datetime:
    free = first_free(
        earliest=earliest, zone=zone, wall=wall, quiet=quiet, taken=[], interval=timedelta(hours=24)
    )
    assert free is not None
    return free


def test_over_every_change_of_clocks_a_follow_up_goes_out_once_and_in_the_day() -> None:
    for zone, change, _ in clocks():
        for before, wall, quiet in product((26, 3, -1), (TEN, time(2, 30), None), WINDOWS):
            planned = plan(change - before * HOUR, zone, wall, quiet)
            assert gate_at(planned, planned, zone, quiet) == Go(), (zone, planned, quiet)
            if wall and not is_quiet(datetime.combine(START, wall, tzinfo=UTC), ZoneInfo("UTC"), *quiet):
                local = shows(planned, zone)
                skipped = not instants_of(datetime.combine(local, wall), zone)
                assert local.time() == wall or skipped, (zone, planned, wall, quiet)
            for outage in OUTAGES:
                sent = sent_at(planned, outage, zone, quiet)
                assert (sent is None) == (outage >= KEPT)
                if sent is not None:
                    assert not is_quiet(sent, zone, *quiet), (zone, sent, quiet)
                    assert planned + outage <= sent <= planned + outage + timedelta(hours=13)


@pytest.mark.parametrize("month", [1, 7])
def test_ten_in_the_morning_is_ten_in_the_morning_in_every_zone_there_is(month: int) -> None:
    zones = sorted(zoneinfo.available_timezones())
    assert len(zones) > 400
    for name in zones:
        zone = ZoneInfo(name)
        planned = plan(datetime(2026, month, 15, 3, 7, tzinfo=UTC), zone, TEN, NIGHT)
        assert shows(planned, zone).time() == TEN, name
        assert sent_at(planned, timedelta(0), zone, NIGHT) == planned, name


@pytest.mark.parametrize(
    ("name", "utc"),
    [
        ("Asia/Kolkata", "04:30"),
        ("Asia/Kathmandu", "04:15"),
        ("Pacific/Chatham", "20:15"),  # +13:45 in its summer
        ("America/St_Johns", "13:30"),
        ("Pacific/Kiritimati", "20:00"),
        ("Etc/GMT+12", "22:00"),
    ],
)
def test_hours_that_are_not_whole_are_kept(name: str, utc: str) -> None:
    planned = plan(datetime(2026, 1, 15, tzinfo=UTC), ZoneInfo(name), TEN, NIGHT)
    assert f"{planned.astimezone(UTC):%H:%M}" == utc


@given(
    hours=st.integers(0, 9 * 365 * 24),
    name=st.sampled_from(sorted(zoneinfo.available_timezones())),
    start=st.times(),
    end=st.times(),
    late=st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_whatever_the_quiet_hours_are_it_goes_out_outside_of_them(
    hours: int, name: str, start: time, end: time, late: timedelta
) -> None:
    zone, quiet = ZoneInfo(name), (start, end)
    planned = plan(START + hours * HOUR, zone, None, quiet)
    sent = sent_at(planned, late, zone, quiet)
    assert not is_quiet(planned, zone, *quiet)
    if sent is not None:
        assert not is_quiet(sent, zone, *quiet)
        assert sent < planned + KEPT
