"""What processes keep of settings and templates: every change is seen by all of them at once."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from followups.models import FollowUpSetting, FollowUpTemplate, Stamp
from followups.selectors.catalogue import catalogue
from followups.selectors.ordering import templates_on_sale
from followups.selectors.settings import effective_settings
from followups.services.settings import update_settings
from followups.services.templates import pin_version, remove_template, save_template

ROOT = Path(__file__).parents[2]
OTHER = """
import sys, django
django.setup()
from followups.selectors.catalogue import catalogue
from followups.selectors.ordering import templates_on_sale
from followups.selectors.settings import effective_settings
from followups.services.settings import update_settings
for line in sys.stdin:
    if line.strip() != "look":
        update_settings(changes={"max_interval_days": int(line)})
    known = catalogue()
    names = [each.name for each in templates_on_sale(known)]
    print(effective_settings(known).max_interval_days, ",".join(names), flush=True)
"""


def database_url() -> str:
    name = connection.settings_dict["NAME"]
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def days() -> int:
    return effective_settings().max_interval_days


def names() -> list[str]:
    return [template.name for template in templates_on_sale(catalogue())]


@pytest.fixture
def other(transactional_db: None) -> Iterator[Callable[[str], str]]:
    """Another process on the same database: told to look, it says what it sees; told a number, it sets it."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "jyotiflow.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        words, answers = process.stdin, process.stdout

        def ask(word: str) -> str:
            words.write(f"{word}\n")
            words.flush()
            return answers.readline().strip()

        yield ask
        words.close()


def by_service() -> None:
    update_settings(changes={"max_interval_days": 7})


def by_queryset() -> None:
    FollowUpSetting.objects.filter(setting_key="max_interval_days").update(setting_value="7")


def by_row() -> None:
    row = FollowUpSetting.objects.get(setting_key="max_interval_days")
    row.setting_value = "7"
    row.save()


def by_another_client() -> None:
    with psycopg.connect(database_url()) as client:
        client.execute(
            "UPDATE follow_up_settings SET setting_value = '7' WHERE setting_key = 'max_interval_days'"
        )


def by_emptying_and_filling() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE follow_up_settings")
    FollowUpSetting.objects.bulk_create([FollowUpSetting(setting_key="max_interval_days", setting_value="7")])


@pytest.mark.django_db(transaction=True)
def test_another_process_sees_every_change_of_a_setting_at_once(other: Callable[[str], str]) -> None:
    for change in (by_service, by_queryset, by_row, by_another_client, by_emptying_and_filling):
        FollowUpSetting.objects.filter(setting_key="max_interval_days").update(setting_value="30")
        assert other("look") == "30"
        assert days() == 30
        change()
        assert other("look") == "7", change.__name__
        assert days() == 7, change.__name__


@pytest.mark.django_db(transaction=True)
def test_what_another_process_changes_is_seen_here_at_once(other: Callable[[str], str]) -> None:
    for number in (12, 13, 14):
        assert other(str(number)) == str(number)
        assert days() == number


@pytest.mark.django_db(transaction=True)
def test_another_process_sees_every_change_of_a_template_at_once(
    other: Callable[[str], str], make_template: Any
) -> None:
    assert other("look") == "30"
    template = make_template(name="one")
    assert other("look") == "30 one"
    save_template(template=template, fields={"name": "two"})
    assert (other("look"), names()) == ("30 two", ["two"])
    FollowUpTemplate.objects.update(is_active=False)
    assert (other("look"), names()) == ("30", [])
    FollowUpTemplate.objects.update(is_active=True)
    assert (other("look"), names()) == ("30 two", ["two"])
    remove_template(template=template)
    assert (other("look"), names()) == ("30", [])


@pytest.mark.django_db(transaction=True)
def test_a_change_is_everybody_s_at_its_commit_and_nobody_s_after_a_rollback(in_parallel: Any) -> None:
    is_changed, was_looked = threading.Event(), threading.Event()
    seen: list[int] = []

    def change() -> None:
        with transaction.atomic():
            by_service()
            seen.append(days())
            is_changed.set()
            assert was_looked.wait(10)
            transaction.set_rollback(True)

    def look() -> None:
        assert is_changed.wait(10)
        seen.append(days())
        was_looked.set()

    assert in_parallel(change, look) == [None, None]
    assert seen == [7, 30]
    assert days() == 30


@pytest.mark.django_db(transaction=True)
def test_what_was_read_before_one_s_own_change_does_not_outlive_its_rollback() -> None:
    with transaction.atomic():
        known = catalogue()
        by_queryset()
        assert effective_settings(known).max_interval_days == 7  # read now, under the old stamp's catalogue
        transaction.set_rollback(True)
    assert days() == 30


@pytest.mark.django_db
def test_a_repeat_costs_one_short_statement(
    make_template: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_template()
    for _ in range(2):
        templates_on_sale(catalogue()), days()
    with django_assert_num_queries(1) as asked:
        known = catalogue()
        effective_settings(known)
        pin_version(template=templates_on_sale(known)[0])
    assert "follow_up_stamps" in asked.captured_queries[0]["sql"]


@pytest.mark.django_db
def test_the_switch_reads_the_tables_each_time(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.FOLLOWUP_CATALOGUE_CACHE = False
    for _ in range(2):
        with django_assert_num_queries(1) as asked:
            days()
        assert "follow_up_settings" in asked.captured_queries[0]["sql"]


@pytest.mark.django_db
def test_without_a_stamp_nothing_is_kept() -> None:
    Stamp.objects.all().delete()
    known = catalogue()
    assert known.stamp is None
    assert [known.keep("x", lambda n=n: n) for n in (1, 2)] == [1, 2]  # type: ignore[misc]


@pytest.mark.django_db
def test_a_text_changed_behind_the_services_back_is_pinned_anew(make_template: Any) -> None:
    first = pin_version(template=make_template())
    names()
    FollowUpTemplate.objects.update(content="Other words")
    second, third = (pin_version(template=templates_on_sale(catalogue())[0]) for _ in range(2))
    assert (first.number, second.number, third.pk) == (1, 2, second.pk)
    assert second.content == "Other words"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "table"),
    [("setting_change_is_seen", "follow_up_settings"), ("template_change_is_seen", "follow_up_templates")],
)
@pytest.mark.parametrize(
    "change", ["INSERT INTO {} SELECT * FROM {} LIMIT 0", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_whatever_sql_does_to_a_table_is_seen(rule: str, table: str, change: str) -> None:
    """The triggers, each by its name, with no service in between."""
    before = catalogue().stamp
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE %s", [f"pgtrigger_{rule}%"])
        assert cursor.fetchone() == (1,)
        cursor.execute(change.format(table, table))
    assert catalogue().stamp != before
