"""Cells of the admin's lists and pages: moments, links, small tables. They never query."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timezone import localtime

NOTHING = "-"  # as Django shows an empty cell


def moment(value: Any) -> str:
    """An instant to the minute, short enough for a list of many columns: the year only when it's another."""
    if not value:
        return NOTHING
    local = localtime(value)
    day = date_format(local, "j M" if local.year == localtime().year else "j M Y").replace(" ", "\xa0")
    return f"{day} {local:%H:%M}"


def moment_column(field: str, title: Any) -> Callable[[Model], str]:
    """A sortable list column of an instant."""

    @admin.display(description=title, ordering=field)
    def column(row: Model) -> str:
        return moment(getattr(row, field))

    column.__name__ = field
    return column


def titled_column(field: str, title: Any) -> Callable[[Model], Any]:
    """A sortable list column under a shorter title than the field's name."""

    @admin.display(description=title, ordering=field)
    def column(row: Model) -> Any:
        return getattr(row, field)

    column.__name__ = field
    return column


def short_column(field: str, title: Any, length: int = 60) -> Callable[[Model], str]:
    """A list column of the beginning of a text."""

    @admin.display(description=title)
    def column(row: Model) -> str:
        return Truncator(getattr(row, field)).chars(length)

    column.__name__ = field
    return column


def link_to(model: type[Model], pk: object, text: object) -> SafeString | str:
    """A link to a row's page, made of its key alone, so a list needs no join for it."""
    if pk is None:
        return NOTHING
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[pk]), text)


def as_json(value: Any) -> SafeString | str:
    """What a provider said, as it was said, one thing a line; a dash when it said nothing."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return format_html("<pre>{}</pre>", text) if value else NOTHING


def table(titles: Sequence[object], rows: Iterable[Sequence[object]]) -> SafeString | str:
    """A small table for a read-only field; a dash when there are no rows."""
    body = format_html_join("", "<tr>{}</tr>", ((_cells("<td>{}</td>", row),) for row in rows))
    if not body:
        return NOTHING
    return format_html(
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>",
        _cells('<th scope="col">{}</th>', titles),
        body,
    )


def _cells(tag: str, values: Sequence[object]) -> SafeString:
    return format_html_join("", tag, ((value,) for value in values))
