"""What providers simply took, written down together; every other ending is settled by itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction

from followups.channels.base import Accepted
from followups.services.admission import has_answered, report
from followups.services.grouping import ALONE, Alone
from followups.services.settling import Outcome, settle
from jyotiflow.failpoints import failpoint
from jyotiflow.postgresql.prepared import prepared_cursor

log = structlog.get_logger(__name__)

# Only what nobody else has touched since its gate: neither over nor in doubt, it is being called. (Asked for
# that state itself, the planner would rather walk through all that are.) A message id that another attempt
# has is left alone: so is one that two of these claim, by the rule `attempt_message_has_one_owner`, with all
# that come with it.
_ACCEPT: Final = """
    WITH told AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(messages)s::text[], %(details)s::jsonb[], %(delivered)s::bool[]
        ) AS told (attempt, message, details, is_delivered)
    ), locked AS MATERIALIZED (
        SELECT told.*, follow_up.id AS follow_up
          FROM told
          JOIN ONLY follow_up_attempts AS attempt ON attempt.id = told.attempt
          JOIN ONLY follow_up_schedules AS follow_up ON follow_up.id = attempt.follow_up_id
         WHERE attempt.finished_at IS NULL AND attempt.state <> 'in_doubt'
           AND follow_up.claim_token IS NOT NULL
           AND (SELECT owner.id FROM follow_up_attempts AS owner  -- so written it's one index look a row
                 WHERE owner.provider = attempt.provider AND owner.provider_message_id = told.message
                   AND owner.provider_message_id <> '' AND owner.state = 'accepted' LIMIT 1) IS NULL
         ORDER BY follow_up.id
           FOR UPDATE OF follow_up
    ), taken AS (
        UPDATE ONLY follow_up_attempts AS attempt
           SET state = 'accepted', code = '', finished_at = clock_timestamp(), details = locked.details,
               provider_message_id = locked.message
          FROM locked
         WHERE attempt.id = locked.attempt AND attempt.finished_at IS NULL AND attempt.state <> 'in_doubt'
     RETURNING attempt.id, attempt.finished_at, locked.follow_up, locked.message, locked.is_delivered
    )
    UPDATE ONLY follow_up_schedules AS follow_up
       SET status = CASE WHEN taken.is_delivered THEN 'delivered' ELSE 'sent' END,
           sent_at = COALESCE(follow_up.sent_at, taken.finished_at),
           delivered_at = CASE WHEN taken.is_delivered THEN taken.finished_at END,
           claim_token = NULL, lease_until = NULL, updated_at = clock_timestamp(),
           provider_message_id = COALESCE(NULLIF(taken.message, ''), follow_up.provider_message_id)
      FROM taken
     WHERE follow_up.id = taken.follow_up
 RETURNING taken.id, follow_up.id
"""


@dataclass(frozen=True)
class Ended:
    """A call that has ended, and how."""

    attempt_id: UUID
    channel_name: str
    outcome: Outcome


def settle_all(ended: Sequence[Ended]) -> list[None | Alone]:
    """Write down how calls ended: acceptances in one statement, and one alone whatever it is.

    One answer a channel is reported to its breaker; what was no answer has been.
    """
    for channel_name, outcome in {
        each.channel_name: each.outcome for each in ended if has_answered(each.outcome)
    }.items():
        report(channel_name, outcome)
    return _write_down(ended)


@transaction.atomic
def _write_down(ended: Sequence[Ended]) -> list[None | Alone]:
    accepted = {each.attempt_id: each.outcome for each in ended if isinstance(each.outcome, Accepted)}
    written = _accept(accepted) if accepted else set()
    rest = [each for each in ended if each.attempt_id not in written]
    if len(ended) == 1 and rest:
        settle(attempt_id=rest[0].attempt_id, outcome=rest[0].outcome)
        written.add(rest[0].attempt_id)
    failpoint("in_settle")
    return [None if each.attempt_id in written else ALONE for each in ended]


def _accept(accepted: dict[UUID, Accepted]) -> set[UUID]:
    columns: dict[str, list[Any]] = {
        "attempts": list(accepted),
        "messages": [each.provider_message_id for each in accepted.values()],
        "details": [json.dumps(dict(each.details)) for each in accepted.values()],
        "delivered": [each.delivered for each in accepted.values()],
    }
    with prepared_cursor() as cursor:
        cursor.execute(_ACCEPT, columns)
        written = dict(cursor.fetchall())
    if written:
        log.info("follow_ups_sent", follow_up_ids=[str(each) for each in written.values()])
    return set(written)
