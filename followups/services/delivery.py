"""Sending one follow-up: begin, gate (commits), call with no transaction open, settle; `docs/delivery.md`."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from followups.channels import get_channel
from followups.channels.base import Channel, Message
from followups.choices import State
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import FollowUpSchedule
from followups.services.accepting import Ended, settle_all
from followups.services.admission import Refusal, admit, give_back, has_answered, report
from followups.services.gating import Begun, Passed, pass_gate
from followups.services.grouping import ALONE, Alone, Group
from followups.services.settling import Outcome, let_connection_go
from jyotiflow.failpoints import failpoint
from jyotiflow.postgresql.prepared import prepared_cursor

log = structlog.get_logger(__name__)

# Before the next looks at a provider that has just been called for the first time in a while; after the last
# of them the message goes back to the queue for a second or two.
LOOKS_AFTER_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.2)
LONGEST_GATE_SECONDS = 5  # from the gate to the socket; a worker slower than that was frozen

# Who holds a claim's token is under way (`follow_up_leased_iff_sending`); asked for the status too, the
# planner would rather walk through all that are. ONLY: nothing in the archive is.
_BEGIN: Final = """
    UPDATE ONLY follow_up_schedules AS follow_up
       SET claim_token = gen_random_uuid(), tries = tries + 1,
           lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
      FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS ticket (follow_up, token)
     WHERE follow_up.id = ticket.follow_up AND follow_up.claim_token = ticket.token
       AND follow_up.lease_until > statement_timestamp()
 RETURNING ticket.token, follow_up.id, follow_up.claim_token, follow_up.channel
"""


@dataclass(frozen=True)
class Ticket:
    """What a task knows of its follow-up; the claim's token is good for one beginning."""

    follow_up_id: UUID
    token: UUID


@dataclass
class Turn:
    """When a begun follow-up's turn at its provider comes: after so many seconds, or not for now.

    What need not wait has been at the gate with the others; the gate is still before one that is ``ALONE``.
    """

    begun: Begun
    wait: float
    refusal: Refusal | None
    passed: Passed | None | Alone = ALONE


def deliver(*, follow_up_id: UUID, token: UUID) -> None:
    """Send one claimed follow-up. A token that is stale, or was used already, does nothing."""
    turn = _STARTING.ask(Ticket(follow_up_id, token))
    if turn is None:
        return
    for seconds in LOOKS_AFTER_SECONDS:
        if not (turn.refusal and turn.refusal.is_brief):
            break
        time.sleep(seconds)
        turn = _ENTERING.ask(turn.begun)
    if turn.refusal:
        put_off(begun=turn.begun, refusal=turn.refusal)
        return
    if turn.wait:
        time.sleep(turn.wait)
    channel = get_channel(turn.begun.channel_name)
    passed = turn.passed
    if isinstance(passed, Alone):
        (passed,) = pass_gate([turn.begun])
    assert not isinstance(passed, Alone), "one at the gate by itself is answered"
    if passed is None:
        give_back(channel.name)
        return
    failpoint("after_gate")
    if time.monotonic() - passed.read_at > LONGEST_GATE_SECONDS:
        # This worker was frozen: others may have acted on the expired lease. Nothing was sent, for certain.
        outcome: Outcome = NotProcessed("stale_gate", counts=False)
        give_back(channel.name)
    else:
        outcome = call(channel, passed.message)
        if not has_answered(outcome):
            report(channel.name, outcome)
    failpoint("after_call")
    _SETTLING.ask(Ended(passed.message.attempt_id, channel.name, outcome))
    failpoint("after_settle")


def start(tickets: Sequence[Ticket]) -> list[Turn | None]:
    """Begin claims and go on with them; ``None`` for a void token.

    The two commits come one after the other: a try is counted before a message is looked at.
    """
    begun = begin(tickets)
    failpoint("after_begin")
    turns = iter(enter([each for each in begun if each]))
    return [next(turns) if each else None for each in begun]


def enter(begun: Sequence[Begun]) -> list[Turn]:
    """Take room at their providers, and take those that need not wait through the gate together.

    A gate that fails for all of them is before each of them again.
    """
    turns = take_turns(begun)
    at_once = [turn for turn in turns if not turn.refusal and not turn.wait]
    if at_once:
        try:
            answers = pass_gate([turn.begun for turn in at_once])
        except Exception as error:
            log.warning("gate_failed", size=len(at_once), error=type(error).__name__)
        else:
            for turn, answer in zip(at_once, answers, strict=True):
                turn.passed = answer
    return turns


def take_turns(begun: Sequence[Begun]) -> list[Turn]:
    """Ask each channel once whether there is room for all of its calls."""
    wanted = Counter(each.channel_name for each in begun)
    rooms = {name: admit(name, calls) for name, calls in wanted.items()}
    waits = {name: iter(room.waits) for name, room in rooms.items()}
    turns = []
    for each in begun:
        wait = next(waits[each.channel_name], None)
        refusal = rooms[each.channel_name].refusal if wait is None else None
        turns.append(Turn(each, wait or 0.0, refusal))
    return turns


def begin(tickets: Sequence[Ticket]) -> list[Begun | None]:
    """Take claims for oneself: a token is used up and another returned; ``None`` for a void one.

    A doubled task, or a claim released while its task was running after all, so finds nothing to do. Counts
    a try and renews the lease, committed before anything can go wrong: waiting in a queue is not a try, but
    a message that brings down whoever begins it is parked in time.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            _BEGIN,
            {
                "ids": [ticket.follow_up_id for ticket in tickets],
                "tokens": [ticket.token for ticket in tickets],
                "lease": settings.FOLLOWUP_LEASE_SECONDS,
            },
        )
        begun = {token: Begun(*rest) for token, *rest in cursor.fetchall()}
    return [begun.pop(ticket.token, None) for ticket in tickets]


def put_off(*, begun: Begun, refusal: Refusal) -> None:
    """Put a begun follow-up back: there's no room for its call now. No try is used up."""
    wait = timedelta(seconds=refusal.seconds + random.random())
    FollowUpSchedule.objects.filter(
        pk=begun.follow_up_id, status=State.SENDING, claim_token=begun.token
    ).update(
        status=State.PENDING,
        claim_token=None,
        lease_until=None,
        due_at=Now() + wait,
        failure_code=refusal.code,
        tries=F("tries") - 1,
        updated_at=Now(),
    )
    log.info("follow_up_waits", follow_up_id=str(begun.follow_up_id), code=refusal.code)


def call(channel: Channel, message: Message) -> Outcome:
    """Call the provider; whatever a channel raises beyond its four words counts as an unknown outcome."""
    let_connection_go()
    try:
        return channel.send(message)
    except (NotProcessed, Rejected, Misconfigured, OutcomeUnknown) as outcome:
        return outcome
    except Exception as error:  # a bug after the socket write must not become a second message
        log.error("channel_bug", attempt_id=str(message.attempt_id), exc_info=True)
        return OutcomeUnknown(code=type(error).__name__)


_STARTING: Final = Group(start)
_ENTERING: Final = Group(enter)
_SETTLING: Final = Group(settle_all)
