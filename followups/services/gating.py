"""The gate: one short transaction before a message is handed to its provider. See `docs/delivery.md`."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction

from followups.addresses import hash_address
from followups.channels.base import Message
from followups.composing import Rendered, render_for_reader
from followups.gate import Go, Later, Never, verdict
from followups.links import callback_url
from followups.models import FollowUpSchedule
from followups.selectors.gate import AtGate, read_at_gate
from followups.services.grouping import ALONE, Alone
from followups.services.settling import (
    IN_FLIGHT,
    back_to_queue,
    key_has_lapsed,
    lock_address,
    open_rivals,
)
from followups.services.withdrawing import fail_follow_up
from jyotiflow.failpoints import failpoint
from jyotiflow.postgresql.prepared import prepared_cursor

log = structlog.get_logger(__name__)

ONE_AT_A_TIME_WAIT: Final = timedelta(seconds=15)  # for what is under way to the same address
CALL_MARGIN_SECONDS = 5  # between the end of the longest call and the end of the lease

# Who holds a claim's token is under way: see `delivery._BEGIN`.
_LOCK: Final = """
    SELECT follow_up.id
      FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS begun (id, token)
      JOIN ONLY follow_up_schedules AS follow_up ON follow_up.id = begun.id
     WHERE follow_up.claim_token = begun.token
       AND follow_up.lease_until >= statement_timestamp() + make_interval(secs => %(shortest)s)
     ORDER BY follow_up.id
       FOR UPDATE OF follow_up
"""
# The attempts and the texts, in one statement. No index knows these columns: the row stays on its page (HOT).
_START: Final = """
    WITH passed AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(follow_ups)s::uuid[], %(numbers)s::int[], %(providers)s::text[],
            %(to_hashes)s::text[], %(body_hashes)s::text[], %(subjects)s::text[], %(bodies)s::text[]
        ) AS passed (attempt, follow_up, number, provider, to_hash, body_hash, subject, body)
    ), started AS (
        INSERT INTO follow_up_attempts
               (id, follow_up_id, number, state, provider, to_hash, body_hash,
                provider_message_id, code, details, misses)
        SELECT attempt, follow_up, number, 'calling', provider, to_hash, body_hash, '', '', '{}', 0
          FROM passed
    )
    UPDATE ONLY follow_up_schedules AS follow_up
       SET subject_sent = passed.subject, message_sent = passed.body, provider = passed.provider
      FROM passed
     WHERE follow_up.id = passed.follow_up
"""


@dataclass(frozen=True)
class Begun:
    """A claim in one worker's own hands."""

    follow_up_id: UUID
    token: UUID
    channel_name: str


@dataclass(frozen=True)
class Passed:
    """A message that passed the gate: its attempt is committed, the provider is called next."""

    message: Message
    read_at: float  # by this process's clock: what was then true let it pass


def shortest_lease() -> float:
    """Seconds of a lease that the longest call and a margin take."""
    longest_call = settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS + settings.FOLLOWUP_READ_TIMEOUT_SECONDS
    return float(longest_call + CALL_MARGIN_SECONDS)


@transaction.atomic
def pass_gate(begun: Sequence[Begun]) -> list[Passed | None | Alone]:
    """The point of no return: check everything that can forbid a message, then write its attempt.

    ``None`` for one that must not be sent now; it's then back in the queue, failed and refunded, or not ours.
    Of several only those that simply may go are let through: the others' answer is ``ALONE``.
    """
    read_at = time.monotonic()
    locked = _lock(begun)
    at_gate = {one.follow_up_id: one for one in read_at_gate(locked)} if locked else {}
    answers: list[Passed | None | Alone] = []
    drafts: list[_Draft] = []
    for each in begun:
        one = at_gate.pop(each.follow_up_id, None)
        answer: Passed | None | Alone = None  # not ours, or too little of its lease is left: the rescue's
        if one is not None:
            draft = _draft(one, is_alone=len(begun) == 1)
            if isinstance(draft, _Draft):
                drafts.append(draft)
                answer = Passed(draft.message, read_at)
            else:
                answer = draft
        answers.append(answer)
    if drafts:
        _start_attempts(drafts)
        failpoint("in_gate")
    return answers


@dataclass(frozen=True)
class _Draft:
    """A message about to pass, and what is kept of it."""

    message: Message
    number: int
    provider: str
    to_hash: str
    body_hash: str
    body: str


def _lock(begun: Sequence[Begun]) -> list[UUID]:
    """Lock those that are still ours, with enough of their lease left for a call."""
    with prepared_cursor() as cursor:
        cursor.execute(
            _LOCK,
            {
                "ids": [each.follow_up_id for each in begun],
                "tokens": [each.token for each in begun],
                "shortest": shortest_lease(),
            },
        )
        return [row[0] for row in cursor.fetchall()]


def _draft(one: AtGate, *, is_alone: bool) -> _Draft | None | Alone:
    decision = verdict(one.facts)
    goes_one_at_a_time = one.channel.can_be_asked and not one.channel.finds_by_text
    if not is_alone and (not isinstance(decision, Go) or one.attempts or goes_one_at_a_time):
        return ALONE
    if isinstance(decision, Go) and not (one.attempts or goes_one_at_a_time):
        try:
            return _write(one)
        except Exception:
            if is_alone:
                raise
            return ALONE  # whatever is wrong with it is no business of the others
    follow_up = FollowUpSchedule.objects.get(pk=one.follow_up_id)
    match decision:
        case Later(until=until, code=code):
            back_to_queue(follow_up, due_at=until, code=code, counts=False)
            return None
        case Never(code=code, reason=reason):
            fail_follow_up(follow_up=follow_up, code=code, reason=reason, from_states=IN_FLIGHT)
            return None
        case Go() if key_has_lapsed(follow_up, one.channel):
            reason = "The provider never confirmed it."
            fail_follow_up(follow_up=follow_up, code="no_proof", reason=reason, from_states=IN_FLIGHT)
            return None
    draft = _write(one)
    if goes_one_at_a_time:
        lock_address(draft.to_hash)
        if open_rivals(
            channel=one.channel,
            to_hash=draft.to_hash,
            body_hash=draft.body_hash,
            except_attempt=draft.message.attempt_id,
        ).exists():
            # Were both in doubt, the provider's list could not tell the one from the other. Where it shows
            # texts, those it can't tell apart read the same: exchanged, their reader gets each all the same.
            until = one.facts.now + ONE_AT_A_TIME_WAIT
            back_to_queue(follow_up, due_at=until, code="one_at_a_time", counts=False)
            return None
    return draft


def _write(one: AtGate) -> _Draft:
    rendered = render_for_reader(
        version=one.version,
        channel=one.channel.name,
        language=one.language,
        user=one.user,
        session=one.session,
        custom=one.custom_variables,
        is_private=one.channel.is_private,
    )
    to = tuple(one.reach.addresses)
    return _Draft(
        message=_message(one, rendered, to),
        number=one.attempts + 1,
        provider=one.channel.provider,
        to_hash=hash_address("\n".join(to)),
        body_hash=hashlib.sha256(rendered.text.encode()).hexdigest(),
        body=rendered.body,
    )


def _message(one: AtGate, rendered: Rendered, to: tuple[str, ...]) -> Message:
    attempt_id = uuid4()
    return Message(
        attempt_id=attempt_id,
        follow_up_id=one.follow_up_id,
        user_id=one.user.pk,
        to=to,
        language=one.language,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        unsubscribe_url=rendered.unsubscribe_url,
        callback_url=callback_url(provider=one.channel.provider, attempt_id=attempt_id),
        whatsapp_content_sid=rendered.whatsapp_content_sid,
        whatsapp_variables=rendered.whatsapp_variables or {},
        valid_for_seconds=int((one.facts.expires_at - one.facts.now).total_seconds()),
    )


def _start_attempts(drafts: Sequence[_Draft]) -> None:
    columns: dict[str, list[Any]] = {
        "attempts": [draft.message.attempt_id for draft in drafts],
        "follow_ups": [draft.message.follow_up_id for draft in drafts],
        "numbers": [draft.number for draft in drafts],
        "providers": [draft.provider for draft in drafts],
        "to_hashes": [draft.to_hash for draft in drafts],
        "body_hashes": [draft.body_hash for draft in drafts],
        "subjects": [draft.message.subject for draft in drafts],
        "bodies": [draft.body for draft in drafts],
    }
    with prepared_cursor() as cursor:
        cursor.execute(_START, columns)
