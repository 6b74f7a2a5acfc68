"""What was planned after each session, and why something was not."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from followups.admin.columns import NOTHING, link_to, moment, moment_column, table
from followups.admin.history import HistoryAdmin
from followups.models import FollowUpSchedule, FollowUpTemplate, SessionPlan
from jyotiflow.accounts.searching import PeopleSearchAdmin

# Reasons that are not a refusal's own code, which reads well enough without its underscores.
REASONS = {
    "auto_followup_enabled": _("automatic follow-ups were off"),
    "max_followups_per_session": _("the session had its most follow-ups"),
    "invalid_template": _("no time can be found for the template"),
}


@admin.register(SessionPlan)
class SessionPlanAdmin(PeopleSearchAdmin, HistoryAdmin):
    list_display = (
        moment_column("created_at", _("planned")),
        "reader",
        "booked",
        "skipped",
        "session_id",
    )
    list_select_related = ("session__user",)
    list_filter = ("created_at",)
    search_fields = ("session__user__email",)
    search_help_text = _("A part of the reader's email, name or phone; or a whole session id.")
    person = "session__user"
    whole_values = ("session",)
    ordering = ("-pk",)
    fields = ("session", "reader", "created_at", "what_was_decided")
    readonly_fields = ("reader", "what_was_decided")

    @admin.display(description=_("reader"), ordering="session__user__email")
    def reader(self, plan: SessionPlan) -> str:
        return plan.session.user.email

    @admin.display(description=_("booked"))
    def booked(self, plan: SessionPlan) -> int:
        return sum("follow_up" in decision for decision in plan.decisions)

    @admin.display(description=_("skipped"))
    def skipped(self, plan: SessionPlan) -> str:
        reasons = (_reason(decision["skipped"]) for decision in plan.decisions if "skipped" in decision)
        return ", ".join(reasons) or NOTHING

    @admin.display(description=_("decisions"))
    def what_was_decided(self, plan: SessionPlan) -> str:
        templates = FollowUpTemplate.objects.only("name").in_bulk(_ids(plan, "template"))
        follow_ups = FollowUpSchedule.objects.only("channel", "scheduled_at").in_bulk(_ids(plan, "follow_up"))
        names = {str(key): template.name for key, template in templates.items()}
        times = {
            str(key): f"{follow_up.get_channel_display()}, {moment(follow_up.scheduled_at)}"
            for key, follow_up in follow_ups.items()
        }
        return table(
            [_("Template"), _("Follow-up"), _("Skipped because")],
            [_row(decision, names, times) for decision in plan.decisions],
        )


def _ids(plan: SessionPlan, what: str) -> list[str]:
    return [decision[what] for decision in plan.decisions if what in decision]


def _row(decision: dict[str, Any], names: dict[str, str], times: dict[str, str]) -> tuple[object, ...]:
    """What is gone since is shown by its id."""
    template, follow_up = decision.get("template"), decision.get("follow_up")
    return (
        link_to(FollowUpTemplate, template, names.get(template or "", template)),
        link_to(FollowUpSchedule, follow_up, times.get(follow_up or "", follow_up)),
        _reason(decision["skipped"]) if "skipped" in decision else NOTHING,
    )


def _reason(code: str) -> str:
    return str(REASONS.get(code, code.replace("_", " ")))
