"""Before a provider is called: is it alive, is there room? One answer for all workers, kept in Valkey.

The breaker counts calls begun since the provider last answered: one that swallows calls costs no more than
``BREAKER_CALLS`` of them, however many workers wait, or what is begun within a second of its last answer. The
rate is a token bucket; a token a moment away is reserved and waited for. All of it may be lost and is then
learnt anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from followups.channels import get_channel
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown
from followups.retries import HALT_WAIT
from followups.selectors.channels import breaker_key, rate_key
from followups.services.settling import Outcome
from jyotiflow.valkey import valkey

log = structlog.get_logger(__name__)

BREAKER_CALLS: Final = 10  # begun without an answer: more is never spent on a dead provider
BREAKER_FAILURES: Final = 5  # in a row: no connection, time-outs, 5xx, a refused account
PROVEN_SECONDS: Final = 1  # after an answer: calls are then as many as there are workers for
PATIENCE_SECONDS: Final = 10  # for which the first of them may be unanswered
COOL_DOWN_SECONDS: Final = 30  # doubled by every probe that fails
LONGEST_COOL_DOWN_SECONDS: Final = 600
PROBE_SECONDS: Final = 60  # after which a probe that never reported is forgotten
LONGEST_WAIT_SECONDS: Final = 2  # for a token of the rate, in the worker itself
WITHOUT_VALKEY_SECONDS: Final = 5  # a message's wait when nobody can be asked whether there is room
FORGOTTEN_AFTER_SECONDS: Final = 3_600  # without a call


@dataclass(frozen=True)
class Refusal:
    """No call now; look again in so many seconds, or within one when it's brief: answers are on their way."""

    code: str
    seconds: float
    is_brief: bool = False


_NO_RULE: Final = Refusal("", 0.0)


@dataclass(frozen=True)
class Room:
    """So many calls may be made, each after its wait in seconds; for more there is a refusal."""

    waits: Sequence[float]
    refusal: Refusal


def admit(channel: str, calls: int = 1) -> Room:
    """Take room for so many calls, as far as there is any; what is taken is reported on or given back.

    Nobody to ask is a refusal: without the count a dead provider would be called by every worker at once.
    """
    if get_channel(channel).is_local:
        return Room([0.0] * calls, _NO_RULE)
    per_second = settings.FOLLOWUP_PER_SECOND.get(channel, 0)
    try:
        granted, turn, word, seconds = _script("admit")(
            keys=[breaker_key(channel), rate_key(channel)],
            args=[
                BREAKER_CALLS,
                PATIENCE_SECONDS,
                COOL_DOWN_SECONDS,
                PROBE_SECONDS,
                per_second,
                LONGEST_WAIT_SECONDS,
                FORGOTTEN_AFTER_SECONDS,
                calls,
                PROVEN_SECONDS,
            ],
        )
    except RedisError as error:
        log.warning("admission_unknown", channel=channel, error=type(error).__name__)
        return Room([], Refusal("admission_unknown", WITHOUT_VALKEY_SECONDS))
    if word == "opened":
        _alarm(channel, float(seconds))
    spacing = 1 / per_second if per_second else 0.0
    return Room(
        [max(0.0, float(turn) + number * spacing) for number in range(granted)],
        Refusal("rate_limit" if word == "rate" else "breaker_open", float(seconds), word == "unproven"),
    )


def has_answered(outcome: Outcome) -> bool:
    """Whether a call ended with the provider's word about the message."""
    match outcome:
        case Misconfigured() | OutcomeUnknown() | NotProcessed(answered=False):
            return False
    return True


def report(channel: str, outcome: Outcome) -> None:
    """Tell how an admitted call ended: any answer about a message closes the breaker."""
    if get_channel(channel).is_local:
        return
    try:
        if has_answered(outcome):
            _script("answered")(keys=[breaker_key(channel)], args=[FORGOTTEN_AFTER_SECONDS])
        elif isinstance(outcome, Misconfigured):
            _fail(channel, cool_down=HALT_WAIT.total_seconds())
        else:
            _fail(channel, cool_down=COOL_DOWN_SECONDS)
    except RedisError as error:
        log.warning("admission_unknown", channel=channel, error=type(error).__name__)


def give_back(channel: str, calls: int = 1) -> None:
    """So many admitted calls are not made."""
    if get_channel(channel).is_local:
        return
    try:
        _script("give_back")(keys=[breaker_key(channel)], args=[calls])
    except RedisError as error:
        log.warning("admission_unknown", channel=channel, error=type(error).__name__)


def _fail(channel: str, *, cool_down: float) -> None:
    opened = _script("fail")(
        keys=[breaker_key(channel)],
        args=[BREAKER_FAILURES, cool_down, LONGEST_COOL_DOWN_SECONDS, FORGOTTEN_AFTER_SECONDS],
    )
    if opened:
        _alarm(channel, float(opened))


def _alarm(channel: str, seconds: float) -> None:
    log.error("breaker_opened", channel=channel, seconds=round(seconds))


@cache
def _script(name: str) -> Any:
    source = Path(__file__).with_name("lua") / f"{name}.lua"
    return valkey().register_script(source.read_text("utf-8"))
