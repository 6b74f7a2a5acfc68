"""CSV files for spreadsheets, which run what looks like a formula: none of these cells does."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from numbers import Number
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change

# What a spreadsheet takes for the beginning of a formula, wide forms included.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_SIGNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
CONTROL_SIGNS = ("\t", "\r", "\n")
BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheets take Tamil for another encoding
ROWS_AT_ONCE = 1_000


def cell(value: object) -> object:
    """A value as a cell: numbers stay numbers, and a text that looks like a formula gets a ' before it."""
    if value is None or isinstance(value, Number):
        return "" if value is None else value
    text = value.isoformat() if isinstance(value, date) else str(value)
    is_risky = text.lstrip().startswith(FORMULA_SIGNS) or text.startswith(CONTROL_SIGNS)
    return f"'{text}" if is_risky else text


def csv_lines(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a file. Texts are in quotes, so no separator in one begins a cell."""
    writer: Any = csv.writer(_Echo(), quoting=csv.QUOTE_NONNUMERIC)
    yield BYTE_ORDER_MARK + writer.writerow(titles)
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, line: str) -> str:
        return line


class ExportAdmin(admin.ModelAdmin):
    """Offers "Export selected as CSV" to whoever holds the model's ``export`` permission, and records it."""

    # Columns as ORM look-ups, so that an export is one query. Texts of messages are never among them.
    export_columns: Sequence[str] = ()

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.export_{self.opts.model_name}")

    @admin.action(description=_("Export selected as CSV"), permissions=["export"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> StreamingHttpResponse:
        rows = queryset.values_list(*self.export_columns)
        actor: Any = request.user  # signed in, else the admin site had not let them in
        count = rows.count()
        record_change(action=Action.EXPORTED, of=self.model, actor=actor, after={"rows": count})
        LogEntry.objects.create(
            user_id=actor.pk,
            content_type=ContentType.objects.get_for_model(self.model),
            object_repr=str(self.opts.verbose_name_plural),
            action_flag=CHANGE,
            change_message=f"Exported {count} rows as CSV.",
        )
        lines = csv_lines(self.export_columns, rows.iterator(chunk_size=ROWS_AT_ONCE))
        name = f"{self.opts.model_name}-{now():%Y-%m-%d}.csv"
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
