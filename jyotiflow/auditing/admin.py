"""The audit in the admin site: to read, to filter, to export. Nobody edits or deletes an entry."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from jyotiflow.auditing import periodic_tasks  # noqa: F401 - importing registers it
from jyotiflow.auditing.diffs import Piece
from jyotiflow.auditing.models import AuditEntry
from jyotiflow.auditing.selectors import field_changes
from jyotiflow.exporting import ExportAdmin
from jyotiflow.large_tables import LargeTableAdmin

NOTHING = "-"
SHOWN_IN_LIST = 80  # characters of a field's value


class DayFilter(admin.DateFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("date")


class KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        kinds = AuditEntry.objects.order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, kind_in_words(kind)) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class ActorFilter(admin.SimpleListFilter):
    title = _("who")
    parameter_name = "actor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        actors = AuditEntry.objects.filter(actor__isnull=False).order_by("actor__email")
        return [
            *((str(pk), email) for pk, email in actors.values_list("actor", "actor__email").distinct()),
            ("nobody", _("a command or the system")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value() or ""
        if value == "nobody":
            return queryset.filter(actor__isnull=True)
        return queryset.filter(actor=int(value)) if value.isdecimal() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportAdmin, LargeTableAdmin):
    list_display = ("when", "who", "action", "kind_of", "what", "changes")
    list_select_related = ("actor",)
    list_filter = ("action", KindFilter, ActorFilter, ("at", DayFilter))
    search_fields = ("object_id",)  # shows the search box; `get_search_results` says how it is searched
    list_per_page = 50
    search_help_text = _("The whole id of what was changed.")
    ordering = ("-pk",)
    fields = readonly_fields = ("when", "who", "action", "kind_of", "what", "difference")
    actions = ("export_selected",)
    export_columns = ("id", "at", "actor__email", "action", "kind", "object_id", "label", "before", "after")

    class Media:
        css = {"all": ("auditing/audit.css",)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        if term := search_term.strip():  # as it is written: any other way would read the table
            queryset = queryset.filter(object_id=term)
        return queryset, False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("when"))
    def when(self, entry: AuditEntry) -> datetime:
        return entry.at

    @admin.display(description=_("who"))
    def who(self, entry: AuditEntry) -> str:
        return entry.actor.email if entry.actor else str(_("a command or the system"))

    @admin.display(description=_("kind"))
    def kind_of(self, entry: AuditEntry) -> str:
        return kind_in_words(entry.kind)

    @admin.display(description=_("what"))
    def what(self, entry: AuditEntry) -> SafeString | str:
        return link_to_object(entry)

    @admin.display(description=_("before → after"))
    def changes(self, entry: AuditEntry) -> SafeString | str:
        return changes_in_short(entry)

    @admin.display(description=_("before → after"))
    def difference(self, entry: AuditEntry) -> SafeString | str:
        rows = [
            (_(change.name.replace("_", " ")), _marked("del", change.before), _marked("ins", change.after))
            for change in field_changes(entry)
        ]
        if not rows:
            return NOTHING
        return format_html(
            '<table class="difference"><thead><tr><th scope="col">{}</th><th scope="col">{}</th>'
            '<th scope="col">{}</th></tr></thead><tbody>{}</tbody></table>',
            _("field"),
            _("before"),
            _("after"),
            format_html_join("", '<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>', rows),
        )


def changes_in_short(entry: AuditEntry) -> SafeString | str:
    """Each changed field on a line: its name, what it was, what it became."""
    lines = [
        (_(name.replace("_", " ")), _short(entry.before.get(name)), _short(entry.after.get(name)))
        for name in dict.fromkeys([*entry.before, *entry.after])
    ]
    return format_html_join("", '<span class="change">{}: {} → {}</span>', lines) or NOTHING


def kind_in_words(kind: str) -> str:
    """A model's name for people; of one that is gone its label."""
    try:
        return str(apps.get_model(kind)._meta.verbose_name)
    except LookupError:
        return kind


def link_to_object(entry: AuditEntry) -> SafeString | str:
    """A link to the page of what was changed, if there is such a page; it may be gone since."""
    text = entry.label or entry.object_id or NOTHING
    try:
        page = reverse(f"admin:{entry.kind.replace('.', '_')}_change", args=[entry.object_id])
    except NoReverseMatch:
        return text
    return format_html('<a href="{}">{}</a>', page, text)


def _short(value: Any) -> str:
    return Truncator("" if value is None else str(value)).chars(SHOWN_IN_LIST) or "–"


def _marked(tag: str, pieces: Iterable[Piece]) -> SafeString | str:
    marked = format_html_join(
        "", "{}", ((format_html(f"<{tag}>{{}}</{tag}>", p.text) if p.differs else p.text,) for p in pieces)
    )
    return marked or NOTHING
