import datetime as dt
from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from credits.services import grant
from jyotiflow.accounts.machines import HasScope, MachineKeyAuthentication
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.selectors import user_by_email
from jyotiflow.accounts.services import STAFF_GROUPS, create_machine_key, ensure_staff_groups
from jyotiflow.exceptions import Conflict
from tests.factories import PASSWORD, UserFactory

SCOPE = MachineKey.Scope.SESSIONS_COMPLETE


class MachineView(APIView):
    authentication_classes = [MachineKeyAuthentication]
    permission_classes = [HasScope(SCOPE)]

    def post(self, request: Request) -> Response:
        return Response({"who": str(request.user), "staff": request.user.is_staff})


def call(**headers: str) -> Response:
    return MachineView.as_view()(APIRequestFactory().post("/", headers=headers))


# --- Users -----------------------------------------------------------------------------------------------


def test_two_emails_that_differ_in_case_are_one(db):
    UserFactory(email="lakshmi@example.test")
    with pytest.raises(IntegrityError, match="user_email_unique_any_case"), transaction.atomic():
        UserFactory(email="Lakshmi@Example.Test")


def test_an_empty_email_is_refused_by_the_database(db):
    with pytest.raises(IntegrityError, match="user_email_not_empty"), transaction.atomic():
        UserFactory(email="")


def test_an_email_finds_its_user_by_the_unique_index(user, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        assert user_by_email(user.email.upper()) == user
    assert 'LOWER("accounts_user"."email")' in queries[0]["sql"]
    assert user_by_email("a\x00@example.test") is None


def test_the_profile_holds_its_fields_and_the_balance(api, user):
    grant(user=user, amount=7, reason="welcome", key="welcome")
    body = api.get("/api/user/profile").json()
    fields = {
        "id": user.pk,
        "email": user.email,
        "name": user.name,
        "role": "user",
        "preferred_language": "en",
        "timezone": "Asia/Kolkata",
        "credits": 7,
    }
    assert body == {"success": True, "data": fields, **fields}


def test_the_session_cookie_of_the_pages_reads_the_api_too(user):
    browser = Client()
    browser.force_login(user)
    assert browser.get("/api/user/profile").status_code == 200


# --- Machines --------------------------------------------------------------------------------------------


@pytest.fixture
def secret(db):
    return create_machine_key(name="platform", scope=SCOPE)[1]


def test_a_key_is_taken_in_either_header(secret):
    assert call(**{"X-API-Key": secret}).status_code == 200
    assert call(Authorization=f"Api-Key {secret}").status_code == 200
    assert call(Authorization=f"api-key {secret}").status_code == 200


def test_a_machine_is_nobody(secret):
    key = MachineKey.objects.get()
    assert call(**{"X-API-Key": secret}).data == {"who": f"machine {key.pk}", "staff": False}


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "guess"}, {"Authorization": "Api-Key guess"}, {"X-API-Key": "é\x00"}]
)
def test_a_missing_or_unknown_key_is_a_401(secret, headers):
    response = call(**headers)
    assert response.status_code == 401
    assert response["WWW-Authenticate"]


def test_a_key_that_was_switched_off_is_a_401(secret):
    MachineKey.objects.update(is_active=False)
    assert call(**{"X-API-Key": secret}).status_code == 401


def test_a_key_without_the_scope_is_a_403(secret):
    MachineKey.objects.update(scope="something:else")
    assert call(**{"X-API-Key": secret}).status_code == 403


def test_a_signed_in_person_is_no_machine(user):
    request = APIRequestFactory().post("/")
    request.user = user
    view = MachineView.as_view(permission_classes=[IsAuthenticated, HasScope(SCOPE)])
    assert view(request).status_code == 401


def test_only_the_hash_of_a_secret_is_kept(secret):
    key = MachineKey.objects.get()
    assert secret not in (key.key_hash, key.name)
    assert len(key.key_hash) == 64
    assert len(secret) >= 43


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(secret, django_assert_num_queries):
    call(**{"X-API-Key": secret})
    first = MachineKey.objects.get().last_used_at
    assert first is not None
    call(**{"X-API-Key": secret})
    assert MachineKey.objects.get().last_used_at == first
    long_ago = first - dt.timedelta(minutes=2)
    MachineKey.objects.update(last_used_at=long_ago)
    call(**{"X-API-Key": secret})
    assert MachineKey.objects.filter(last_used_at__gt=long_ago).exists()


def test_a_name_is_taken_once(secret):
    with pytest.raises(Conflict):
        create_machine_key(name="platform", scope=SCOPE)


def test_the_command_prints_a_secret_that_works(db):
    out = StringIO()
    call_command("create_machine_key", "platform", stdout=out, stderr=StringIO())
    assert call(**{"X-API-Key": out.getvalue().strip()}).status_code == 200
    with pytest.raises(CommandError):
        call_command("create_machine_key", "platform", stdout=out)


# --- Groups ----------------------------------------------------------------------------------------------


def test_the_groups_of_staff_are_made_once_and_keep_what_an_admin_added(db):
    ensure_staff_groups()
    extra = Permission.objects.get(codename="delete_logentry")
    Group.objects.get(name="Viewers").permissions.add(extra)
    ensure_staff_groups()
    assert set(Group.objects.values_list("name", flat=True)) == set(STAFF_GROUPS)
    assert Group.objects.get(name="Viewers").permissions.filter(pk=extra.pk).exists()


def test_a_group_grants_its_permissions_and_no_other(db):
    ensure_staff_groups()
    for name, codenames in STAFF_GROUPS.items():
        member = UserFactory(staff=True)
        member.groups.add(Group.objects.get(name=name))
        assert member.get_all_permissions() == set(codenames)


# --- Admin site ------------------------------------------------------------------------------------------


def permitted(user: User, *codenames: str) -> Client:
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    browser = Client()
    browser.force_login(user)
    return browser


def test_a_user_is_added_by_email(admin_site):
    page = admin_site.get("/admin/accounts/user/add/")
    assert page.status_code == 200
    form = {
        "email": "new@example.test",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert admin_site.post("/admin/accounts/user/add/", form).status_code == 302
    assert User.objects.get(email="new@example.test").check_password(PASSWORD)
    again = admin_site.post("/admin/accounts/user/add/", {**form, "email": "NEW@example.test"})
    assert "exists already" in again.content.decode()


def test_users_are_listed_and_found(admin_site):
    UserFactory(email="lakshmi@example.test")
    page = admin_site.get("/admin/accounts/user/?q=lakshmi")
    assert "lakshmi@example.test" in page.content.decode()


def test_staff_cannot_raise_themselves_or_others(staff, admin, user):
    browser = permitted(staff, "change_user", "view_user")
    form = {
        "email": user.email,
        "name": "Renamed",
        "timezone": "Asia/Kolkata",
        "preferred_language": "en",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
    }
    assert browser.post(f"/admin/accounts/user/{user.pk}/change/", form).status_code == 302
    user.refresh_from_db()
    assert (user.name, user.is_staff, user.is_superuser) == ("Renamed", False, False)
    for other in (staff, admin):
        assert browser.post(f"/admin/accounts/user/{other.pk}/change/", form).status_code == 403
        password = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
        assert browser.post(f"/admin/accounts/user/{other.pk}/password/", password).status_code == 403


def test_a_superuser_grants_access(admin_site, user):
    page = admin_site.get(f"/admin/accounts/user/{user.pk}/change/")
    assert 'name="is_staff"' in page.content.decode()


def test_the_admin_site_shows_a_keys_secret_once(admin_site):
    page = admin_site.post(
        "/admin/accounts/machinekey/add/", {"name": "platform", "scope": SCOPE}, follow=True
    )
    (text,) = [str(message) for message in page.context["messages"] if "shown again" in str(message)]
    secret = text.rpartition(" ")[2]
    assert call(**{"X-API-Key": secret}).status_code == 200
    key = MachineKey.objects.get()
    for path in ("", f"{key.pk}/change/"):
        assert secret not in admin_site.get(f"/admin/accounts/machinekey/{path}").content.decode()


def test_a_key_is_switched_off_in_the_admin_site(admin_site, secret):
    key = MachineKey.objects.get()
    assert admin_site.post(f"/admin/accounts/machinekey/{key.pk}/change/", {}).status_code == 302
    assert call(**{"X-API-Key": secret}).status_code == 401
