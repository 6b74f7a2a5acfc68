"""Whatever staff change leaves one entry with who, what, before and after, by every door."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from rest_framework.test import APIClient

from credits.services import adjust, charge, grant
from followups.models import ErrorRule, FollowUpSchedule, RecipientPreference, Suppression
from followups.services.privacy import erase_person
from followups.services.rescheduling import reschedule_follow_up
from followups.services.settings import update_settings
from followups.services.switching import ensure_switches, switch_channel
from followups.services.templates import save_template
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.auditing.diffs import compare
from jyotiflow.auditing.models import Action, AuditEntry
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import InvalidInput
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/auditing/auditentry/"


def the_entry(**conditions: Any) -> AuditEntry:
    return AuditEntry.objects.get(**conditions)


@pytest.fixture
def admin_api(admin: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin)
    return client


# --- Every change, once ------------------------------------------------------------------------------------


def test_a_price_changed_by_either_door_leaves_the_same_entry(
    make_template: Any, admin: User, admin_site: Client, admin_api: APIClient
) -> None:
    template = make_template()
    answer: Any = admin_api.put(
        f"/api/followup/admin/templates/{template.pk}", {"credits_cost": 7}, format="json"
    )
    assert answer.status_code == 200
    entry = the_entry(action=Action.CHANGED)
    assert (entry.actor, entry.kind, entry.object_id, entry.label) == (
        admin,
        "followups.followuptemplate",
        str(template.pk),
        "Check-in",
    )
    assert (entry.before, entry.after) == ({"credits_cost": 5}, {"credits_cost": 7})
    page = f"/admin/followups/followuptemplate/{template.pk}/change/"
    form = admin_site.get(page).context["adminform"].form
    data = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {name: ", ".join(value) if isinstance(value, list) else value for name, value in data.items()}
    data |= {"credits_cost": "9", "versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}
    answer = admin_site.post(page, {name: value for name, value in data.items() if value is not None})
    assert answer.status_code == 302, answer.context["errors"]
    entry = AuditEntry.objects.filter(action=Action.CHANGED).latest("pk")
    assert (entry.actor, entry.before, entry.after) == (admin, {"credits_cost": 7}, {"credits_cost": 9})


def test_a_template_is_made_archived_restored_and_deleted(make_template: Any, admin: User) -> None:
    template = make_template()
    assert the_entry(action=Action.CREATED).after["content"] == "Dear {{user_name}}, how are you?"
    assert the_entry(action=Action.CREATED).actor is None
    save_template(template=template, fields={"is_active": False, "archived_at": now()}, actor=admin)
    save_template(template=template, fields={"is_active": True, "archived_at": None}, actor=admin)
    entry = the_entry(action=Action.RESTORED)
    assert set(entry.before) == {"is_active", "archived_at"}
    assert entry.after == {"is_active": True, "archived_at": None}


def test_what_changes_nothing_leaves_no_entry(make_template: Any, admin: User) -> None:
    template = make_template()
    save_template(template=template, fields={"credits_cost": 5}, actor=admin)
    update_settings(changes={"max_followups_per_session": 3}, actor=admin)
    assert not AuditEntry.objects.filter(action=Action.CHANGED).exists()


def test_settings_leave_an_entry_each(admin: User, admin_api: APIClient) -> None:
    changes = {"max_followups_per_session": 4, "refund_on_cancel": False, "min_interval_hours": 24}
    assert admin_api.put("/api/followup/admin/settings", changes, format="json").status_code == 200
    entries = {entry.label: (entry.before, entry.after, entry.actor) for entry in AuditEntry.objects.all()}
    assert entries == {
        "max_followups_per_session": ({"value": "3"}, {"value": "4"}, admin),
        "refund_on_cancel": ({"value": "true"}, {"value": "false"}, admin),
    }


def test_a_refused_change_leaves_no_entry(admin: User) -> None:
    with pytest.raises(InvalidInput):
        update_settings(changes={"refund_on_cancel": False, "min_interval_hours": -1}, actor=admin)
    assert not AuditEntry.objects.exists()


def test_credits_by_hand_leave_an_entry_and_a_repeat_none(admin: User, user: User) -> None:
    for _ in range(2):
        grant(user=user, amount=10, reason="sorry", key="k", actor=admin)
    entry = the_entry()
    assert (entry.action, entry.label) == (Action.GRANTED, f"user {user.pk}")
    assert entry.before == {"balance": 0}
    assert entry.after == {"balance": 10, "credits": 10, "reason": "sorry"}
    adjust(user=user, amount=-3, reason="counted wrong", key="k2", actor=admin)
    assert the_entry(action=Action.ADJUSTED).after["balance"] == 7
    charge(user=user, amount=5, key="k3")  # what the product does by itself is in the ledger
    grant(user=user, amount=1, reason="demo", key="k4")
    assert AuditEntry.objects.count() == 2


def test_cancelling_retrying_and_moving_by_staff(
    follow_up: FollowUpSchedule, admin: User, admin_api: APIClient
) -> None:
    reschedule_follow_up(
        follow_up_id=follow_up.pk, scheduled_at=follow_up.scheduled_at + timedelta(days=2), actor=admin
    )
    moved = the_entry(action=Action.RESCHEDULED)
    assert (moved.object_id, moved.label) == (str(follow_up.pk), "Check-in")
    assert moved.before["scheduled_at"] < moved.after["scheduled_at"]
    path = f"/api/followup/admin/schedules/{follow_up.pk}"
    assert admin_api.post(f"{path}/cancel").status_code == 200
    entry = the_entry(action=Action.CANCELLED)
    assert entry.actor == admin
    assert entry.after == {"status": "cancelled", "credits_refunded": 5}
    assert admin_api.post(f"{path}/cancel").status_code == 409
    assert AuditEntry.objects.filter(action=Action.CANCELLED).count() == 1


def test_a_retry_says_what_it_booked(follow_up: FollowUpSchedule, admin: User, admin_api: APIClient) -> None:
    FollowUpSchedule.objects.filter(pk=follow_up.pk).update(
        status="failed", failed_at=now(), failure_reason="lost"
    )
    path = f"/api/followup/admin/schedules/{follow_up.pk}/retry"
    assert admin_api.post(path).status_code == 200
    entry = the_entry(action=Action.RETRIED)
    assert (entry.actor, entry.after) == (admin, {"status": "pending"})


def test_what_a_reader_does_for_themselves_is_no_entry(follow_up: FollowUpSchedule) -> None:
    before = AuditEntry.objects.count()
    cancel_follow_up(follow_up_id=follow_up.pk, owner=follow_up.user)
    assert AuditEntry.objects.count() == before


def test_channels_paused_and_resumed(admin: User) -> None:
    ensure_switches()
    switch_channel(channel="sms", is_paused=True, actor=admin, reason="outage")
    switch_channel(channel="sms", is_paused=False, actor=admin)
    paused, resumed = AuditEntry.objects.order_by("pk")
    assert (paused.action, paused.label, paused.after) == (
        Action.PAUSED,
        "sms",
        {"is_paused": True, "reason": "outage"},
    )
    assert (resumed.action, resumed.before["reason"]) == (Action.RESUMED, "outage")


def test_a_deleted_error_rule_is_remembered(admin: User, admin_site: Client) -> None:
    rule = ErrorRule.objects.create(provider="twilio", phase="call", code="1", word="rejected", sentence="a")
    admin_site.post(
        f"/admin/followups/errorrule/{rule.pk}/delete/",
        {"post": "yes"},
    )
    entry = the_entry(action=Action.DELETED)
    assert (entry.actor, entry.before["code"]) == (admin, "1")


def test_wishes_and_addresses_changed_by_staff(admin: User, admin_site: Client, user: User) -> None:
    page = "/admin/followups/suppression/"
    data = {"email": user.email, "channel": "email", "reason": "by_staff", "source": f"{user.email} rang"}
    assert admin_site.post(f"{page}add/", data).status_code == 302
    stopped = the_entry(action=Action.STOPPED)
    assert (stopped.label, stopped.after) == ("email", {"reason": "by_staff"})
    row = Suppression.objects.get()
    admin_site.post(f"{page}{row.pk}/delete/", {"post": "yes", "note": "asked"})
    assert the_entry(action=Action.LIFTED).object_id == str(row.pk)
    wishes = {"user": user.pk, "channels_off": ["sms"]}
    assert admin_site.post("/admin/followups/recipientpreference/add/", wishes).status_code == 302
    entry = the_entry(action=Action.CHANGED)
    assert entry.object_id == str(RecipientPreference.objects.get().pk)
    assert (entry.before, entry.after) == ({"channels_off": []}, {"channels_off": ["sms"]})
    assert user.email not in str(list(AuditEntry.objects.values()))


def test_exports_and_erasures(
    follow_up: FollowUpSchedule, admin: User, admin_site: Client, rich_user: User
) -> None:
    chosen = {"action": "export_selected", "_selected_action": [str(follow_up.pk)]}
    admin_site.post("/admin/followups/followupschedule/", chosen)
    entry = the_entry(action=Action.EXPORTED)
    assert (entry.kind, entry.object_id, entry.after) == ("followups.followupschedule", "", {"rows": 1})
    admin_site.post("/admin/accounts/user/", {**chosen, "_selected_action": [str(rich_user.pk)]})
    assert AuditEntry.objects.latest("pk").label == f"user {rich_user.pk}"
    words = [rich_user.email, rich_user.name, rich_user.phone]
    for _ in range(2):
        erase_person(user=rich_user, actor=admin)
    assert the_entry(action=Action.ERASED).object_id == str(rich_user.pk)
    left = str(list(AuditEntry.objects.values()))
    assert not [word for word in words if word in left]


def test_rights_keys_and_periodic_tasks(admin: User, admin_site: Client, user: User) -> None:
    admin_site.post("/admin/accounts/machinekey/add/", {"name": "shop", "scope": "sessions:complete"})
    assert the_entry(action=Action.CREATED).after == {
        "name": "shop",
        "scope": "sessions:complete",
        "is_active": True,
    }
    assert MachineKey.objects.get().key_hash not in str(AuditEntry.objects.values())
    task = PeriodicTask.objects.create(
        name="tick", task="x", interval=IntervalSchedule.objects.create(every=1)
    )
    admin_site.post(
        "/admin/django_celery_beat/periodictask/",
        {"action": "disable_tasks", "_selected_action": [task.pk]},
    )
    entry = the_entry(action=Action.CHANGED)
    assert (entry.before, entry.after) == ({"enabled": True}, {"enabled": False})


def test_an_entry_goes_with_its_change(user: User, admin: User) -> None:
    def undone() -> None:
        with transaction.atomic():
            grant(user=user, amount=1, reason="why", key="k", actor=admin)
            assert AuditEntry.objects.count() == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        undone()
    assert not AuditEntry.objects.exists()


# --- Reading it --------------------------------------------------------------------------------------------


def test_the_list_shows_who_changed_what_into_what(
    make_template: Any, admin: User, admin_site: Client
) -> None:
    template = make_template()
    save_template(template=template, fields={"content": "Dear {{user_name}}, farewell."}, actor=admin)
    text = admin_site.get(f"{LIST}?action__exact=changed&actor={admin.pk}").content.decode()
    assert f'href="/admin/followups/followuptemplate/{template.pk}/change/"' in text
    assert "farewell" in text
    entry = the_entry(action=Action.CHANGED)
    detail = admin_site.get(f"{LIST}{entry.pk}/change/").content.decode()
    assert "<del> how are you?</del>" in detail
    assert "<ins> farewell.</ins>" in detail
    assert admin_site.get(f"{LIST}?kind=credits.creditentry").context["cl"].result_count == 0
    assert admin_site.get(f"{LIST}?actor=nobody").context["cl"].result_count == 1
    assert admin_site.get(f"{LIST}?q={template.pk}").context["cl"].result_count == 2


def test_nobody_edits_or_deletes_an_entry(user: User, admin: User, admin_site: Client) -> None:
    grant(user=user, amount=1, reason="why", key="k", actor=admin)
    entry = the_entry()
    for page in ("delete/", "change/"):
        assert admin_site.post(f"{LIST}{entry.pk}/{page}", {"post": "yes", "label": "x"}).status_code == 403
    assert admin_site.get(f"{LIST}add/").status_code == 403
    assert the_entry().label == entry.label


def test_it_is_exported_by_whoever_may(user: User, admin: User, admin_site: Client, client: Client) -> None:
    grant(user=user, amount=1, reason="=why", key="k", actor=admin)
    chosen = {"action": "export_selected", "_selected_action": [the_entry().pk]}
    answer: Any = admin_site.post(LIST, chosen)
    (row,) = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig")))
    assert (row["action"], row["actor__email"]) == ("granted", admin.email)
    reader = UserFactory(staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    client.force_login(reader)
    assert client.get(LIST).status_code == 200
    assert "export_selected" not in client.get(LIST).content.decode()


def test_the_list_asks_as_often_for_many_entries_as_for_few(admin_site: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(LIST).status_code == 200
        return len(captured)

    def add(count: int) -> None:
        for number in range(count):
            actor, template = UserFactory(staff=True), FollowUpSchedule
            record_change(action=Action.EXPORTED, of=template, actor=actor, after={"rows": number})

    add(2)
    queries()
    few = queries()
    add(20)
    assert queries() == few


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        ("a b c", "a x c", [" b"], [" x"]),
        ("", "all new", [], ["all new"]),
        ("அன்புள்ள நலமா?", "அன்புள்ள வணக்கம்", [" நலமா?"], [" வணக்கம்"]),
        ("same\n\nlines", "same\n\nlines", [], []),
    ],
)
def test_differences_are_whole_words(before: str, after: str, gone: list[str], new: list[str]) -> None:
    left, right = compare(before, after)
    assert "".join(piece.text for piece in left) == before
    assert "".join(piece.text for piece in right) == after
    assert [piece.text for piece in left if piece.differs] == gone
    assert [piece.text for piece in right if piece.differs] == new


def test_a_very_long_text_is_not_compared_word_by_word() -> None:
    left, right = compare("a " * 3_000, "b " * 3_000)
    assert len(left) == len(right) == 1
