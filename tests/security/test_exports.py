"""CSV exports: for whom they are, what they hold, and that no spreadsheet runs them."""

import csv
import io
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client

from credits.models import CreditEntry
from credits.services import grant
from followups.models import FollowUpSchedule
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import ensure_staff_groups
from jyotiflow.exporting import cell, csv_lines
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

FOLLOW_UPS = "/admin/followups/followupschedule/"
ENTRIES = "/admin/credits/creditentry/"


def export(client: Client, path: str, *rows: Any) -> Any:
    chosen = [str(row.pk) for row in rows]
    return client.post(path, {"action": "export_selected", "_selected_action": chosen}, follow=False)


def rows_of(answer: Any) -> list[dict[str, str]]:
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def exporter(client: Client, db: None) -> Client:
    ensure_staff_groups()
    person = UserFactory(staff=True)
    person.groups.add(Group.objects.get(name="Exporters"))
    client.force_login(person)
    return client


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\u00a0=1",
        '=HYPERLINK("http://evil.example","x")',
        "\uff1d1+1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    ],
)
def test_what_looks_like_a_formula_becomes_text(text: str) -> None:
    assert cell(text) == f"'{text}"
    (_, line) = csv_lines(["a"], [[text]])
    assert next(csv.reader(io.StringIO(line, newline=""))) == [f"'{text}"]


@pytest.mark.parametrize("text", ["Lakshmi", "லட்சுமி", "a=b", "user@example.test", "", "1-2", "'quoted"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_numbers_stay_numbers() -> None:
    assert list(csv_lines(["a", "b"], [[-5, None]])) == ['\ufeff"a","b"\r\n', '-5,""\r\n']


def test_no_separator_in_a_text_begins_a_cell() -> None:
    (_, line) = csv_lines(["a"], [['x,=1;=2\r\n=3"']])
    assert next(csv.reader(io.StringIO(line, newline=""))) == ['x,=1;=2\r\n=3"']


def test_follow_ups_are_exported_without_their_texts(exporter: Client, sent: FollowUpSchedule) -> None:
    User.objects.filter(pk=sent.user_id).update(email="=cmd@example.test")
    answer = export(exporter, FOLLOW_UPS, sent)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="followupschedule-')
    (row,) = rows_of(answer)
    assert row["id"] == str(sent.pk)
    assert row["user__email"] == "'=cmd@example.test"
    assert row["credits_charged"] == "5"
    assert not {"rendered_message", "custom_variables"} & set(row)
    assert not any("how are you" in value for value in row.values())


def test_entries_are_exported_with_their_signs(exporter: Client, user: User) -> None:
    grant(user=user, amount=7, reason="@thanks", key="k")
    (row,) = rows_of(export(exporter, ENTRIES, CreditEntry.objects.get()))
    assert (row["amount"], row["reason"], row["account__user__email"]) == ("7", "'@thanks", user.email)


def test_an_export_is_on_record(exporter: Client, sent: FollowUpSchedule) -> None:
    export(exporter, FOLLOW_UPS, sent)
    entry = LogEntry.objects.get()
    assert entry.user.groups.get().name == "Exporters"
    assert (entry.change_message, entry.object_id) == ("Exported 1 rows as CSV.", None)


@pytest.mark.parametrize("group", ["Operators", "Finance", "Viewers"])
def test_seeing_is_not_exporting(group: str, client: Client, sent: FollowUpSchedule) -> None:
    ensure_staff_groups()
    person = UserFactory(staff=True)
    person.groups.add(Group.objects.get(name=group))
    client.force_login(person)
    assert client.get(FOLLOW_UPS).status_code == 200
    assert "export_selected" not in client.get(FOLLOW_UPS).content.decode()
    answer = export(client, FOLLOW_UPS, sent)
    assert not answer.streaming
    assert not LogEntry.objects.exists()
