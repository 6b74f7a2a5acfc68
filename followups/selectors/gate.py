"""All that the gate looks at, for any number of follow-ups in a handful of statements."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS

from followups.addresses import hash_address
from followups.channels import get_channel
from followups.channels.base import Channel, Intent
from followups.choices import Origin
from followups.gate import Facts
from followups.models import RecipientPreference, TemplateVersion
from followups.selectors.recipients import NO_PREFERENCE, Reachability, last_inbound_at, reach, suppressions
from followups.selectors.settings import effective_settings
from jyotiflow.accounts.models import User
from jyotiflow.postgresql.prepared import prepared_cursor
from sessions_app.models import Session

_READ: Final = """
    SELECT follow_up.id, follow_up.channel, follow_up.origin, follow_up.language, follow_up.scheduled_at,
           follow_up.expires_at, follow_up.custom_variables, follow_up.template_version_id,
           template.template_type,
           reader.id, reader.email, reader.name, reader.phone, reader.timezone, reader.is_active,
           session.id, session.service_type, session.guidance_summary, session.completed_at,
           wish.channels_off, wish.quiet_start, wish.quiet_end, wish.paused_until,
           COALESCE(switch.is_paused, false),
           CASE WHEN follow_up.provider = '' THEN 0 ELSE (  -- which the first attempt has written there
                SELECT count(*) FROM ONLY follow_up_attempts AS attempt
                 WHERE attempt.follow_up_id = follow_up.id) END,
           clock_timestamp()
      FROM ONLY follow_up_schedules AS follow_up
      JOIN follow_up_templates AS template ON template.id = follow_up.template_id
      JOIN accounts_user AS reader ON reader.id = follow_up.user_id
      LEFT JOIN sessions AS session ON session.id = follow_up.session_id
      LEFT JOIN follow_up_preferences AS wish ON wish.user_id = follow_up.user_id
      LEFT JOIN follow_up_channel_switches AS switch ON switch.channel = follow_up.channel
     WHERE follow_up.id = ANY(%s)
"""
# In the models' own order. Made of these alone, as the ORM would, a row takes a third of the time.
_READER: Final = ("id", "email", "name", "timezone", "phone", "is_active")
_SESSION: Final = ("id", "service_type", "guidance_summary", "completed_at")


class _Row(NamedTuple):
    follow_up_id: UUID
    channel: str
    origin: str
    language: str
    scheduled_at: datetime
    expires_at: datetime
    custom_variables: str
    version_id: Any
    template_type: str
    user_id: int
    email: str
    name: str
    phone: str
    timezone: str
    is_active: bool
    session_id: str | None
    service_type: str
    guidance_summary: str
    completed_at: datetime | None
    channels_off: str | None
    quiet_start: time | None
    quiet_end: time | None
    paused_until: datetime | None
    channel_is_paused: bool
    attempts: int
    moment: datetime


@dataclass(frozen=True)
class AtGate:
    """One follow-up before the point of no return: what it is, and what speaks for and against sending it."""

    follow_up_id: UUID
    user: User
    session: Session | None
    version: TemplateVersion
    language: str
    custom_variables: dict[str, str]
    channel: Channel
    reach: Reachability
    facts: Facts
    attempts: int  # made before


def read_at_gate(follow_up_ids: Sequence[UUID]) -> list[AtGate]:
    """Read follow-ups whose rows the caller has locked: what was committed before the locks is seen."""
    with prepared_cursor() as cursor:
        cursor.execute(_READ, [list(follow_up_ids)])
        rows = [_Row(*row) for row in cursor.fetchall()]
    quiet_hours = effective_settings().quiet_hours
    readers = [_reader(row) for row in rows]
    hashes = [_hashes(row, reader) for row, reader in zip(rows, readers, strict=True)]
    places = {(row.channel, key) for row, keys in zip(rows, hashes, strict=True) for key in keys}
    suppressed = _suppressed(places)
    return [
        _at_gate(row, reader, keys, suppressed, quiet_hours)
        for row, reader, keys in zip(rows, readers, hashes, strict=True)
    ]


@lru_cache(maxsize=1_024)
def version_of(version_id: Any) -> TemplateVersion:
    """One version of a template. It never changes, so it's read once a process."""
    return TemplateVersion.objects.get(pk=version_id)


def _reader(row: _Row) -> User:
    values = (row.user_id, row.email, row.name, row.timezone, row.phone, row.is_active)
    return User.from_db(DEFAULT_DB_ALIAS, _READER, values)


def _session(row: _Row) -> Session | None:
    if row.session_id is None:
        return None
    values = (row.session_id, row.service_type, row.guidance_summary, row.completed_at)
    return Session.from_db(DEFAULT_DB_ALIAS, _SESSION, values)


def _hashes(row: _Row, reader: User) -> dict[str, str]:
    return {hash_address(address): address for address in get_channel(row.channel).addresses(reader)}


def _suppressed(places: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return places & suppressions(key for _, key in places)


def _at_gate(
    row: _Row,
    reader: User,
    hashes: dict[str, str],
    suppressed: set[tuple[str, str]],
    quiet_hours: tuple[time, time],
) -> AtGate:
    channel = get_channel(row.channel)
    wish = NO_PREFERENCE
    if row.channels_off is not None:
        wish = RecipientPreference(
            channels_off=json.loads(row.channels_off),
            quiet_start=row.quiet_start,
            quiet_end=row.quiet_end,
            paused_until=row.paused_until,
        )
    reached = reach(
        channel=channel,
        hashes=hashes,
        suppressed={key for name, key in suppressed if name == row.channel},
        preference=wish,
        last_inbound_at=last_inbound_at(row.channel, hashes) if channel.has_reply_window else None,
    )
    version = version_of(row.version_id)
    moment = row.moment.astimezone(UTC)
    intent = Intent(
        version=version,
        template_type=row.template_type,
        language=row.language,
        to=next(iter(reached.addresses or reached.known), ""),
        moment=moment,
        last_inbound_at=reached.last_inbound_at,
    )
    facts = Facts(
        now=moment,
        scheduled_at=row.scheduled_at,
        expires_at=row.expires_at,
        origin=Origin(row.origin),
        zone=reader.zone,
        default_quiet=quiet_hours,
        own_quiet=wish.quiet_hours,
        paused_until=wish.paused_until,
        channel_is_paused=row.channel_is_paused,
        user_is_active=row.is_active,
        has_opted_out=reached.has_opted_out,
        is_suppressed=reached.is_suppressed,
        is_reachable=bool(reached.addresses),
        objection=reached.fault or channel.objection(intent),
        closed=channel.closed_hours(intent),
    )
    return AtGate(
        follow_up_id=row.follow_up_id,
        user=reader,
        session=_session(row),
        version=version,
        language=row.language,
        custom_variables=json.loads(row.custom_variables),
        channel=channel,
        reach=reached,
        facts=facts,
        attempts=row.attempts,
    )
