"""Django's admin site with pages of our own beside those of its tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.functional import Promise

from jyotiflow.naming import translate_names

View: TypeAlias = Callable[[HttpRequest], HttpResponseBase]


@dataclass(frozen=True)
class Page:
    """A page that belongs to no table. Its route begins with the label of the app that lists it."""

    route: str
    name: str
    permission: str
    view: View
    title: str | Promise  # without one it is listed nowhere
    help: str | Promise

    @property
    def app_label(self) -> str:
        return self.route.split("/")[0]

    @property
    def url(self) -> str:
        return reverse(f"admin:{self.name}")

    def guarded(self, request: HttpRequest) -> HttpResponseBase:
        """The view, for whoever holds the permission; other staff get a 403."""
        if not request.user.has_perm(self.permission):
            raise PermissionDenied
        return self.view(request)


PAGES: Final[list[Page]] = []  # in the order they are listed in


def admin_page(
    route: str, *, name: str, permission: str, title: str | Promise = "", help: str | Promise = ""
) -> Callable[[View], View]:
    """Makes a view the page ``admin:<name>`` at ``/admin/<route>``; staff without the permission get a 403.

    With a title it is listed above the tables, for whoever may open it.
    """

    def add(view: View) -> View:
        PAGES.append(Page(route, name, permission, view, title, help))
        return view

    return add


class PanelSite(AdminSite):
    def get_urls(self) -> list[URLPattern | URLResolver]:
        ours = [path(page.route, self.admin_view(page.guarded), name=page.name) for page in PAGES]
        return [*ours, *super().get_urls()]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        mine = [page for page in PAGES if page.title and request.user.has_perm(page.permission)]
        return {**super().each_context(request), "own_pages": mine}


class PanelConfig(AdminConfig):
    default_site = "jyotiflow.admin_site.PanelSite"

    def ready(self) -> None:
        translate_names()
        super().ready()
