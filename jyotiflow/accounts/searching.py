"""Searching tables of people's things by the person, each way of finding a query with its own index."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from jyotiflow.accounts.selectors import people_like
from jyotiflow.large_tables import LargeTableAdmin


class PeopleSearchAdmin(LargeTableAdmin):
    """Finds rows by a part of their person's email, name or phone, or by a whole value."""

    person = "user"  # the way to the person
    whole_values: Sequence[str] = ()  # columns with an index

    def ways_to_find(self, word: str) -> list[QuerySet[Any]]:
        """The keys of the rows a word means, a query a way."""
        rows = self.model._default_manager.order_by().values("pk")
        return [
            rows.filter(**{f"{self.person}__in": people_like(word)}),
            *(rows.filter(**{column: word}) for column in self.whole_values),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows that every word finds. No joins of many, so none comes twice."""
        for word in search_term.split():
            first, *others = self.ways_to_find(word)
            queryset = queryset.filter(pk__in=first.union(*others, all=True) if others else first)
        return queryset, False
