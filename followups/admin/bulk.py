"""Bulk changes: look at what one would do, say yes, watch it, stop it."""

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from followups.admin.choosing import CHANGE
from followups.admin.columns import NOTHING, link_to, moment_column
from followups.admin.history import HistoryAdmin
from followups.admin.searching import by_id
from followups.admin.timeline_words import because
from followups.choices import BulkAction, BulkItemState, BulkState
from followups.models import BulkChange, BulkItem, FollowUpSchedule, FollowUpTemplate
from followups.selectors.bulk import Refused, tally_of
from followups.services import bulk

SHOWN: Final = 50  # of its follow-ups, on its page
# What was and will be done to each, in the past and as a promise.
DONE: Final[Mapping[str, str | Promise]] = {
    BulkAction.CANCEL: _("cancelled"),
    BulkAction.MOVE: _("moved"),
    BulkAction.RETRY: _("queued again"),
    BulkAction.BOOK: _("booked"),
}


@admin.register(BulkChange)
class BulkChangeAdmin(HistoryAdmin):
    list_display = (
        "name",
        "actor",
        "state",
        moment_column("created_at", _("asked for")),
        moment_column("confirmed_at", _("confirmed")),
        moment_column("finished_at", _("finished")),
    )
    list_select_related = ("actor",)
    list_filter = ("action", "state", "created_at")
    search_fields = ("=pk",)
    search_help_text = _("A change's number.")
    ordering = ("-pk",)

    class Media:
        css = {"all": ("followups/admin/schedules.css",)}

    @admin.display(description=_("bulk change"))
    def name(self, change: BulkChange) -> str:
        return str(change)

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any) -> URLPattern:
            return path(
                f"<int:pk>/{route}/", self.admin_site.admin_view(view), name=f"followups_bulkchange_{route}"
            )

        return [
            page("progress", require_GET(self.progress)),
            page("run", require_POST(self.run)),
            page("stop", require_POST(self.stop)),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        change = self.get_object(request, object_id)
        if change is None or not self.has_view_permission(request, change) or request.method == "POST":
            return super().change_view(request, object_id, form_url, extra_context)
        context = {
            **self.admin_site.each_context(request),
            **self._shown(request, change),
            "opts": self.opts,
            "title": str(change),
        }
        return render(request, "admin/followups/bulkchange/page.html", context)

    def progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How it stands, for the page to show in place of what it showed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown = self._shown(request, get_object_or_404(BulkChange, pk=pk))
        return render(request, "admin/followups/bulkchange/_progress.html", shown)

    def run(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Confirm it; pressed twice it runs once."""
        change = self._changeable(request, pk)
        actor: Any = request.user  # signed in, else the admin site had not let them in
        if bulk.confirm(change_id=change.pk, actor=actor):
            bulk.go_on(change_id=change.pk)
        return redirect("admin:followups_bulkchange_change", pk)

    def stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Leave what isn't done as it is."""
        change = self._changeable(request, pk)
        bulk.stop(change_id=change.pk)
        return redirect("admin:followups_bulkchange_change", pk)

    def _changeable(self, request: HttpRequest, pk: int) -> BulkChange:
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        return get_object_or_404(BulkChange, pk=pk)

    def _shown(self, request: HttpRequest, change: BulkChange) -> dict[str, Any]:
        tally = tally_of(change)
        is_checking = change.state == BulkState.CHECKING
        items = list(items_of(change)[:SHOWN])
        name_templates(items)
        return {
            "change": change,
            "tally": tally,
            "refusals": [(_why(each), each) for each in tally.refusals],
            "items": items,
            "done_word": DONE[change.action],
            "is_open": change.state in bulk.OPEN_STATES,
            "reached": tally.looked_at if is_checking else tally.done + tally.refused,
            "may_change": request.user.has_perm(CHANGE),
            "items_url": f"{reverse('admin:followups_bulkitem_changelist')}?change__id__exact={change.pk}",
        }


def _why(refused: Refused) -> str:
    """One reason for all that share a code; rows of a file each have their own fault."""
    if refused.code == "bad_row":
        return str(_("the row can't be read; each says what is wrong with it"))
    return because(refused.code, refused.reason)


def items_of(change: BulkChange) -> QuerySet[BulkItem]:
    """Its follow-ups as they were chosen, with what a line shows of each."""
    shown = ("user", "follow_up__user", "follow_up__template")
    deferred = [f"follow_up__template__{text}" for text in ("content", "tamil_content")]
    return change.items.select_related(*shown).defer(*deferred).order_by("number")


def name_templates(items: list[BulkItem]) -> None:
    """Give each item the words its line shows, with one query more for the rows of a file."""
    wanted = {item.order["template_id"] for item in items if "template_id" in item.order}
    names = FollowUpTemplate.objects.only("name").in_bulk(wanted) if wanted else {}
    by_text = {str(key): template.name for key, template in names.items()}
    for each in items:
        line: Any = each
        follow_up = each.follow_up
        line.template_name = (
            follow_up.template.name if follow_up else by_text.get(each.order.get("template_id", ""), NOTHING)
        )
        line.reader = (follow_up.user if follow_up else each.user) or NOTHING
        line.at = each.moved_to or (follow_up.scheduled_at if follow_up else None)
        line.why_not = because(each.code, each.reason) if each.code else ""


@admin.register(BulkItem)
class BulkItemAdmin(HistoryAdmin):
    list_display = ("number", "change", "follow_up_link", "reader", "state", "credits", "why_not")
    list_select_related = ("change", "user", "follow_up__user")
    list_filter = ("state", ("change", admin.RelatedOnlyFieldListFilter))
    search_fields = ("=change__pk",)
    search_help_text = _("A bulk change's number, or the whole id of a follow-up.")
    ordering = ("-change_id", "number")
    fields = (
        "change",
        "number",
        "follow_up_link",
        "user",
        "order",
        "state",
        "credits",
        "why_not",
        "moved_from",
        "moved_to",
        "done_at",
    )
    readonly_fields = ("follow_up_link", "why_not")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BulkItem], search_term: str
    ) -> tuple[QuerySet[BulkItem], bool]:
        for word in search_term.split():
            whole = {"change": int(word)} if word.isdecimal() and len(word) <= 18 else None
            queryset = (
                queryset.filter(**whole) if whole else queryset.filter(by_id(word, uuids=["follow_up"]))
            )
        return queryset, False

    @admin.display(description=_("follow-up"))
    def follow_up_link(self, item: BulkItem) -> str:
        return link_to(FollowUpSchedule, item.follow_up_id, item.follow_up_id)

    @admin.display(description=_("reader"))
    def reader(self, item: BulkItem) -> str:
        person = item.follow_up.user if item.follow_up else item.user
        return str(person) if person else NOTHING

    @admin.display(description=_("why not"))
    def why_not(self, item: BulkItem) -> str:
        return because(item.code, item.reason) if item.state == BulkItemState.REFUSED else NOTHING
