"""What staff do: templates, schedules, figures, settings. Each action asks for its Django permission."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from followups.api.follow_ups import user_of, valid
from followups.api.permissions import StaffPermission
from followups.api.serializers import (
    AdminItemSerializer,
    AdminScheduleFilters,
    AnalyticsFilters,
    SettingsDocument,
    TemplateRequest,
    TemplateSerializer,
)
from followups.conf import SETTINGS
from followups.exceptions import TemplateNotFound
from followups.models import FollowUpTemplate
from followups.selectors.analytics import Period, analytics_report
from followups.selectors.follow_ups import (
    all_follow_ups,
    current_templates,
    item_of,
    matching_template,
    with_status,
)
from followups.selectors.settings import stored_settings
from followups.services.retrying import retry_follow_up
from followups.services.settings import update_settings
from followups.services.templates import remove_template, save_template
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.selectors import user_by_email
from jyotiflow.api import action_answer, paginate, paginate_large, read_answer
from jyotiflow.exceptions import InvalidInput
from jyotiflow.schema import (
    IS_EXACT,
    LARGE_PAGE_PARAMETERS,
    PAGE_PARAMETERS,
    action_schema,
    answers,
    read_schema,
)


def template_by_id(template_id: UUID) -> FollowUpTemplate:
    """A template that isn't archived. Raises ``TemplateNotFound``."""
    template = current_templates().filter(pk=template_id).first()
    if template is None:
        raise TemplateNotFound("There is no such template.")
    return template


class TemplateViewSet(ViewSet):
    """Message templates."""

    permission_classes = [StaffPermission]
    permissions = {
        "index": "followups.view_followuptemplate",
        "create": "followups.add_followuptemplate",
        "update": "followups.change_followuptemplate",
        "destroy": "followups.delete_followuptemplate",
    }

    @extend_schema(
        operation_id="admin_list_templates",
        parameters=PAGE_PARAMETERS,
        responses=answers(
            read_schema("Templates", TemplateSerializer(many=True), counted=True), 400, 401, 403
        ),
    )
    def index(self, request: Request) -> Response:
        """Every template."""
        page = paginate(request, current_templates())
        return read_answer(TemplateSerializer(page.rows, many=True).data, page.count)

    @extend_schema(
        operation_id="admin_create_template",
        request=TemplateRequest,
        responses=answers(
            action_schema(
                "TemplateCreated",
                template_id=serializers.UUIDField(),
                warnings=serializers.ListField(child=serializers.CharField()),
            ),
            400,
            401,
            403,
            status=201,
        ),
    )
    def create(self, request: Request) -> Response:
        """Make a template; its texts are checked."""
        template, warnings = save_template(
            fields=valid(TemplateRequest(data=request.data)), actor=user_of(request)
        )
        return action_answer(
            "The template is saved.", 201, template_id=str(template.pk), warnings=[*warnings]
        )

    @extend_schema(
        operation_id="admin_update_template",
        request=TemplateRequest(partial=True),
        responses=answers(
            action_schema(
                "TemplateUpdated",
                version=serializers.IntegerField(),
                warnings=serializers.ListField(child=serializers.CharField()),
            ),
            400,
            401,
            403,
            404,
        ),
    )
    def update(self, request: Request, template_id: UUID) -> Response:
        """Change a template; what was bought before goes out as it was bought."""
        template, warnings = save_template(
            template=template_by_id(template_id),
            fields=valid(TemplateRequest(data=request.data, partial=True)),
            actor=user_of(request),
        )
        return action_answer("The template is saved.", version=template.version, warnings=[*warnings])

    @extend_schema(
        operation_id="admin_delete_template",
        request=None,
        responses=answers(action_schema("TemplateDeleted"), 401, 403, 404),
    )
    def destroy(self, request: Request, template_id: UUID) -> Response:
        """Delete a template, or archive one in use."""
        is_deleted = remove_template(template=template_by_id(template_id), actor=user_of(request))
        return action_answer(
            "The template is deleted."
            if is_deleted
            else "The template is in use, so it is archived: kept for history, not for sale."
        )


def admin_item_of(follow_up: Any) -> dict[str, object]:
    """An item with whose it is."""
    return {**item_of(follow_up), "user_email": follow_up.user_email, "user_name": follow_up.user.name}


class ScheduleViewSet(ViewSet):
    """Everybody's follow-ups."""

    permission_classes = [StaffPermission]
    permissions = {
        "index": "followups.view_followupschedule",
        "cancel": "followups.change_followupschedule",
        "retry": "followups.change_followupschedule",
    }

    @extend_schema(
        operation_id="admin_list_schedules",
        parameters=[AdminScheduleFilters, *LARGE_PAGE_PARAMETERS],
        responses=answers(
            read_schema(
                "Schedules", AdminItemSerializer(many=True), counted=True, beside={"count_is_exact": IS_EXACT}
            ),
            400,
            401,
            403,
        ),
    )
    def index(self, request: Request) -> Response:
        """Follow-ups, newest ``scheduled_at`` first. Above 10,000 the count is an estimate."""
        filters = valid(AdminScheduleFilters(data=request.query_params))
        follow_ups = all_follow_ups()
        if filters.get("status"):
            follow_ups = with_status(follow_ups, filters["status"])
        if filters.get("template"):
            follow_ups = follow_ups.filter(matching_template(filters["template"]))
        if filters.get("user_email"):
            follow_ups = follow_ups.filter(user=user_by_email(filters["user_email"]))
        columns = {"channel": "channel", "from": "scheduled_at__gte", "to": "scheduled_at__lte"}
        wanted = {column: filters[name] for name, column in columns.items() if filters.get(name)}
        page = paginate_large(
            request, follow_ups.filter(**wanted), newest_by="scheduled_at", after=filters.get("after")
        )
        items = AdminItemSerializer([admin_item_of(row) for row in page.rows], many=True).data
        return read_answer(items, page.count, count_is_exact=page.is_exact)

    @extend_schema(
        operation_id="admin_cancel_schedule",
        request=None,
        responses=answers(
            action_schema("ScheduleCancelled", credits_refunded=serializers.IntegerField()),
            401,
            403,
            404,
            409,
        ),
    )
    def cancel(self, request: Request, follow_up_id: UUID) -> Response:
        """Withdraw a follow-up that is still scheduled."""
        follow_up = cancel_follow_up(follow_up_id=follow_up_id, actor=user_of(request))
        return action_answer("The follow-up is cancelled.", credits_refunded=follow_up.credits_refunded)

    @extend_schema(
        operation_id="admin_retry_schedule",
        request=None,
        responses=answers(
            action_schema("ScheduleRetried", followup_id=serializers.UUIDField()),
            400,
            401,
            402,
            403,
            404,
            409,
        ),
    )
    def retry(self, request: Request, follow_up_id: UUID) -> Response:
        """Try a failed follow-up again, now."""
        follow_up = retry_follow_up(follow_up_id=follow_up_id, actor=user_of(request))
        is_same = follow_up.pk == follow_up_id
        return action_answer(
            "The follow-up is queued again."
            if is_same
            else f"It had been refunded; a new one is booked for {follow_up.credits_charged} credits.",
            followup_id=str(follow_up.pk),
        )


class AnalyticsViewSet(ViewSet):
    """The figures."""

    permission_classes = [StaffPermission]
    permissions = {"report": "followups.view_followupanalytics"}

    @extend_schema(
        operation_id="admin_analytics",
        parameters=[AnalyticsFilters],
        responses=answers(read_schema("Analytics", serializers.DictField()), 400, 401, 403),
    )
    def report(self, request: Request) -> Response:
        """Totals, rates, revenue, templates, channels and days."""
        filters = valid(AnalyticsFilters(data=request.query_params))
        return read_answer(
            analytics_report(
                Period(
                    start=filters.get("start_date"),
                    end=filters.get("end_date"),
                    channel=filters.get("channel", ""),
                    template=filters.get("template", ""),
                    language=filters.get("language", ""),
                )
            )
        )


class SettingsViewSet(ViewSet):
    """The settings."""

    permission_classes = [StaffPermission]
    permissions = {"read": "followups.view_followupsetting", "write": "followups.change_followupsetting"}

    @extend_schema(
        operation_id="admin_get_settings",
        responses=answers(read_schema("Settings", SettingsDocument()), 401, 403),
    )
    def read(self, request: Request) -> Response:
        """Every setting with its value in force."""
        return read_answer(stored_settings())

    @extend_schema(
        operation_id="admin_put_settings",
        request=SettingsDocument,
        responses=answers(action_schema("SettingsSaved"), 400, 401, 403),
    )
    def write(self, request: Request) -> Response:
        """Change the settings that are sent; the others stay."""
        if not isinstance(request.data, dict) or not request.data:
            raise InvalidInput(f"Send an object of settings: {', '.join(SETTINGS)}.")
        update_settings(changes=request.data, actor=user_of(request))
        return action_answer("The settings are saved.")
