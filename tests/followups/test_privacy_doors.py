"""The ways to ask for an export or an erasure: API, admin, commands."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.selectors import balance_of
from followups.models import Erasure, FollowUpSchedule
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import ensure_staff_groups, sign_in
from tests.factories import PASSWORD, UserFactory
from tests.jyotiflow.test_tokens import platform_token

pytestmark = pytest.mark.django_db

EXPORT, ERASE = "/api/followup/privacy/export", "/api/followup/privacy/erase"
USERS = reverse("admin:accounts_user_changelist")


@pytest.fixture
def waiting(rich_user: User, make_template: Any) -> FollowUpSchedule:
    """A follow-up for 5 credits that is due tomorrow."""
    template = make_template(channel="email")
    return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now() + timedelta(days=1))


def signed_in(user: User, token: str = "") -> APIClient:
    client = APIClient()
    token = token or sign_in(email=user.email, password=PASSWORD).tokens.access_token
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def is_erased(user: User) -> bool:
    return User.objects.get(pk=user.pk).erased_at is not None


def test_one_exports_one_s_own_data_and_nobody_else_s(rich_user: User, waiting: FollowUpSchedule) -> None:
    stranger = UserFactory()
    answer = signed_in(rich_user).get(EXPORT)
    assert answer.status_code == 200
    assert answer.json()["data"]["follow_ups"][0]["id"] == str(waiting.pk)
    assert signed_in(stranger).get(EXPORT).json()["data"]["follow_ups"] == []
    assert APIClient().get(EXPORT).status_code == 401


def test_one_is_erased_by_one_s_password(rich_user: User, waiting: FollowUpSchedule) -> None:
    client = signed_in(rich_user)
    answer = client.post(ERASE, {"password": PASSWORD}, format="json")
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "message": "Your account is closed and your data is erased.",
        "followups_cancelled": 1,
        "credits_refunded": 5,
        "finished": True,
    }
    assert is_erased(rich_user)
    assert balance_of(rich_user) == 100
    assert Erasure.objects.get().actor == rich_user
    assert client.get(EXPORT).status_code == 401


def test_who_signs_in_through_the_platform_confirms_by_email(rich_user: User) -> None:
    client = signed_in(rich_user, platform_token(email=rich_user.email))
    refused = client.post(ERASE, {"password": PASSWORD}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["confirm"])
    wrong = client.post(ERASE, {"confirm": "somebody@example.test"}, format="json")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_confirmation")
    assert not is_erased(rich_user)
    assert client.post(ERASE, {"confirm": f" {rich_user.email.upper()}"}, format="json").status_code == 200
    assert is_erased(rich_user)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"password": "wrong"}, 403, "wrong_password"),
        ({"confirm": "user@example.test"}, 400, "invalid"),
        ({"password": PASSWORD, "user_id": 1}, 400, "invalid"),
        ({"password": ["x"]}, 400, "invalid"),
        ({"password": "x" * 2000}, 400, "invalid"),
    ],
)
def test_without_proof_nothing_is_erased(
    rich_user: User, waiting: FollowUpSchedule, body: Any, status: int, code: str
) -> None:
    answer = signed_in(rich_user).post(ERASE, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not is_erased(rich_user)
    waiting.refresh_from_db()
    assert waiting.status == "pending"


def test_passwords_can_t_be_guessed_through_the_erasure(rich_user: User) -> None:
    client = signed_in(rich_user)
    codes = [client.post(ERASE, {"password": f"{n}"}, format="json").status_code for n in range(61)]
    assert codes == [403] * 60 + [429]


def test_staff_can_t_erase_themselves(staff: User) -> None:
    answer = signed_in(staff).post(ERASE, {"password": PASSWORD}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "is_staff")
    assert not is_erased(staff)


# --- Admin -------------------------------------------------------------------------------------------------


def act(site: Client, action: str, *people: User, **fields: str) -> Any:
    form = {"action": action, "_selected_action": [person.pk for person in people], **fields}
    return site.post(USERS, form)


def test_the_admin_downloads_a_person_s_data_and_the_log_doesn_t_name_them(
    admin_site: Client, rich_user: User, waiting: FollowUpSchedule
) -> None:
    answer = act(admin_site, "export_selected", rich_user)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="user-{rich_user.pk}.json"'
    assert json.loads(answer.content)["profile"]["email"] == rich_user.email
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.change_message) == (
        f"user {rich_user.pk}",
        "Exported the personal data.",
    )


def test_a_file_holds_one_person_s_data(admin_site: Client, rich_user: User, user: User) -> None:
    answer = act(admin_site, "export_selected", rich_user, UserFactory())
    assert answer.status_code == 302
    assert not LogEntry.objects.exists()


def test_the_admin_is_asked_and_told_before_anybody_is_erased(
    admin_site: Client, admin: User, rich_user: User, waiting: FollowUpSchedule
) -> None:
    page = act(admin_site, "erase_selected", rich_user)
    text = page.content.decode()
    assert f"{rich_user.email}</td><td>1</td><td>5</td><td>0</td>" in text
    assert not is_erased(rich_user)
    assert act(admin_site, "erase_selected", rich_user, confirmed="yes").status_code == 302
    assert is_erased(rich_user)
    assert balance_of(rich_user) == 100
    assert Erasure.objects.get().actor == admin
    entry = LogEntry.objects.get()
    assert entry.object_repr == f"user {rich_user.pk}"
    assert entry.change_message == "Erased: 1 follow-ups cancelled, 5 credits given back."
    form = reverse("admin:accounts_user_change", args=[rich_user.pk])
    assert admin_site.get(form).status_code == 200
    assert admin_site.post(form, {"email": "back@example.test"}).status_code == 403


def test_staff_stay_when_the_admin_selects_them(admin_site: Client, staff: User) -> None:
    page = act(admin_site, "erase_selected", staff)
    assert "their rights are taken away" in page.content.decode()
    act(admin_site, "erase_selected", staff, confirmed="yes")
    assert not is_erased(staff)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("action", "permission"),
    [("export_selected", "export_personal_data"), ("erase_selected", "erase_person")],
)
def test_each_action_needs_its_own_permission(
    client: Client, staff: User, rich_user: User, action: str, permission: str
) -> None:
    others = Permission.objects.filter(content_type__app_label="accounts").exclude(codename=permission)
    staff.user_permissions.set(others)
    client.force_login(staff)
    refused = act(client, action, rich_user, confirmed="yes")
    assert refused.status_code == 302  # no such action for them
    assert not is_erased(rich_user)
    assert not LogEntry.objects.exists()
    staff.user_permissions.add(Permission.objects.get(codename=permission))
    act(client, action, rich_user, confirmed="yes")
    assert LogEntry.objects.count() == 1


def test_the_privacy_group_may_do_both(client: Client, staff: User, rich_user: User) -> None:
    staff.groups.set([group for group in ensure_staff_groups() if group.name == "Privacy"])
    client.force_login(staff)
    assert act(client, "export_selected", rich_user).status_code == 200
    act(client, "erase_selected", rich_user, confirmed="yes")
    assert is_erased(rich_user)
    assert client.get(reverse("admin:followups_erasure_changelist")).status_code == 200


def test_what_is_done_to_users_is_logged_without_their_address(admin_site: Client, user: User) -> None:
    add = {"email": "fresh@example.test", "name": "F", "usable_password": "false"}
    admin_site.post(reverse("admin:accounts_user_add"), add)
    fresh = User.objects.get(email="fresh@example.test")
    admin_site.post(reverse("admin:accounts_user_delete", args=[fresh.pk]), {"post": "yes"})
    assert not User.objects.filter(pk=fresh.pk).exists()
    assert list(LogEntry.objects.values_list("object_repr", flat=True)) == [f"user {fresh.pk}"] * 2


# --- Commands ----------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_the_command_exports_by_id_by_email_and_from_standard_input(
    rich_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{rich_user.email}\n"))
    for name in (str(rich_user.pk), rich_user.email.upper(), "-"):
        assert json.loads(run("export_person", name))["profile"]["phone"] == rich_user.phone


def test_the_command_erases_only_when_told_twice(rich_user: User, waiting: FollowUpSchedule) -> None:
    would = run("erase_person", rich_user.email)
    assert "1 follow-ups would be cancelled and 5 credits given back" in would
    assert not is_erased(rich_user)
    done = run("erase_person", rich_user.email, "--yes")
    assert "1 follow-ups cancelled, 5 credits given back" in done
    assert rich_user.email not in would + done
    assert is_erased(rich_user)


def test_the_command_doesn_t_repeat_an_address_it_doesn_t_know() -> None:
    with pytest.raises(CommandError) as refused:
        run("erase_person", "nobody@example.test", "--yes")
    assert "nobody" not in str(refused.value)


def test_the_command_refuses_staff(staff: User) -> None:
    with pytest.raises(CommandError, match="staff"):
        run("erase_person", str(staff.pk), "--yes")
