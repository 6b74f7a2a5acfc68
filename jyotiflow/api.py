"""The HTTP manners of every endpoint: JSON only, one envelope, pages, times with a zone."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.urls import register_converter
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from jyotiflow.exceptions import InvalidInput
from jyotiflow.large_tables import DEEPEST, count_of

Row = TypeVar("Row", bound=Model)

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_OFFSET = 1_000_000_000


class AlwaysJSON(DefaultContentNegotiation):
    """Answers with the view's first renderer whatever ``Accept`` or ``?format`` ask for: never 406."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


# --- Answers ---------------------------------------------------------------------------------------------


def read_answer(data: Any, count: int | None = None, **fields: Any) -> Response:
    """The envelope of a read; ``count`` is the total that match, not the page's length."""
    body = {**fields, "success": True, "data": data}
    return Response(body if count is None else {**body, "count": count})


def action_answer(message: str, status: int = 200, **fields: Any) -> Response:
    """The envelope of an action: one sentence for a person, and what changed."""
    return Response({"success": True, "message": message, **fields}, status=status)


# --- Pages -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of rows, and how many match in all."""

    rows: list[Row]
    count: int
    is_exact: bool = True


def paginate(request: Request, queryset: QuerySet[Row]) -> Page[Row]:
    """The page that ``limit`` and ``offset`` ask for. Raises ``InvalidInput`` for anything out of range."""
    limit = _number(request, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    offset = _number(request, "offset", default=0, low=0, high=MAX_OFFSET)
    return Page(list(queryset[offset : offset + limit]), queryset.count())


def paginate_large(
    request: Request, queryset: QuerySet[Row], *, newest_by: str, after: object = None
) -> Page[Row]:
    """The page of a table too large to be counted or skipped through, newest first by ``newest_by``, then id.

    ``after`` is the id of a row; the page begins below it, however deep that is. Raises ``InvalidInput`` for
    an offset beyond ``DEEPEST`` and an ``after`` that names no row.
    """
    limit = _number(request, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    offset = _number(
        request, "offset", default=0, low=0, high=DEEPEST, hint=" To go further, send the last id as after."
    )
    count = count_of(queryset)
    rows = queryset
    if after is not None:
        row = queryset.model._default_manager.filter(pk=after).values_list(newest_by, flat=True).first()
        if row is None:
            raise InvalidInput.field("after", "Send the id of a row of this list as after.")
        # Two conditions where one would do: the first is the index's.
        rows = rows.filter(**{f"{newest_by}__lte": row})
        rows = rows.filter(Q(**{f"{newest_by}__lt": row}) | Q(pk__lt=after))
    return Page(list(rows[offset : offset + limit]), count.number, count.is_exact)


def _number(request: Request, name: str, *, default: int, low: int, high: int, hint: str = "") -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(high)) and low <= int(text) <= high):
        raise InvalidInput.field(name, f"Send {name} as a whole number from {low} to {high}.{hint}")
    return int(text)


class TextIdConverter:
    """A path segment that can be a text id; control characters make it a 404 instead of a database error."""

    regex = r"[^/\x00-\x1f\x7f]{1,255}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


# Here, where it happens once, and before any routes: they import their views, which import this module.
register_converter(TextIdConverter, "text_id")


# --- Fields ----------------------------------------------------------------------------------------------


class AwareDateTimeField(serializers.DateTimeField):
    """An instant: ISO-8601 with its zone going in, UTC going out."""

    default_error_messages = {
        "naive": "Add the time zone, as in {example}.",
        "invalid": "Send an ISO-8601 time with its zone, as in 2026-03-01T10:00:00+05:30.",
    }

    def to_internal_value(self, value: Any) -> dt.datetime:
        if not isinstance(value, str):
            self.fail("invalid")
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail("invalid")
        if moment.tzinfo is None:
            self.fail("naive", example=f"{moment.isoformat()}+05:30")
        try:
            return moment.astimezone(dt.UTC)
        except OverflowError:  # the first and last hours of the calendar
            self.fail("invalid")

    def to_representation(self, value: dt.datetime) -> str:
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
