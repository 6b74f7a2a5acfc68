"""Claiming: due follow-ups are handed to workers under a lease, each by one conditional update."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection

IN_FLIGHT_LIMIT = 2_000  # claimed and unfinished; more would outlive their leases in the broker's queue

_CLAIM = """
    UPDATE follow_up_schedules AS follow_up
       SET status = 'sending', claim_token = gen_random_uuid(), tries = tries + 1,
           updated_at = statement_timestamp(),
           lease_until = statement_timestamp() + make_interval(secs => %s)
      FROM (SELECT id FROM follow_up_schedules
             WHERE status = 'pending' AND due_at <= statement_timestamp() AND channel = ANY(%s)
             ORDER BY due_at, id
             LIMIT greatest(0, least(%s, %s - (SELECT count(*) FROM follow_up_schedules
                                                WHERE status = 'sending')))
               FOR UPDATE SKIP LOCKED) AS due
     WHERE follow_up.id = due.id
 RETURNING follow_up.id, follow_up.claim_token, follow_up.channel
"""
_RELEASE = """
    UPDATE follow_up_schedules
       SET status = 'pending', claim_token = NULL, lease_until = NULL, tries = tries - 1,
           updated_at = statement_timestamp()
     WHERE status = 'sending' AND claim_token = ANY(%s)
"""


@dataclass(frozen=True)
class Claim:
    """One follow-up handed to whoever holds the token, until the lease ends."""

    follow_up_id: UUID
    token: UUID
    channel: str


def claim_due(*, limit: int) -> Sequence[Claim]:
    """Claim up to ``limit`` due follow-ups by the database's clock. Any number may call at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            [settings.FOLLOWUP_LEASE_SECONDS, list(settings.FOLLOWUP_CHANNELS), limit, IN_FLIGHT_LIMIT],
        )
        return [Claim(*row) for row in cursor.fetchall()]


def release(*, tokens: Collection[UUID]) -> None:
    """Put claims back that could not be handed over; whoever holds a released token does nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, [list(tokens)])
