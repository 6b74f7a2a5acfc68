"""Years of history in an empty database, made where it lies: INSERT … SELECT, without indexes and triggers.

`python -m benchmarks.history ROWS [DAYS]` fills the product's database.

As an installation of some years looks: a tenth of the follow-ups waits, the others went out over `DAYS`,
most are read or delivered, some failed or were cancelled; with sessions, plans, calls, reports, credits,
inboxes, and an archive of what is old. One reader has `FAITHFUL` of them. Rows are made of their numbers, so
that two runs are alike.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import django

django.setup()  # before anything that has models

from django.db import connection, transaction  # noqa: E402

from benchmarks.parts import say  # noqa: E402
from followups.models import FollowUpTemplate  # noqa: E402
from followups.services.templates import pin_version, save_template  # noqa: E402

DAYS: Final = 730  # how far back it goes, unless told otherwise
ARCHIVED_AFTER: Final = 91  # days
WAITING_SHARE: Final = 0.1  # of the follow-ups; their times lie in the next 30 days
FAITHFUL: Final = 10_000  # follow-ups of the most faithful reader, whose id is 1
PER_READER: Final = 20  # follow-ups, on average
PER_SESSION: Final = 2
CHANNELS: Final = ("email", "email", "email", "email", "sms", "sms", "whatsapp", "whatsapp", "push", "in_app")
TABLES: Final = (
    "accounts_user",
    "sessions",
    "follow_up_plans",
    "follow_up_schedules",
    "follow_up_archive",
    "follow_up_attempts",
    "follow_up_attempts_archive",
    "follow_up_events",
    "follow_up_in_app_messages",
    "follow_up_in_app_archive",
    "follow_up_devices",
    "credit_accounts",
    "credit_entries",
)

_PEOPLE = """
    INSERT INTO accounts_user (id, password, is_superuser, email, name, preferred_language, timezone, phone,
                               is_active, is_staff, created_at)
    SELECT n, '!', false, 'reader' || n || '@example.test', 'Reader ' || n,
           CASE WHEN n %% 5 < 3 THEN 'ta' ELSE 'en' END, 'Asia/Kolkata',
           '+9198' || lpad(n::text, 8, '0'), true, false, now() - interval '%(days)s days' * random()
      FROM generate_series(1, %(people)s) AS n
"""
# A session has two follow-ups, one after the other; the faithful reader's are spread over all the years.
_SESSIONS = """
    INSERT INTO sessions (id, user_id, service_type, question, guidance_summary, status, created_at,
                          completed_at, follow_up_sent, follow_up_count)
    SELECT md5('session' || n)::uuid::text,
           CASE WHEN n %% %(every)s = 0 THEN 1 ELSE 2 + abs(hashint4(n::int)::bigint) %% (%(people)s - 1) END,
           (ARRAY['spiritual_guidance', 'tarot', 'astrology'])[1 + n %% 3],
           'What should I turn to next? ' || md5(n::text), 'Patience brings what haste drives away. ' || n,
           'completed', moment - interval '1 hour', moment, n <= %(sessions)s * 0.9, 2
      FROM (SELECT n, now() - interval '%(days)s days' * (1 - n / (%(sessions)s + 1.0)) AS moment
              FROM generate_series(1, %(sessions)s) AS n) AS numbered
"""
_PLANS = """
    INSERT INTO follow_up_plans (session_id, decisions, created_at)
    SELECT id, jsonb_build_array(
               jsonb_build_object('template', md5(id)::uuid, 'follow_up', md5('x' || id)::uuid)), completed_at
      FROM sessions
"""
# Of a table the numbers `first` to `last`; those up to `past` were booked over the years, in their order.
_FOLLOW_UPS = """
    INSERT INTO {table} (
           id, user_id, user_email, session_id, template_id, template_version_id, channel, origin, language,
           wanted_language, custom_variables, scheduled_at, due_at, expires_at, status, tries,
           credits_charged, credits_refunded, refunded_at, subject_sent, message_sent, provider,
           provider_message_id, sent_at, delivered_at, read_at, failed_at, cancelled_at, failure_code,
           failure_reason, created_at, updated_at, archived_at)
    SELECT md5('follow-up' || n)::uuid, user_id, 'reader' || user_id || '@example.test',
           md5('session' || (n + 1) / 2)::uuid::text, template.id, template.version, template.channel,
           CASE WHEN n %% 4 = 3 THEN 'manual' ELSE 'automatic' END, tongue, tongue, '{{}}',
           at, at, at + interval '3 days', state, (state NOT IN ('pending', 'cancelled'))::int, 5,
           5 * is_refunded::int, CASE WHEN is_refunded THEN at + interval '9 s' END,
           CASE WHEN was_called THEN 'How is your spiritual journey progressing?' ELSE '' END,
           CASE WHEN was_called THEN 'Dear Reader ' || user_id || ', we remember with gratitude the time you '
                || 'shared with us. Guidance needs a little time to take root. ' || md5(n::text)
                || ' உங்கள் அமர்வில் கிடைத்த வழிகாட்டுதலோடு ஓர் அமைதியான தருணம். ' || md5('b' || n)
                ELSE '' END,
           CASE WHEN was_called THEN 'twilio' ELSE '' END,
           CASE WHEN is_sent THEN 'SM' || md5('message' || n) ELSE '' END,
           CASE WHEN is_sent THEN at + interval '2 s' END,
           CASE WHEN state IN ('delivered', 'read') THEN at + interval '20 s' END,
           CASE WHEN state = 'read' THEN at + interval '3 h' END,
           CASE WHEN state = 'failed' THEN at + interval '9 s' END,
           CASE WHEN state = 'cancelled' THEN at + interval '9 s' END,
           CASE WHEN state = 'failed' THEN '30003' ELSE '' END,
           CASE WHEN state = 'failed' THEN 'The phone could not be reached.' ELSE '' END,
           booked, CASE WHEN is_past THEN at + interval '3 h' ELSE booked END,
           CASE WHEN {is_archive} THEN now() END
      FROM (SELECT n, is_past, state,
                   CASE WHEN (n + 1) / 2 %% %(every)s = 0 THEN 1
                        ELSE 2 + abs(hashint4(((n + 1) / 2)::int)::bigint) %% (%(people)s - 1)
                   END AS user_id,
                   CASE WHEN is_past THEN booked + interval '20 h' ELSE now() + interval '1 h'
                        + interval '30 days' * ((n - %(past)s) / %(waiting)s::float) END AS at,
                   least(booked, now() - interval '1 minute') AS booked,
                   state IN ('sent', 'delivered', 'read') AS is_sent,
                   state IN ('sent', 'delivered', 'read', 'failed') AS was_called,
                   state IN ('failed', 'cancelled') AS is_refunded,
                   CASE WHEN (n + 1) / 2 %% 5 < 3 THEN 'ta' ELSE 'en' END AS tongue
              FROM (SELECT n, n <= %(past)s AS is_past,
                           now() - interval '1 day' - interval '%(days)s days' * (1 - n / (%(past)s + 1.0))
                           AS booked,
                           CASE WHEN n > %(past)s THEN 'pending' WHEN luck < 45 THEN 'read'
                                WHEN luck < 80 THEN 'delivered' WHEN luck < 94 THEN 'sent'
                                WHEN luck < 97 THEN 'failed' ELSE 'cancelled' END AS state
                      FROM generate_series({first}, {last}) AS n
                     CROSS JOIN LATERAL (SELECT abs(hashint4(n + 7)::bigint) %% 100 AS luck) AS drawn
                   ) AS numbered) AS facts
      JOIN unnest(%(templates)s::uuid[], %(versions)s::bigint[], %(channels)s::text[])
           WITH ORDINALITY AS template (id, version, channel, place)
        ON place = 1 + (n / 2 + n %% 2 * 5) %% %(kinds)s
"""
_QUEUE = {"table": "follow_up_schedules", "is_archive": "false"}
_ARCHIVE = {"table": "follow_up_archive", "is_archive": "true"}
_ATTEMPTS = """
    INSERT INTO {table} (id, follow_up_id, number, state, provider, provider_message_id, to_hash,
                                    body_hash, code, details, misses, looks, gate_at, finished_at)
    SELECT md5('attempt' || id)::uuid, id, 1, CASE WHEN sent_at IS NULL THEN 'rejected' ELSE 'accepted' END,
           provider, provider_message_id, md5(user_email) || md5(user_email), md5(id::text) || md5(id::text),
           failure_code, '{{}}', 0, 0, scheduled_at + interval '1 s', scheduled_at + interval '2 s'
      FROM ONLY {of} WHERE status IN ('sent', 'delivered', 'read', 'failed')
"""
_EVENTS = """
    INSERT INTO follow_up_events (id, provider, event_key, attempt_id, attempt_reference, provider_message_id,
                                  kind, code, raw, occurred_at, received_at, applied_at, tries, next_try_at)
    SELECT row_number() OVER (), provider, provider_message_id || ':' || kind, md5('attempt' || id)::uuid,
           md5('attempt' || id)::uuid::text, provider_message_id, kind, '',
           jsonb_build_object('MessageStatus', kind, 'MessageSid', provider_message_id, '_reason', '',
                              '_suppress', ''),
           at, at, at, 0, at
      FROM follow_up_schedules
     CROSS JOIN LATERAL (VALUES ('delivered', delivered_at), ('read', read_at)) AS reported (kind, at)
     WHERE at IS NOT NULL
"""
_INBOXES = """
    INSERT INTO {table} (id, follow_up_id, user_id, subject, body, language, created_at)
    SELECT nextval('follow_up_in_app_messages_id_seq'), id, user_id, subject_sent, message_sent, language,
           sent_at
      FROM ONLY {of} WHERE channel = 'in_app' AND sent_at IS NOT NULL
"""
_DEVICES = """
    INSERT INTO follow_up_devices (user_id, token, platform, created_at, seen_at)
    SELECT id, md5('device' || id) || md5('token' || id), 'android', created_at, now()
      FROM accounts_user WHERE id %% 2 = 0
"""
_ENTRIES = """
    INSERT INTO credit_entries (id, account_id, kind, amount, idempotency_key, refunded_entry_id, reason,
                                created_at)
    SELECT md5('grant' || id)::uuid, id, 'grant', 100000, 'grant:' || id, NULL::uuid, 'Bought', created_at
      FROM accounts_user
     UNION ALL
    SELECT md5('charge' || id)::uuid, user_id, 'charge', -credits_charged, 'followup:' || id || ':charge',
           NULL::uuid, 'Follow-up: Session Follow-up', created_at
      FROM follow_up_schedules
     UNION ALL
    SELECT md5('refund' || id)::uuid, user_id, 'refund', credits_refunded, 'followup:' || id || ':refund',
           md5('charge' || id)::uuid, 'Follow-up not delivered', refunded_at
      FROM follow_up_schedules WHERE refunded_at IS NOT NULL
"""
_ACCOUNTS = """
    INSERT INTO credit_accounts (id, user_id, balance, created_at)
    SELECT account_id, account_id, sum(amount), now() FROM credit_entries GROUP BY account_id
"""


def _steps(follow_ups: int, past: int, days: int) -> list[tuple[str, str]]:
    archived = int(past * max(0, 1 - ARCHIVED_AFTER / days))
    calls, inbox = "follow_up_attempts", "follow_up_in_app_messages"
    old, young = {"of": _ARCHIVE["table"]}, {"of": _QUEUE["table"]}
    return [
        ("people", _PEOPLE),
        ("sessions", _SESSIONS),
        ("plans", _PLANS),
        ("follow-ups in the archive", _FOLLOW_UPS.format(**_ARCHIVE, first=1, last=archived)),
        ("follow-ups", _FOLLOW_UPS.format(**_QUEUE, first=archived + 1, last=follow_ups)),
        ("calls in the archive", _ATTEMPTS.format(table=f"{calls}_archive", **old)),
        ("calls", _ATTEMPTS.format(table=calls, **young)),
        ("reports", _EVENTS),
        ("inboxes in the archive", _INBOXES.format(table="follow_up_in_app_archive", **old)),
        ("inboxes", _INBOXES.format(table=inbox, **young)),
        ("devices", _DEVICES),
        ("credits", _ENTRIES),
        ("accounts", _ACCOUNTS),
    ]


def fill(follow_ups: int, *, days: int = DAYS) -> None:
    """Make so many follow-ups and all that belongs to them, in a migrated database; it is emptied first.

    The past ones were booked in the ``days`` that ended yesterday, and went out 20 hours later.
    """
    started = time.monotonic()
    past = int(follow_ups * (1 - WAITING_SHARE))
    sessions = follow_ups // PER_SESSION
    with transaction.atomic(), connection.cursor() as cursor:
        # Emptied in the same transaction: with ``wal_level=minimal`` nothing of it is logged.
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        templates = _templates()
        numbers: dict[str, Any] = {
            "days": days,
            "past": past,
            "waiting": max(1, follow_ups - past),
            "sessions": sessions,
            "people": max(100, follow_ups // PER_READER),
            "every": max(1, sessions // (FAITHFUL // PER_SESSION)),
            "kinds": len(templates),
            "templates": [template.pk for template in templates],
            "versions": [pin_version(template=template).pk for template in templates],
            "channels": [template.channel for template in templates],
        }
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")  # the rows keep the rules as they are
        cursor.execute("SET LOCAL maintenance_work_mem = '1GB'; SET LOCAL work_mem = '256MB'")
        with _without_indexes(cursor):
            for name, statement in _steps(follow_ups, past, days):
                cursor.execute(statement, numbers)
                say(f"  {time.monotonic() - started:6.0f} s  {cursor.rowcount:>11,} {name}")
        for table in ("accounts_user", "follow_up_events", "credit_accounts"):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    say(f"  {time.monotonic() - started:6.0f} s  {follow_ups:,} follow-ups lie there")


def _templates() -> Sequence[FollowUpTemplate]:
    """One a place in `CHANNELS`."""
    return [
        save_template(
            fields={
                "name": f"History {number}",
                "channel": channel,
                "subject": "How is your spiritual journey progressing?",
                "content": "Dear {{user_name}}, guidance needs a little time to take root.",
                "tamil_content": "அன்புள்ள {{user_name}}, வழிகாட்டுதல் வேரூன்றச் சிறிது காலம் தேவை.",
                "credits_cost": 5,
            }
        )[0]
        for number, channel in enumerate(CHANNELS)
    ]


_CONSTRAINTS = """
    SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid), contype
      FROM pg_constraint
     WHERE contype IN ('p', 'u', 'f') AND conparentid = 0
       AND (conrelid = ANY(%(tables)s::regclass[])
            OR contype = 'f' AND confrelid = ANY(%(tables)s::regclass[]))
     ORDER BY contype DESC
"""
_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
      FROM pg_index WHERE indrelid = ANY(%(tables)s::regclass[])
"""


@contextmanager
def _without_indexes(cursor: Any) -> Iterator[None]:
    """The tables without indexes and keys while they fill; built in one go they take a tenth of the time."""
    tables = {"tables": list(TABLES)}
    cursor.execute(_CONSTRAINTS, tables)
    constraints = sorted(cursor.fetchall(), key=lambda row: "fup".index(row[3]))
    for table, name, _, _ in constraints:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    cursor.execute(_INDEXES, tables)
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)
    for table, name, definition, kind in reversed(constraints):
        # Keys hold by the way the rows are made: not looked up again, and in force for what comes.
        is_new = " NOT VALID" if kind == "f" else ""
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}{is_new}")


if __name__ == "__main__":
    rows, *span = (int(word) for word in sys.argv[1:])
    fill(rows, days=span[0] if span else DAYS)
