"""Pages of the admin site that belong to no table: listed for whom they are for, closed to everybody else."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import clear_url_caches, include, path

from jyotiflow import admin_site
from jyotiflow.accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.jyotiflow.test_admin_site")]

urlpatterns: list[Any] = []


@pytest.fixture(autouse=True)
def almanac(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A page of the sessions' app, for whoever may see sessions."""
    monkeypatch.setattr(admin_site, "PAGES", [])

    @admin_site.admin_page(
        "sessions_app/almanac/", name="almanac", permission="sessions_app.view_session", title="Almanac"
    )
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("Sun and moon")

    urlpatterns[:] = [path("admin/", admin.site.urls), path("", include("jyotiflow.urls"))]
    clear_url_caches()
    yield
    clear_url_caches()


def test_a_page_is_listed_and_opens_for_whoever_may(client: Client, staff: User) -> None:
    may = {"content_type__app_label": "sessions_app", "codename": "view_session"}
    staff.user_permissions.add(Permission.objects.get(**may))
    client.force_login(staff)
    for index in ("/admin/", "/admin/sessions_app/"):
        assert '<a href="/admin/sessions_app/almanac/">' in client.get(index).content.decode()
    assert client.get("/admin/sessions_app/almanac/").content == b"Sun and moon"


def test_another_app_s_index_does_not_list_it(client: Client, admin: User) -> None:
    client.force_login(admin)
    assert "Almanac" not in client.get("/admin/auth/").content.decode()


def test_staff_without_the_permission_neither_see_the_link_nor_the_page(client: Client, staff: User) -> None:
    client.force_login(staff)
    assert "Almanac" not in client.get("/admin/").content.decode()
    assert client.get("/admin/sessions_app/almanac/").status_code == 403


def test_strangers_sign_in_first(client: Client) -> None:
    answer = client.get("/admin/sessions_app/almanac/")
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (302, "/admin/login/")
