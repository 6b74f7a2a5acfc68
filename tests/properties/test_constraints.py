"""Each rule of the database alone, by plain SQL: the services' own care would hide a rule that is gone."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.utils.timezone import now

from credits.services import grant
from followups.models import (
    Attempt,
    Audience,
    BulkChange,
    BulkItem,
    ChannelSwitch,
    ConsentEvent,
    Device,
    DirectMessage,
    Erasure,
    FollowUpAnalytics,
    FollowUpSchedule,
    IdempotentAnswer,
    InAppMessage,
    InboundMessage,
    ProviderEvent,
    RecipientPreference,
    SandboxMessage,
    SessionPlan,
    Suppression,
)
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import MachineKey
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db


def put(table: str, **changes: object) -> str:
    """SQL that sets columns of the table's newest row; a value is SQL."""
    return f"UPDATE {table} SET " + ", ".join(f"{name} = {value}" for name, value in changes.items())


def copy(table: str, **changes: object) -> str:
    """SQL that adds a copy of a row of the table, with an id of its own and these columns (JSON) changed."""
    fresh = (
        "CASE WHEN to_jsonb(t)->>'id' ~ '^[0-9]+$' THEN to_jsonb(999999) ELSE to_jsonb(gen_random_uuid()) END"
    )
    changed = json.dumps(changes).replace("'", "''")
    return (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t,"
        f" jsonb_build_object('id', {fresh}) || '{changed}'::jsonb)).* FROM {table} t LIMIT 1"
    )


OUR_APPS = ("accounts", "auditing", "credits", "sessions_app", "followups")
FOLLOW_UP, ATTEMPT = "follow_up_schedules", "follow_up_attempts"
DIRECT = "follow_up_direct_messages"
BULK, ITEM = "follow_up_bulk_changes", "follow_up_bulk_items"
ENTRY, CONSENT = "credit_entries", "follow_up_consent_events"
LONG_AGO = "2020-01-01T00:00:00Z"
WITHDRAWN = {"status": "'cancelled'", "cancelled_at": "now()", "refunded_at": "now()"}

# The name of each rule, and SQL that breaks that rule and no other.
BREAKS: dict[str, list[str]] = {
    "user_email_unique_any_case": [copy("accounts_user", email="PERSON@example.test")],
    "user_email_not_empty": [put("accounts_user", email="''")],
    "user_erased_has_no_personal_data": [put("accounts_user", erased_at="now()")],
    "accounts_user.email": [copy("accounts_user")],
    "accounts_machinekey.name": [copy("accounts_machinekey", key_hash="other")],
    "accounts_machinekey.key_hash": [copy("accounts_machinekey", name="other")],
    "credit_balance_not_negative": [put("credit_accounts", balance=-1)],
    "credit_accounts.user_id": [copy("credit_accounts")],
    "credit_entry_sign_follows_kind": [
        copy(ENTRY, kind="grant", amount=0, reason="why", idempotency_key="k"),
        copy(ENTRY, kind="charge", amount=1, idempotency_key="k"),
        copy(ENTRY, kind="adjustment", amount=0, reason="why", idempotency_key="k"),
        copy(ENTRY, kind="gift", amount=1, idempotency_key="k"),
    ],
    "credit_entry_refund_names_its_charge": [copy(ENTRY, kind="refund", amount=1, idempotency_key="k")],
    "credit_entry_by_hand_has_reason": [
        copy(ENTRY, kind="grant", amount=1, reason="", idempotency_key="k"),
        copy(ENTRY, kind="adjustment", amount=-1, reason="", idempotency_key="k"),
    ],
    "credit_entries.idempotency_key": [copy(ENTRY, kind="grant", amount=1, reason="why")],
    "credit_entries.refunded_entry_id": [
        f"INSERT INTO {ENTRY} SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(),"
        " 'kind', 'refund', 'amount', 0, 'idempotency_key', 'refund ' || n, 'refunded_entry_id', t.id))).*"
        f" FROM (SELECT id FROM {ENTRY} LIMIT 1) e CROSS JOIN generate_series(1, 2) n"
        f" JOIN {ENTRY} t ON t.id = e.id"
    ],
    "credit_entry_append_only": [put(ENTRY, amount=7), put(ENTRY, reason="'x'"), f"DELETE FROM {ENTRY}"],
    "audit_append_only": [put("audit_entries", label="'x'"), "DELETE FROM audit_entries"],
    "session_status_known": [put("sessions", status="'paused'", completed_at="NULL")],
    "session_completed_at_iff_completed": [
        put("sessions", completed_at="NULL"),
        put("sessions", status="'open'"),
    ],
    "session_follow_up_count_not_negative": [put("sessions", follow_up_count=-1)],
    "session_id_not_empty": ["UPDATE sessions SET id = '' WHERE follow_up_count = 0"],
    "template_price_not_negative": [put("follow_up_templates", credits_cost=-1)],
    "template_archived_is_inactive": [put("follow_up_templates", archived_at="now()")],
    "follow_up_templates.key": [copy("follow_up_templates")],
    "template_version_number_unique": [copy("follow_up_template_versions")],
    "template_version_immutable": [
        put("follow_up_template_versions", content="'x'"),
        put("follow_up_template_versions", tamil_subject="'x'"),
        put("follow_up_template_versions", number=9),
    ],
    "bulk_change_action_known": [put(BULK, action="'erase'")],
    "bulk_change_state_known": [put(BULK, state="'lost'")],
    "bulk_change_moves_one_way": [
        put(BULK, action="'move'"),
        put(BULK, action="'move'", move_to="now()", move_by_hours=1),
        put(BULK, move_by_hours=1),
    ],
    "bulk_change_runs_once_confirmed": [put(BULK, state="'running'"), put(BULK, state="'finished'")],
    "bulk_item_number_unique": [copy(ITEM, file_key="")],
    "bulk_item_file_row_booked_once": [copy(ITEM, number=2)],
    "bulk_item_state_known": [put(ITEM, state="'lost'", done_at="NULL")],
    "bulk_item_code_iff_refused": [
        put(ITEM, state="'refused'", done_at="NULL"),
        put(ITEM, code="'why'"),
    ],
    "bulk_item_done_at_iff_done": [put(ITEM, state="'new'"), put(ITEM, done_at="NULL")],
    "direct_message_kind_known": [put(DIRECT, kind="'joke'")],
    "direct_message_state_known": [put(DIRECT, state="'lost'", finished_at="now()", **{'"to"': "''"})],
    "direct_message_finished_at_iff_final": [
        put(DIRECT, finished_at="now()"),
        put(DIRECT, state="'sent'", **{'"to"': "''"}),
    ],
    "direct_message_forgets_its_address": [put(DIRECT, state="'sent'", finished_at="now()")],
    "analytics_one_row_per_day_template_channel_language": [copy("follow_up_analytics")],
    "analytics_no_rate_above_one": [put("follow_up_analytics", total_delivered="total_sent + 1")],
    "audience_one_row_per_span_template_channel_language": [copy("follow_up_audiences")],
    "follow_up_automatic_once_per_session_template": [
        f"UPDATE {FOLLOW_UP} SET origin = 'automatic'; " + copy(FOLLOW_UP)
    ],
    "follow_up_status_known": [put(FOLLOW_UP, status="'lost'")],
    "follow_up_origin_known": [put(FOLLOW_UP, origin="'chance'")],
    "follow_up_charge_not_negative": [put(FOLLOW_UP, credits_charged=-1)],
    "follow_up_refund_within_charge": [
        put(FOLLOW_UP, credits_refunded=amount, **WITHDRAWN) for amount in (-1, 6)
    ],
    "follow_up_refund_only_when_withdrawn": [
        put(FOLLOW_UP, credits_refunded=1, refunded_at="now()"),
        put(FOLLOW_UP, credits_refunded=1, **{**WITHDRAWN, "refunded_at": "NULL"}),
    ],
    "follow_up_leased_iff_sending": [
        put(FOLLOW_UP, status="'sending'"),
        put(FOLLOW_UP, status="'sending'", claim_token="gen_random_uuid()"),
        put(FOLLOW_UP, status="'sending'", lease_until="now()"),
        put(FOLLOW_UP, lease_until="now()"),
        put(FOLLOW_UP, claim_token="gen_random_uuid()"),
    ],
    "follow_up_sent_has_time": [put(FOLLOW_UP, status="'sent'")],
    "follow_up_unsent_has_no_sent_time": [
        put(FOLLOW_UP, sent_at="now()"),
        put(FOLLOW_UP, sent_at="now()", status="'cancelled'", cancelled_at="now()"),
    ],
    "follow_up_delivered_has_time": [put(FOLLOW_UP, status="'delivered'", sent_at="now()")],
    "follow_up_read_has_times": [
        put(FOLLOW_UP, status="'read'", sent_at="now()", read_at="now()"),
        put(FOLLOW_UP, status="'read'", sent_at="now()", delivered_at="now()"),
    ],
    "follow_up_failed_has_time_and_reason": [
        put(FOLLOW_UP, status="'failed'", failure_reason="'why'"),
        put(FOLLOW_UP, status="'failed'", failed_at="now()"),
    ],
    "follow_up_cancelled_at_iff_cancelled": [
        put(FOLLOW_UP, status="'cancelled'"),
        put(FOLLOW_UP, cancelled_at="now()"),
    ],
    "follow_up_retried_once": [f"UPDATE {FOLLOW_UP} SET retry_of_id = id; " + copy(FOLLOW_UP)],
    "follow_up_plans.session_id": [copy("follow_up_plans")],
    "attempt_number_unique": [copy(ATTEMPT, state="absent", finished_at=LONG_AGO)],
    "attempt_one_open_per_follow_up": [
        copy(ATTEMPT, number=2),
        copy(ATTEMPT, number=2, state="in_doubt"),
    ],
    "attempt_message_has_one_owner": [
        f"UPDATE {ATTEMPT} SET state = 'accepted', finished_at = now(), provider_message_id = 'm'; "
        + copy(ATTEMPT, number=2)
    ],
    "attempt_finished_at_iff_final": [put(ATTEMPT, finished_at="now()"), put(ATTEMPT, state="'accepted'")],
    "event_stored_once": [copy("follow_up_events")],
    "idempotency_key_once_per_user": [copy("follow_up_idempotent_answers")],
    "preference_quiet_hours_both_or_none": [
        put("follow_up_preferences", quiet_start="'21:00'"),
        put("follow_up_preferences", quiet_end="'21:00'"),
    ],
    "erasures.user_id": [copy("erasures")],
    "follow_up_preferences.user_id": [copy("follow_up_preferences")],
    "suppression_once_per_address": [copy("follow_up_suppressions")],
    "consent_kind_known": [copy(CONSENT, kind="maybe")],
    "consent_door_known": [copy(CONSENT, door="window")],
    "consent_append_only": [put(CONSENT, wording="'x'"), put(CONSENT, kind="kind"), f"DELETE FROM {CONSENT}"],
    "consent_keeps_its_user": [put(CONSENT, user_id="user_id")],
    "follow_up_inbound.message_id": [copy("follow_up_inbound")],
    "follow_up_channel_switches.channel": [copy("follow_up_channel_switches")],
    "follow_up_devices.token": [copy("follow_up_devices")],
    "follow_up_in_app_messages.follow_up_id": [copy("follow_up_in_app_messages")],
    "follow_up_sandbox_outbox.follow_up_id": [copy("follow_up_sandbox_outbox")],
    "follow_up_settings.setting_key": [copy("follow_up_settings")],
}

SAYS = {  # what a trigger says instead of its name
    "credit_entry_append_only": "Cannot update or delete rows from credit_entries",
    "audit_append_only": "Cannot update or delete rows from audit_entries",
    "template_version_immutable": "Cannot update of .* rows from follow_up_template_versions",
    "consent_append_only": "Cannot .* rows from follow_up_consent_events",
    "consent_keeps_its_user": "Cannot update .*user_id.* rows from follow_up_consent_events",
}


def rules_of_the_models() -> set[str]:
    """Every constraint and trigger by its name, every unique column as ``table.column``."""
    found: set[str] = set()
    for model in (model for app in OUR_APPS for model in apps.get_app_config(app).get_models()):
        if not model.__name__.startswith("Historical"):
            meta = model._meta
            found |= {rule.name for rule in (*meta.constraints, *getattr(meta, "triggers", ()))}
            unique = [field for field in meta.concrete_fields if field.unique and not field.primary_key]
            found |= {f"{meta.db_table}.{field.column}" for field in unique}
    return found


def test_no_rule_of_the_database_is_without_a_test_that_breaks_it() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    untested = {rule for rule in rules_of_the_models() if rule not in tests}
    assert untested == set(), "add the SQL that breaks each to BREAKS, and see the database refuse"
    assert not set(BREAKS) - rules_of_the_models(), "these are gone"


@pytest.fixture
def _rows(make_template: Any) -> None:
    """One valid row in each table."""
    user = UserFactory(email="person@example.test")
    grant(user=user, amount=100, reason="test", key="test")
    session = SessionFactory(user=user, completed=True)
    Session.objects.create(id="empty", user=user, service_type="any")
    template = make_template(credits_cost=0)
    type(template).objects.update(key="starter")
    follow_up = schedule_follow_up(user=user, template_id=template.pk, session_id=session.pk)
    FollowUpSchedule.objects.update(credits_charged=5)
    attempt = Attempt.objects.create(follow_up=follow_up, number=1, provider="test", to_hash="", body_hash="")
    ProviderEvent.objects.create(provider="test", event_key="1", attempt=attempt, kind="delivered")
    SessionPlan.objects.create(session=session)
    RecipientPreference.objects.create(user=user)
    Suppression.objects.create(channel="email", address_hash="", reason="invalid")
    Device.objects.create(user=user, token="t", platform="ios")
    InAppMessage.objects.create(follow_up=follow_up, user=user, subject="", body="", language="en")
    SandboxMessage.objects.create(
        follow_up_id=follow_up.pk, attempt_id=attempt.pk, channel="email", to="", language="en", body=""
    )
    IdempotentAnswer.objects.create(user=user, key="k", request_hash="")
    change = BulkChange.objects.create(actor=user, action="book")
    BulkItem.objects.create(change=change, number=1, file_key="f:1", state="done", done_at=now())
    FollowUpAnalytics.objects.create(date=now().date(), template=template, channel="in_app")
    Audience.objects.create(last_on=now().date(), template=template, recipients=b"", readers=b"")
    Erasure.objects.create(user=user)
    ConsentEvent.objects.create(kind="opt_out", channel="email", door="link", user=user)
    InboundMessage.objects.create(message_id="m", channel="sms", address_hash="", kind="stop")
    ChannelSwitch.objects.create(channel="email")
    DirectMessage.objects.create(kind="test", channel="email", to="a", to_hash="", language="en", body="")
    MachineKey.objects.create(name="caller", key_hash="h", scope="sessions:complete")


@pytest.mark.usefixtures("_rows")
def test_the_database_itself_refuses_what_breaks_a_rule() -> None:
    for rule, statements in BREAKS.items():
        for statement in statements:
            refused = pytest.raises(DatabaseError, match=SAYS.get(rule, rule.rpartition(".")[2]))
            with refused, transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)


@pytest.mark.usefixtures("_rows")
def test_a_session_counts_its_live_follow_ups_whoever_changes_them() -> None:
    """The work of the triggers ``follow_up_counts_in_session`` and ``follow_up_keeps_session_counts``."""
    session = Session.objects.get(follow_up_count=1)
    for status, count, sent in [("cancelled", 0, False), ("pending", 1, False), ("sent", 1, True)]:
        times = {"cancelled_at": now() if status == "cancelled" else None}
        times["sent_at"] = now() if status == "sent" else None
        FollowUpSchedule.objects.update(status=status, **times)
        session.refresh_from_db()
        assert (session.follow_up_count, session.follow_up_sent) == (count, sent)
