"""Every page of the admin site in a real browser: it fits, and everybody can use it.

Each is opened once: by turns in a light wide window in English, and in Tamil on a dark phone.
"""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from followups.models import FollowUpTemplate
from jyotiflow.accounts.models import User
from jyotiflow.admin_site import PAGES
from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.factories import UserFactory
from tests.followups.admin.conftest import make_rows
from tests.followups.admin.test_pages import REGISTERED, first, page, request_of_superuser
from tests.followups.conftest import make_template, run_queue

__all__ = ["make_rows", "make_template", "run_queue"]
pytestmark = pytest.mark.django_db(transaction=True)
LOOKS: dict[str, dict[str, Any]] = {
    "en": {"size": DESKTOP, "color_scheme": "light"},
    "ta": {"size": PHONE, "color_scheme": "dark", "has_touch": True},
}


def paths() -> Iterator[str]:
    """Lists, then forms of rows there are, then forms of new ones, then the pages of no table."""
    yield reverse("admin:index")
    yield from (page(model, "changelist") for model in REGISTERED)
    yield from (page(model, "change", first(model).pk) for model in REGISTERED)
    yield page(REGISTERED[0], "history", first(REGISTERED[0]).pk)
    for model in REGISTERED:
        if admin.site._registry[model].has_add_permission(request_of_superuser()):
            yield page(model, "add")
    yield from (each.url for each in PAGES if each.title)
    template = first(FollowUpTemplate).pk
    yield from (page(FollowUpTemplate, name, template) for name in ("versions", "apply", "delete"))
    yield page(User, "delete", UserFactory().pk)


def test_every_page_can_be_used_by_everybody(make_rows: Any, visit: Any) -> None:
    make_rows(2)
    boss = UserFactory(admin=True)
    windows: list[Visitor] = []
    for language, look in LOOKS.items():
        window = visit(boss, **look)
        window.open(f"/language/{language}?next=/admin/password_change/")
        windows.append(window)
    faults = []
    for path, window in zip(paths(), cycle(windows), strict=False):
        try:
            answer = window.page.goto(window.base + path)
            assert answer is not None
            assert answer.status == 200, path
            window.check_access()
            window.check_fits()
        except AssertionError as fault:
            faults.append(str(fault).partition("\n")[0])
    assert not faults, "\n".join(faults)
