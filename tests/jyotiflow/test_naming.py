"""Names of models and fields on the admin's pages, in both languages."""

from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import models
from django.test import Client
from django.utils import translation

from followups.models import FollowUpSchedule
from jyotiflow.accounts.models import User

OURS = ("accounts", "auditing", "credits", "followups", "sessions_app")
SAME = {"jti", "HTML", "DLT"}


def names_of(model: type[models.Model]) -> list[Any]:
    options = model._meta
    fields = [field for field in options.local_fields if not field.primary_key]
    return [options.verbose_name, options.verbose_name_plural, *(field.verbose_name for field in fields)]


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_every_table_and_our_fields_have_a_tamil_name(model: type[models.Model]) -> None:
    names = names_of(model)
    if model._meta.app_label not in OURS:
        names = names[:2]
    english = [str(name) for name in names]
    with translation.override("ta"):
        left = [word for word, name in zip(english, names, strict=True) if str(name) == word]
    assert set(left) <= SAME


def test_the_index_names_them_in_the_page_s_language(admin_site: Client) -> None:
    assert "Provider events" in admin_site.get("/admin/").content.decode()
    admin_site.get("/language/ta")
    page = admin_site.get("/admin/").content.decode()
    assert "வழங்குநர் நிகழ்வுகள்" in page
    assert "Provider events" not in page


@pytest.mark.django_db
def test_neither_migrations_nor_permissions_know_of_it() -> None:
    with translation.override("ta"):
        call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
        assert FollowUpSchedule._meta.verbose_name_raw == "follow-up"
    assert User._meta.verbose_name_raw == "user"
