"""The daily figures. They are computed from the follow-ups, so nobody types them."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import titled_column
from followups.admin.history import HistoryAdmin
from followups.models import FollowUpAnalytics
from followups.selectors.analytics import rates


@admin.register(FollowUpAnalytics)
class FollowUpAnalyticsAdmin(HistoryAdmin):
    list_display = (
        "date",
        "template",
        "channel",
        "language",
        titled_column("total_sent", _("sent")),
        titled_column("total_delivered", _("delivered")),
        titled_column("total_read", _("read")),
        titled_column("total_failed", _("failed")),
        titled_column("delivered_after_refund", _("after refund")),
        "delivery_rate",
        "read_rate",
        titled_column("credits_charged", _("charged")),
        titled_column("credits_refunded", _("refunded")),
        titled_column("revenue_generated", _("revenue")),
    )
    list_select_related = ("template",)
    list_filter = ("channel", "language", "date", "template__template_type")
    search_fields = ("template__name", "template__tamil_name")
    date_hierarchy = "date"  # cheap: one row a day, template, channel and language
    fields = (
        ("date", "template", "channel", "language"),
        ("total_sent", "total_delivered", "total_read", "total_failed", "delivered_after_refund"),
        ("delivery_rate", "read_rate"),
        ("credits_charged", "credits_refunded", "revenue_generated"),
        ("created_at", "updated_at"),
    )
    readonly_fields = ("delivery_rate", "read_rate")

    @admin.display(description=_("delivered %"))
    def delivery_rate(self, figures: FollowUpAnalytics) -> str:
        return _rate(figures, "delivery_rate")

    @admin.display(description=_("read %"))
    def read_rate(self, figures: FollowUpAnalytics) -> str:
        return _rate(figures, "read_rate")


def _rate(figures: FollowUpAnalytics, name: str) -> str:
    return f"{rates(figures.total_sent, figures.total_delivered, figures.total_read)[name]:.1f}"
