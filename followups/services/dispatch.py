"""Claiming: due follow-ups are handed to workers under a lease, each by one conditional update."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from followups.selectors.channels import claimable
from jyotiflow.postgresql.prepared import prepared_cursor

_CLAIM: Final = """
    WITH due AS MATERIALIZED (
        SELECT found.id
          FROM unnest(%(channels)s::text[], %(shares)s::int[]) AS wanted (name, share)
         CROSS JOIN LATERAL (
               SELECT id FROM ONLY follow_up_schedules
                WHERE status = 'pending' AND channel = wanted.name AND due_at <= statement_timestamp()
                ORDER BY due_at, id
                LIMIT greatest(0, least(%(limit)s, wanted.share - (
                      SELECT count(*) FROM ONLY follow_up_schedules
                       WHERE status = 'sending' AND channel = wanted.name)))
                  FOR UPDATE SKIP LOCKED) AS found
         WHERE NOT EXISTS (
               SELECT FROM follow_up_channel_switches AS switch
                WHERE switch.channel = wanted.name AND switch.is_paused)
    )
    UPDATE ONLY follow_up_schedules AS follow_up  -- what is due is never in the archive
       SET status = 'sending', claim_token = gen_random_uuid(), updated_at = statement_timestamp(),
           lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
     WHERE follow_up.id = ANY (ARRAY(SELECT id FROM due))  -- a join would be planned for a tenth of the table
 RETURNING follow_up.id, follow_up.claim_token, follow_up.channel
"""
_RELEASE: Final = """
    UPDATE ONLY follow_up_schedules
       SET status = 'pending', claim_token = NULL, lease_until = NULL, updated_at = statement_timestamp()
     WHERE status = 'sending' AND claim_token = ANY(%s)
"""


@dataclass(frozen=True)
class Claim:
    """One follow-up handed to whoever holds the token, until the lease ends."""

    follow_up_id: UUID
    token: UUID
    channel: str


def claim_due(*, limit: int) -> Sequence[Claim]:
    """Claim up to ``limit`` due follow-ups a channel by the database's clock. Any number may call at once.

    Nothing of a paused channel, and no more of the others than can be handed to their providers.
    """
    shares = claimable()
    with prepared_cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "channels": list(shares),
                "shares": list(shares.values()),
                "limit": limit,
                "lease": settings.FOLLOWUP_LEASE_SECONDS,
            },
        )
        return [Claim(*row) for row in cursor.fetchall()]


def release(*, tokens: Collection[UUID]) -> None:
    """Put claims back that could not be handed over; whoever holds a released token does nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, [list(tokens)])
