"""Before a provider is called: is it alive, is there room? One answer for all workers, kept in Valkey.

The breaker counts calls begun since the provider last answered: one that swallows calls costs no more than
``BREAKER_CALLS`` of them, however many workers wait. The rate is a token bucket; a token a moment away is
reserved and waited for. All of it may be lost and is then learnt anew.
"""

import time
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
PATIENCE_SECONDS: Final = 10  # for which the first of them may be unanswered
COOL_DOWN_SECONDS: Final = 30  # doubled by every probe that fails
LONGEST_COOL_DOWN_SECONDS: Final = 600
PROBE_SECONDS: Final = 60  # after which a probe that never reported is forgotten
LONGEST_WAIT_SECONDS: Final = 2  # for a token of the rate, in the worker itself
WITHOUT_VALKEY_SECONDS: Final = 5  # a message's wait when nobody can be asked whether there is room
FORGOTTEN_AFTER_SECONDS: Final = 3_600  # without a call


@dataclass(frozen=True)
class Refusal:
    """No call now; look again in so many seconds."""

    code: str
    seconds: float


def admit(channel: str) -> Refusal | None:
    """Take room for one call, waiting a moment for its turn; ``None`` when the call may be made.

    Nobody to ask is a refusal: without the count a dead provider would be called by every worker at once.
    """
    if get_channel(channel).is_local:
        return None
    try:
        word, text = _script("admit")(
            keys=[breaker_key(channel), rate_key(channel)],
            args=[
                BREAKER_CALLS,
                PATIENCE_SECONDS,
                COOL_DOWN_SECONDS,
                PROBE_SECONDS,
                settings.FOLLOWUP_PER_SECOND.get(channel, 0),
                LONGEST_WAIT_SECONDS,
                FORGOTTEN_AFTER_SECONDS,
            ],
        )
    except RedisError as error:
        log.warning("admission_unknown", channel=channel, error=type(error).__name__)
        return Refusal("admission_unknown", WITHOUT_VALKEY_SECONDS)
    seconds = float(text)
    if word == "go":
        time.sleep(seconds)
        return None
    if word == "opened":
        _alarm(channel, seconds)
    return Refusal("rate_limit" if word == "rate" else "breaker_open", seconds)


def report(channel: str, outcome: Outcome) -> None:
    """Tell how an admitted call ended: any answer about a message closes the breaker."""
    if get_channel(channel).is_local:
        return
    try:
        match outcome:
            case Misconfigured():
                _fail(channel, cool_down=HALT_WAIT.total_seconds())
            case OutcomeUnknown() | NotProcessed(answered=False):
                _fail(channel, cool_down=COOL_DOWN_SECONDS)
            case _:
                valkey().delete(breaker_key(channel))
    except RedisError as error:
        log.warning("admission_unknown", channel=channel, error=type(error).__name__)


def give_back(channel: str) -> None:
    """An admitted call is not made."""
    if get_channel(channel).is_local:
        return
    try:
        _script("give_back")(keys=[breaker_key(channel)])
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
