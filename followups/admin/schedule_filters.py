"""What the list of follow-ups can be narrowed by, beyond its plain columns."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import make_aware
from django.utils.translation import gettext_lazy as _

from followups.admin.filters import FormFilter, IsSetFilter
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.selectors.follow_ups import stuck

FollowUps = QuerySet[FollowUpSchedule]


class RefundedFilter(IsSetFilter):
    title = _("refunded")
    parameter_name = "refunded"
    column = "refunded_at"


class StuckFilter(admin.SimpleListFilter):
    """Django's own filters know no "now"."""

    title = _("stuck")
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [("yes", _("Due for over 5 minutes"))]

    def queryset(self, request: HttpRequest, queryset: FollowUps) -> FollowUps:
        return stuck(queryset) if self.value() == "yes" else queryset


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class DayRangeForm(forms.Form):
    from_day = forms.DateField(label=_("From"), required=False, widget=DateInput)
    to_day = forms.DateField(label=_("Through"), required=False, widget=DateInput)


class ScheduledFilter(FormFilter):
    """Days are those of the admin's clock."""

    title = _("scheduled day")
    form_class = DayRangeForm

    def narrow(self, queryset: FollowUps, values: dict[str, Any]) -> FollowUps:
        if values["from_day"]:
            queryset = queryset.filter(
                scheduled_at__gte=make_aware(datetime.combine(values["from_day"], time()))
            )
        if values["to_day"]:
            end = datetime.combine(values["to_day"], time()) + timedelta(days=1)
            queryset = queryset.filter(scheduled_at__lt=make_aware(end))
        return queryset


class TemplateChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.channel})"


class TemplateChoiceForm(forms.Form):
    template = TemplateChoice(
        FollowUpTemplate.objects.only("name", "channel").order_by("name", "channel"),
        label=_("Template"),
        required=False,
        empty_label=_("All"),
    )


class TemplateFilter(FormFilter):
    title = _("template")
    form_class = TemplateChoiceForm

    def narrow(self, queryset: FollowUps, values: dict[str, Any]) -> FollowUps:
        return queryset.filter(template=values["template"]) if values["template"] else queryset


class FailureCodeForm(forms.Form):
    failure_code = forms.CharField(
        label=_("Code"),
        required=False,
        max_length=50,
        widget=forms.TextInput(attrs={"placeholder": "30003, quiet_hours…"}),
    )


class FailureCodeFilter(FormFilter):
    """Ours or a provider's; of one that waits, why it does."""

    title = _("failure code")
    form_class = FailureCodeForm

    def narrow(self, queryset: FollowUps, values: dict[str, Any]) -> FollowUps:
        return queryset.filter(failure_code=values["failure_code"]) if values["failure_code"] else queryset
