"""The gate: every reason not to send, and what outranks what."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.choices import Origin
from followups.gate import Facts, Go, Later, Never, verdict
from followups.timing import is_quiet

KOLKATA = ZoneInfo("Asia/Kolkata")
NIGHT = (time(21), time(8))
NAP = (time(13), time(15))
NOON = datetime(2026, 5, 1, 12, tzinfo=KOLKATA)
FINE = Facts(
    now=NOON,
    scheduled_at=NOON,
    expires_at=NOON + timedelta(days=3),
    origin=Origin.AUTOMATIC,
    zone=KOLKATA,
    default_quiet=NIGHT,
    own_quiet=None,
    paused_until=None,
    channel_is_paused=False,
    user_is_active=True,
    has_opted_out=False,
    is_suppressed=False,
    is_reachable=True,
)


def at(hour: int, minute: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute)


@pytest.mark.parametrize("origin", Origin)
def test_what_nothing_forbids_goes_out(origin: Origin) -> None:
    assert verdict(replace(FINE, origin=origin)) == Go()


FORBIDDING: dict[str, dict[str, Any]] = {
    "user_inactive": {"user_is_active": False},
    "opted_out": {"has_opted_out": True},
    "suppressed": {"is_suppressed": True},
    "unreachable": {"is_reachable": False},
    "expired": {"now": FINE.expires_at},
}


@pytest.mark.parametrize(("code", "origin"), [*product(FORBIDDING, Origin)])
def test_what_is_forbidden_never_goes_out_whoever_asked(code: str, origin: Origin) -> None:
    facts = replace(FINE, origin=origin, **FORBIDDING[code])
    decision = verdict(facts)
    assert isinstance(decision, Never)
    assert decision.code == code
    assert decision.reason


@pytest.mark.parametrize("code", FORBIDDING)
def test_never_outranks_later(code: str) -> None:
    waiting = replace(FINE, now=at(23), paused_until=NOON + timedelta(days=9))
    decision = verdict(replace(waiting, **FORBIDDING[code]))
    assert isinstance(decision, Never)
    assert decision.code == code


def test_expiry_is_the_first_moment_that_is_too_late() -> None:
    assert verdict(replace(FINE, now=FINE.expires_at - timedelta(microseconds=1))) == Go()
    assert isinstance(verdict(replace(FINE, now=FINE.expires_at)), Never)


def test_a_pause_lasts_until_its_end() -> None:
    until = NOON + timedelta(minutes=1)
    assert verdict(replace(FINE, paused_until=until)) == Later(until, "paused")
    assert verdict(replace(FINE, paused_until=NOON)) == Go()


@pytest.mark.parametrize("origin", [Origin.AUTOMATIC, Origin.MANUAL])
@pytest.mark.parametrize(("now", "until"), [(at(22), at(8) + timedelta(days=1)), (at(3), at(8))])
def test_a_message_held_up_into_the_night_waits_for_the_morning(
    origin: Origin, now: datetime, until: datetime
) -> None:
    facts = replace(FINE, origin=origin, now=now, scheduled_at=now - timedelta(hours=5))
    assert verdict(facts) == Later(until, "quiet_hours")


def test_a_time_of_ones_own_choice_is_kept_in_the_default_quiet_hours() -> None:
    chosen = replace(FINE, origin=Origin.MANUAL, now=at(22), scheduled_at=at(22))
    assert verdict(chosen) == Go()
    assert verdict(replace(chosen, now=at(23))) == Go()  # an hour late is forgiven
    assert verdict(replace(chosen, now=at(23) + timedelta(seconds=1))) == Later(
        at(8) + timedelta(days=1), "quiet_hours"
    )


def test_an_automatic_message_keeps_the_default_quiet_hours_even_on_time() -> None:
    assert isinstance(verdict(replace(FINE, now=at(22), scheduled_at=at(22))), Later)


def test_own_quiet_hours_replace_the_default_ones() -> None:
    own = replace(FINE, own_quiet=NAP)
    assert verdict(replace(own, now=at(23))) == Go()
    assert verdict(replace(own, now=at(13))) == Later(at(15), "quiet_hours")


def test_own_quiet_hours_bind_even_a_time_of_ones_own_choice() -> None:
    chosen = replace(FINE, origin=Origin.MANUAL, own_quiet=NAP, now=at(14), scheduled_at=at(14))
    assert verdict(chosen) == Later(at(15), "quiet_hours")


def test_equal_bounds_mean_no_quiet_hours() -> None:
    assert verdict(replace(FINE, now=at(3), default_quiet=(time(0), time(0)))) == Go()
    assert verdict(replace(FINE, now=at(3), own_quiet=(time(5), time(5)))) == Go()


def test_what_the_reader_asks_for_this_moment_waits_for_nothing() -> None:
    facts = replace(
        FINE,
        origin=Origin.INSTANT,
        now=at(14),
        scheduled_at=at(14),
        own_quiet=NAP,
        paused_until=NOON + timedelta(days=1),
    )
    assert verdict(facts) == Go()
    assert verdict(replace(facts, scheduled_at=at(14) - timedelta(hours=9))) != Go()


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  the strategy adds the zone
    origin=st.sampled_from([Origin.AUTOMATIC, Origin.MANUAL]),
    zone=st.sampled_from([KOLKATA, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")]),
    own=st.one_of(st.none(), st.tuples(st.times(), st.times())),
    late=st.integers(0, 100_000).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_later_is_in_the_future_and_outside_the_hours_that_held_it(
    now: datetime, origin: Origin, zone: ZoneInfo, own: tuple[time, time] | None, late: timedelta
) -> None:
    facts = replace(
        FINE,
        now=now,
        scheduled_at=now - late,
        expires_at=now + timedelta(days=1),
        origin=origin,
        zone=zone,
        own_quiet=own,
    )
    decision = verdict(facts)
    held_by = own or NIGHT
    if isinstance(decision, Later):
        assert now < decision.until <= now + timedelta(hours=26)
        assert is_quiet(now, zone, *held_by)
        assert not is_quiet(decision.until, zone, *held_by)
    else:
        assert decision == Go()
        assert not is_quiet(now, zone, *held_by) or (origin == Origin.MANUAL and own is None)
