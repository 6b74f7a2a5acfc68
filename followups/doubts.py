"""What to make of attempts in doubt: whose a message on the provider's list is, and when doubt ends."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeVar

CallId = TypeVar("CallId")

LOOKS: Final = 2  # a provider may need a moment: one look proves nothing
CLOCK_SKEW: Final = timedelta(seconds=60)  # the provider's clock against the database's


def nearest_in_time(called: Mapping[CallId, datetime], listed: Mapping[str, datetime]) -> dict[CallId, str]:
    """Which listed message (by the time it was made) belongs to which call (by the time it was made).

    One to one, the nearest in time first; a message older than a call can't be that call's. Calls without
    a message, and messages without a call, are left out.
    """
    pairs = sorted(
        (
            (abs(made_at - called_at), called_at, made_at, call, message)
            for call, called_at in called.items()
            for message, made_at in listed.items()
            if made_at >= called_at - CLOCK_SKEW
        ),
        key=lambda pair: pair[:3],
    )
    found: dict[CallId, str] = {}
    for *_, call, message in pairs:
        if call not in found and message not in found.values():
            found[call] = message
    return found


class Ending(Enum):
    """What becomes of an attempt in doubt that was not found."""

    WAIT = "asked again later"
    ABSENT = "proved absent: the follow-up is tried again"
    REPEAT = "sent once more without proof, as the channel allows"
    GIVE_UP = "no proof: failed and refunded"


def ending(*, looks: int, misses: int, can_be_asked: bool, repeats_left: int, is_overdue: bool) -> Ending:
    """How doubt ends after so many looks, ``misses`` of which found the provider without it.

    A provider that can be asked is asked until it is ``is_overdue``, and nothing is repeated without its
    proof. Where nobody can be asked the looks only give a late report its time; then it's repeated as often
    as the channel allows, or given up.
    """
    if misses >= LOOKS:
        return Ending.ABSENT
    if not can_be_asked and looks >= LOOKS:
        return Ending.REPEAT if repeats_left > 0 else Ending.GIVE_UP
    return Ending.GIVE_UP if is_overdue else Ending.WAIT
