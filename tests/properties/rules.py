"""What must hold in the database at every moment, as queries that find what breaks it."""

from collections.abc import Mapping
from typing import Final

from django.db import connection

CHARGE_KEY: Final = "'followup:' || f.id || ':charge'"
REFUND_KEY: Final = "'followup:' || f.id || ':refund'"

# Each finds the rows that break the rule it's named after.
RULES: Final[Mapping[str, str]] = {
    "a balance is the sum of its entries, and not below zero": """
        SELECT a.id::text FROM credit_accounts a LEFT JOIN credit_entries e ON e.account_id = a.id
         GROUP BY a.id HAVING a.balance <> coalesce(sum(e.amount), 0) OR a.balance < 0""",
    "a follow-up has one charge of its user, of its price": f"""
        SELECT f.id::text FROM follow_up_schedules f
          JOIN credit_accounts a ON a.user_id = f.user_id
          LEFT JOIN credit_entries e ON e.idempotency_key = {CHARGE_KEY} AND e.account_id = a.id
         WHERE e.id IS NULL OR e.kind <> 'charge' OR e.amount <> -f.credits_charged""",
    "what a follow-up says was refunded is what the ledger gave back": f"""
        SELECT f.id::text FROM follow_up_schedules f
          LEFT JOIN credit_entries e ON e.idempotency_key = {REFUND_KEY}
         WHERE coalesce(e.amount, 0) <> f.credits_refunded OR (e.id IS NULL) <> (f.refunded_at IS NULL)""",
    "nothing but follow-ups is charged and refunded": f"""
        SELECT e.id::text FROM credit_entries e
         WHERE e.kind IN ('charge', 'refund') AND NOT EXISTS (
               SELECT FROM follow_up_schedules f WHERE e.idempotency_key IN ({CHARGE_KEY}, {REFUND_KEY}))""",
    "what is refunded has failed or was cancelled, or arrived after it was called failed": """
        SELECT f.id::text FROM follow_up_schedules f WHERE f.refunded_at IS NOT NULL AND NOT (
               f.status IN ('failed', 'cancelled')
               OR (f.status IN ('delivered', 'read') AND f.failed_at IS NOT NULL))""",
    "a session counts its live follow-ups": """
        SELECT s.id FROM sessions s LEFT JOIN follow_up_schedules f
            ON f.session_id = s.id AND f.status NOT IN ('failed', 'cancelled')
         GROUP BY s.id HAVING s.follow_up_count <> count(f.id)""",
    "a session knows whether a follow-up of it was sent": """
        SELECT s.id FROM sessions s WHERE s.follow_up_sent <> EXISTS (
               SELECT FROM follow_up_schedules f WHERE f.session_id = s.id AND f.sent_at IS NOT NULL)""",
    "at most one attempt of a follow-up is open": """
        SELECT a.follow_up_id::text FROM follow_up_attempts a WHERE a.state IN ('calling', 'in_doubt')
         GROUP BY a.follow_up_id HAVING count(*) > 1""",
    "whoever is in doubt has an attempt in doubt": """
        SELECT f.id::text FROM follow_up_schedules f WHERE f.status = 'in_doubt' AND NOT EXISTS (
               SELECT FROM follow_up_attempts a WHERE a.follow_up_id = f.id AND a.state = 'in_doubt')""",
    "a follow-up is in the inbox once": """
        SELECT m.follow_up_id::text FROM follow_up_in_app_messages m
         GROUP BY m.follow_up_id HAVING count(*) > 1""",
    "an applied report belongs to an attempt": """
        SELECT v.event_key FROM follow_up_events v WHERE v.applied_at IS NOT NULL AND v.attempt_id IS NULL""",
}

_ALL: Final = " UNION ALL ".join(
    f"SELECT %s::text, found.* FROM ({query}) AS found" for query in RULES.values()
)


def broken_rules() -> list[tuple[str, str]]:
    """Each broken rule with the row that breaks it; empty when all is well. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL, list(RULES))
        return cursor.fetchall()
