"""Tables of millions of rows in lists: counted as far as it is cheap, paged as far as it is sane."""

import json
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

COUNTED_UP_TO: Final = 10_000  # rows; reading so many index entries takes some milliseconds
SURELY_MANY: Final = 20 * COUNTED_UP_TO  # rows expected: then not even those are counted
DEEPEST: Final = 10_000  # rows that a page may skip; who looks further back narrows the list


@dataclass(frozen=True)
class Count:
    """How many rows match. Not exact: what the database's statistics expect, within a few percent."""

    number: int
    is_exact: bool


def count_of(rows: QuerySet[Any]) -> Count:
    """Count rows: exactly up to ``COUNTED_UP_TO``, by the planner's estimate beyond.

    Where the planner expects very many they aren't looked at: to find so many without an index takes long.
    """
    plan = rows.order_by().values("pk").explain(format="json")  # empty where nothing can match
    expected = int(json.loads(plan)[0]["Plan"]["Plan Rows"]) if plan else 0
    if expected > SURELY_MANY:
        return Count(expected, is_exact=False)
    counted = rows.order_by()[: COUNTED_UP_TO + 1].count()
    if counted <= COUNTED_UP_TO:
        return Count(counted, is_exact=True)
    return Count(max(counted, expected), is_exact=False)


class LargePaginator(Paginator):
    """Pages of a large table's list, as far as `DEEPEST`."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return count_of(rows).number

    @cached_property
    def num_pages(self) -> int:
        return max(1, ceil(min(self.count, DEEPEST) / self.per_page))


class LargeTableAdmin(admin.ModelAdmin):
    """A list in the order of an index, whose rows nobody counts twice. A subclass names that order."""

    paginator = LargePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter
    sortable_by = ()
