"""May this follow-up go out now? The one decision before the point of no return, as a pure function."""

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from followups.choices import Origin
from followups.exceptions import Unreachable
from followups.timing import ClosedHours, after_quiet_hours, is_quiet


@dataclass(frozen=True)
class Facts:
    """What the gate looks at, read in one transaction. Times are aware; quiet hours are local."""

    now: datetime
    scheduled_at: datetime
    expires_at: datetime
    origin: Origin
    zone: ZoneInfo
    default_quiet: tuple[time, time]
    own_quiet: tuple[time, time] | None
    paused_until: datetime | None
    channel_is_paused: bool
    user_is_active: bool
    has_opted_out: bool
    is_suppressed: bool
    is_reachable: bool
    objection: Unreachable | None = None  # what the channel or the law says against sending it now
    closed: ClosedHours | None = None  # hours the law keeps free of it, whoever asked


@dataclass(frozen=True)
class Go:
    """Send it."""


@dataclass(frozen=True)
class Later:
    """Not now: look again at ``until``."""

    until: datetime
    code: str


@dataclass(frozen=True)
class Never:
    """Not at all: fail and refund, for this reason."""

    code: str
    reason: str


LATENESS_A_READER_FORGIVES = (
    3600  # seconds; a time of one's own choice is kept even in the default quiet hours
)


def verdict(facts: Facts) -> Go | Later | Never:
    """Whether a follow-up may go out, must wait, or can't go at all."""
    if not facts.user_is_active:
        return Never("user_inactive", "The account is closed.")
    if facts.has_opted_out:
        return Never("opted_out", "The reader opted out of this channel.")
    if facts.is_suppressed:
        return Never("suppressed", "This address can't be written to any more.")
    if facts.objection is not None:
        return Never(facts.objection.code, facts.objection.message)
    if not facts.is_reachable:
        return Never("unreachable", "The reader has no address on this channel.")
    if facts.now >= facts.expires_at:
        return Never("expired", "It could not be sent in time.")
    if facts.channel_is_paused:
        return Later(facts.now, "channel_paused")  # it isn't claimed again before the channel goes on
    if facts.closed is not None and facts.closed.holds(facts.now):
        return Later(facts.closed.end_after(facts.now), "closed_hours")
    if facts.origin == Origin.INSTANT and _is_on_time(facts):
        return Go()  # the reader asked for it this moment
    if facts.paused_until and facts.now < facts.paused_until:
        return Later(facts.paused_until, "paused")
    for start, end in filter(None, (facts.own_quiet, None if _kept_own_time(facts) else facts.default_quiet)):
        if is_quiet(facts.now, facts.zone, start, end):
            return Later(after_quiet_hours(facts.now, facts.zone, start, end), "quiet_hours")
    return Go()


def _kept_own_time(facts: Facts) -> bool:
    """The reader chose this very time, or chose quiet hours that replace the default ones."""
    if facts.own_quiet is not None:
        return True
    return facts.origin == Origin.MANUAL and _is_on_time(facts)


def _is_on_time(facts: Facts) -> bool:
    return (facts.now - facts.scheduled_at).total_seconds() <= LATENESS_A_READER_FORGIVES
