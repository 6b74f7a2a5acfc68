"""Counting and paging tables of millions of rows, on few of them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from jyotiflow import large_tables
from jyotiflow.api import Page, paginate_large
from jyotiflow.exceptions import InvalidInput
from jyotiflow.large_tables import LargePaginator, count_of
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> list[Session]:
    """Seven sessions, newest first; two of them of the same moment."""
    user, moment = UserFactory(), now()
    made = [SessionFactory(user=user) for _ in range(7)]
    for number, row in enumerate(made):
        Session.objects.filter(pk=row.pk).update(created_at=moment - timedelta(hours=number // 2))
    return list(Session.objects.order_by("-created_at", "-id"))


def page(query: str = "", after: Any = None) -> Page[Session]:
    rows = Session.objects.order_by("-created_at", "-id")
    return paginate_large(
        Request(APIRequestFactory().get(f"/?{query}")), rows, newest_by="created_at", after=after
    )


def test_few_rows_are_counted(rows: list[Session]) -> None:
    assert count_of(Session.objects.all()) == large_tables.Count(7, is_exact=True)
    assert count_of(Session.objects.filter(pk="nothing")) == large_tables.Count(0, is_exact=True)


def test_many_rows_are_estimated(rows: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_tables, "COUNTED_UP_TO", 3)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sessions")
    count = count_of(Session.objects.all())
    assert (count.number, count.is_exact) == (7, False)
    few = count_of(Session.objects.filter(pk__in=[row.pk for row in rows[:3]]))
    assert (few.number, few.is_exact) == (3, True)


def test_surely_many_rows_are_not_looked_at(rows: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sessions")
    assert count_of(Session.objects.all()).is_exact
    monkeypatch.setattr(large_tables, "SURELY_MANY", 6)
    with CaptureQueriesContext(connection) as queries:
        assert count_of(Session.objects.all()) == large_tables.Count(7, is_exact=False)
    assert [query["sql"].split()[0] for query in queries] == ["EXPLAIN"]
    assert count_of(Session.objects.filter(pk__in=[])) == large_tables.Count(0, is_exact=True)


def test_an_estimate_is_never_less_than_what_was_seen(
    rows: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_tables, "COUNTED_UP_TO", 3)
    assert count_of(Session.objects.exclude(service_type="x").exclude(question="y")).number >= 4


def test_a_paginator_goes_no_deeper_than_it_is_sane(
    rows: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_tables, "DEEPEST", 4)
    paginator = LargePaginator(Session.objects.order_by("pk"), 2)
    assert (paginator.count, paginator.num_pages) == (7, 2)
    assert LargePaginator(Session.objects.none(), 2).num_pages == 1


def test_pages_by_the_last_id_meet_every_row_once(rows: list[Session]) -> None:
    seen: list[Session] = []
    while found := page("limit=2", after=seen[-1].pk if seen else None).rows:
        seen += found
    assert seen == rows
    assert page("limit=1&offset=1", after=rows[2].pk).rows == [rows[4]]
    assert page(after=rows[2].pk).count == 7  # all that match


def test_no_page_lies_beyond_the_deepest(rows: list[Session]) -> None:
    assert page("offset=10000").rows == []
    with pytest.raises(InvalidInput, match="send the last id as after"):
        page("offset=10001")
    with pytest.raises(InvalidInput, match="after"):
        page(after="nothing")
