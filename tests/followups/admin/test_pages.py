"""Every page of the admin site: it opens, it stays cheap as tables grow, it is closed to whom it must be."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from followups.models import (
    Attempt,
    Audience,
    BulkChange,
    BulkItem,
    ConsentEvent,
    Device,
    Erasure,
    FollowUpAnalytics,
    FollowUpSchedule,
    FollowUpTemplate,
    IdempotentAnswer,
    InAppMessage,
    InboundMessage,
    ProviderEvent,
    SandboxMessage,
    SessionPlan,
    Stamp,
    Suppression,
    TemplateVersion,
)
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.admin_site import PAGES
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

MOST_QUERIES = 50  # of any page
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = [model for model in REGISTERED if model._meta.app_label == "followups"]
UNEDITABLE = [
    Attempt,
    BulkChange,
    BulkItem,
    ConsentEvent,
    Device,
    Erasure,
    FollowUpAnalytics,
    FollowUpSchedule,
    IdempotentAnswer,
    InAppMessage,
    InboundMessage,
    ProviderEvent,
    SandboxMessage,
    SessionPlan,
    Suppression,
    TemplateVersion,
]


def page(model: type[Model], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def first(model: type[Model]) -> Any:
    row = model._default_manager.first()
    assert row is not None, f"no row of {model._meta.label} was made"
    return row


def test_every_table_of_the_follow_ups_is_registered() -> None:
    nothing_to_see = {Audience, Stamp}  # sets to count people by; one says that a cache is old
    tables = set(apps.get_app_config("followups").get_models()) - nothing_to_see
    assert sorted(tables, key=lambda model: model._meta.label) == OURS
    for model in OURS:
        options = admin.site._registry[model]
        assert options.search_fields, model
        assert options.list_filter, model
        assert options.list_display != ("__str__",), model


def test_every_page_opens_and_asks_the_database_little(
    admin_site: Client, make_rows: Any, django_assert_max_num_queries: Any
) -> None:
    make_rows(1)
    paths = [reverse("admin:index"), *(each.url for each in PAGES if each.title)]
    for model in REGISTERED:
        paths.append(page(model, "changelist"))
        paths.append(page(model, "changelist") + "?q=nothing-like-it")
        paths.append(page(model, "change", first(model).pk))
        paths.append(page(model, "history", first(model).pk))
        if admin.site._registry[model].has_add_permission(request_of_superuser()):
            paths.append(page(model, "add"))
    for path in paths:
        with django_assert_max_num_queries(MOST_QUERIES):
            assert admin_site.get(path).status_code == 200, path


def test_a_refresh_token_is_never_shown(admin_site: Client, user: User) -> None:
    token = str(RefreshToken.for_user(user))
    row = OutstandingToken.objects.get()
    assert row.token == token
    for path in (page(OutstandingToken, "changelist"), page(OutstandingToken, "change", row.pk)):
        text = admin_site.get(path).content.decode()
        assert row.jti in text
        assert token not in text


def request_of_superuser() -> Any:
    class Request:
        user = User(is_staff=True, is_superuser=True)

    return Request()


def test_lists_ask_the_database_as_often_for_many_rows_as_for_few(admin_site: Client, make_rows: Any) -> None:
    def queries(model: type[Model]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(page(model, "changelist")).status_code == 200
        return len(captured)

    def figures() -> dict[str, int]:
        return {model._meta.label: queries(model) for model in REGISTERED}

    make_rows(2)
    rows = {model: model._default_manager.count() for model in REGISTERED}
    few = figures()
    make_rows(10)
    grown = {model: model._default_manager.count() >= count + 10 for model, count in rows.items()}
    assert grown == dict.fromkeys(REGISTERED, True)
    assert figures() == few


def test_a_template_s_page_asks_as_often_for_many_versions_as_for_few(
    admin_site: Client, make_template: Any
) -> None:
    template = make_template()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(page(FollowUpTemplate, "change", template.pk)).status_code == 200
        return len(captured)

    def save(number: int) -> None:
        save_template(template=template, fields={"content": f"Text {number}"}, actor=UserFactory())

    save(1)
    queries()  # content types are looked up once a process
    few = queries()
    for number in range(2, 6):
        save(number)
    assert template.versions.count() == 6
    assert queries() == few


def test_staff_see_nothing_without_a_permission(client: Client, staff: User, make_rows: Any) -> None:
    make_rows(1)
    client.force_login(staff)
    for model in OURS:
        for path in (page(model, "changelist"), page(model, "change", first(model).pk), page(model, "add")):
            assert client.get(path).status_code == 403, path
            assert client.post(path, {}).status_code == 403, path


def test_whoever_is_not_staff_is_sent_to_sign_in(client: Client, user: User) -> None:
    client.force_login(user)
    answer = client.get(page(FollowUpSchedule, "changelist"))
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/admin/login/")


def test_history_is_not_rewritten_by_hand(admin_site: Client, make_rows: Any) -> None:
    make_rows(1)
    for model in UNEDITABLE:
        row = first(model)
        before = model._default_manager.filter(pk=row.pk).values().get()
        forged = dict.fromkeys(before, "1")
        assert admin_site.post(page(model, "change", row.pk), forged).status_code == 403, model
        assert model._default_manager.filter(pk=row.pk).values().get() == before


def test_history_is_neither_made_up_nor_deleted(admin_site: Client, make_rows: Any) -> None:
    make_rows(1)
    for model in set(UNEDITABLE) - {Device, Suppression}:
        row = first(model)
        assert admin_site.post(page(model, "add"), {}).status_code == 403, model
        assert admin_site.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403, model
        forged = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
        admin_site.post(page(model, "changelist"), forged)
        assert model._default_manager.filter(pk=row.pk).exists(), model


def test_a_viewer_sees_follow_ups_and_is_offered_no_action(
    client: Client, staff: User, make_rows: Any
) -> None:
    make_rows(1)
    staff.user_permissions.add(Permission.objects.get(codename="view_followupschedule"))
    client.force_login(staff)
    answer = client.get(page(FollowUpSchedule, "changelist"))
    assert answer.status_code == 200
    assert 'name="action"' not in answer.content.decode()


def test_the_site_bears_the_product_s_name(admin_site: Client) -> None:
    assert "JyotiFlow Follow-ups" in admin_site.get(reverse("admin:index")).content.decode()


def test_no_filter_is_called_by_a_column_s_name() -> None:
    for model in OURS:
        for choice in admin.site._registry[model].list_filter:
            if isinstance(choice, str) and "__" not in choice:
                field: Any = model._meta.get_field(choice)
                title = str(field.verbose_name)
                assert not title.startswith(("is ", "has ")), (model, choice)
