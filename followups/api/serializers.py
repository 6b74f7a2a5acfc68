"""What the API takes and gives, field by field."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from followups.choices import DltCategory, PublicStatus, SettingType, State, TemplateType
from followups.conf import SETTINGS, Setting, channel_choices
from followups.models import TEXT_FIELDS, Device, FollowUpTemplate
from jyotiflow.accounts.models import Language
from jyotiflow.api import AwareDateTimeField

MAX_PRICE = 10_000  # credits
PUSH_TOKEN = r"^[!-~]{1,1024}$"  # what fits the index that keeps tokens unique
MOST_NAMED = 20  # unknown fields told of: the answer must not be larger than the question
REPORTED_YEARS = range(2000, 2101)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it doesn't know, so nothing a client sends is silently dropped."""

    refuses_unknown_fields = True  # so says the published schema
    refusals: dict[str, str] = {}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError(
                    {
                        name: [self.refusals.get(name, "There is no such field.")]
                        for name in unknown[:MOST_NAMED]
                    }
                )
        return super().to_internal_value(data)


class ScheduleRequest(StrictSerializer):
    """A follow-up to book. The price is the template's; a client can't name one."""

    refusals = {"credits_to_charge": "The price is the template's; leave this out."}

    template_id = serializers.UUIDField()
    channel = serializers.CharField(required=False, allow_null=True, max_length=20)
    session_id = serializers.CharField(required=False, allow_null=True, max_length=255)
    scheduled_at = AwareDateTimeField(required=False, allow_null=True)
    user_email = serializers.EmailField(required=False, allow_null=True)
    custom_variables = serializers.DictField(required=False, allow_null=True)


class RescheduleRequest(StrictSerializer):
    """Another time for a follow-up."""

    scheduled_at = AwareDateTimeField()


class RefusalSerializer(serializers.Serializer[Any]):
    """One reason why a booking would be refused."""

    code = serializers.CharField()
    message = serializers.CharField()
    status = serializers.IntegerField(help_text="The HTTP status a booking would get.")


class QuoteSerializer(serializers.Serializer[Any]):
    """What a booking would do, at this moment."""

    template_id = serializers.UUIDField()
    channel = serializers.CharField()
    credits_cost = serializers.IntegerField()
    credits_available = serializers.IntegerField()
    language = serializers.ChoiceField(Language.choices)
    subject = serializers.CharField()
    message = serializers.CharField()
    scheduled_at = AwareDateTimeField(allow_null=True, help_text="Null: no time is free.")
    goes_at = AwareDateTimeField(allow_null=True, help_text="Null: it would expire before.")
    waits_for = serializers.CharField(help_text="What would hold it until then: quiet_hours, paused, …")
    timezone = serializers.CharField()
    local_time = serializers.CharField(allow_null=True, help_text="`goes_at` in the user's zone.")
    accepted = serializers.BooleanField(help_text="Whether a booking would be accepted.")
    refusals = RefusalSerializer(many=True)


class ItemSerializer(serializers.Serializer[Any]):
    """One follow-up as its reader sees it."""

    id = serializers.UUIDField()
    session_id = serializers.CharField(allow_null=True)
    template_id = serializers.UUIDField()
    template_name = serializers.CharField()
    template_tamil_name = serializers.CharField()
    channel = serializers.CharField()
    status = serializers.ChoiceField(PublicStatus.choices)
    state = serializers.ChoiceField(State.choices)
    delivery_status = serializers.ChoiceField(PublicStatus.choices)
    subject = serializers.CharField()
    message = serializers.CharField()
    language = serializers.ChoiceField(Language.choices)
    scheduled_at = AwareDateTimeField()
    sent_at = AwareDateTimeField(allow_null=True)
    delivered_at = AwareDateTimeField(allow_null=True)
    read_at = AwareDateTimeField(allow_null=True)
    failure_reason = serializers.CharField()
    credits_charged = serializers.IntegerField()
    credits_refunded = serializers.IntegerField()
    created_at = AwareDateTimeField()
    updated_at = AwareDateTimeField()


class AdminItemSerializer(ItemSerializer):
    """One follow-up as staff see it."""

    user_email = serializers.CharField()
    user_name = serializers.CharField()


class DeviceRequest(StrictSerializer):
    """A phone or browser that takes pushes."""

    token = serializers.RegexField(PUSH_TOKEN)
    platform = serializers.ChoiceField(Device.Platform.choices)


class DeviceTokenRequest(StrictSerializer):
    """A push token to forget."""

    token = serializers.RegexField(PUSH_TOKEN)
    platform = serializers.ChoiceField(Device.Platform.choices, required=False)


class SessionCompleteRequest(StrictSerializer):
    """Another JyotiFlow service says that a session is completed."""

    session_id = serializers.CharField(max_length=255)
    user_email = serializers.EmailField()
    service_type = serializers.CharField(required=False, allow_blank=True, max_length=50)
    guidance_summary = serializers.CharField(required=False, allow_blank=True, max_length=20_000)


class TemplateSerializer(serializers.ModelSerializer[FollowUpTemplate]):
    """A template, whole."""

    created_at = AwareDateTimeField()
    updated_at = AwareDateTimeField()
    variables = serializers.ListField(child=serializers.CharField())
    service_types = serializers.ListField(child=serializers.CharField())
    dlt_category = serializers.ChoiceField(DltCategory.choices, allow_blank=True)

    class Meta:
        model = FollowUpTemplate
        fields = (
            "id",
            "name",
            "tamil_name",
            "description",
            "template_type",
            "channel",
            *TEXT_FIELDS,
            "credits_cost",
            "is_active",
            "version",
            "service_types",
            "sequence_order",
            "delay_hours",
            "local_time",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class TemplateRequest(StrictSerializer):
    """A template to create, or the fields of one to change (``partial``)."""

    # A client may send back what it read; these are ours and are left as they are.
    ECHOED = ("id", "version", "created_at", "updated_at")

    name = serializers.CharField(max_length=100)
    tamil_name = serializers.CharField(max_length=100, allow_blank=True, required=False)
    description = serializers.CharField(max_length=5_000, allow_blank=True, required=False)
    template_type = serializers.ChoiceField(TemplateType.choices)
    channel = serializers.ChoiceField(channel_choices())
    subject = serializers.CharField(max_length=200)
    tamil_subject = serializers.CharField(max_length=200, allow_blank=True, required=False)
    content = serializers.CharField(max_length=20_000, trim_whitespace=False)
    tamil_content = serializers.CharField(
        max_length=20_000, allow_blank=True, required=False, trim_whitespace=False
    )
    variables = serializers.ListField(
        child=serializers.CharField(max_length=50), required=False, max_length=50
    )
    credits_cost = serializers.IntegerField(min_value=0, max_value=MAX_PRICE, required=False, allow_null=True)
    is_active = serializers.BooleanField(required=False)
    whatsapp_content_sid = serializers.RegexField(r"^(HX[0-9a-fA-F]{32})?$", required=False, allow_blank=True)
    tamil_whatsapp_content_sid = serializers.RegexField(
        r"^(HX[0-9a-fA-F]{32})?$", required=False, allow_blank=True
    )
    dlt_template_id = serializers.RegexField(r"^[0-9]{0,30}$", required=False, allow_blank=True)
    tamil_dlt_template_id = serializers.RegexField(r"^[0-9]{0,30}$", required=False, allow_blank=True)
    dlt_category = serializers.ChoiceField(DltCategory.choices, required=False, allow_blank=True)
    service_types = serializers.ListField(
        child=serializers.CharField(max_length=50), required=False, max_length=50
    )
    sequence_order = serializers.IntegerField(min_value=1, max_value=100, required=False, allow_null=True)
    delay_hours = serializers.IntegerField(min_value=0, max_value=24 * 90, required=False)
    local_time = serializers.TimeField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if name not in self.ECHOED}
            for name in ("tamil_name", "description", "tamil_subject", "tamil_content"):
                if name in data and data[name] is None:
                    data[name] = ""
        return super().to_internal_value(data)


_FIELD_BY_TYPE: dict[str, Callable[..., serializers.Field[Any, Any, Any, Any]]] = {
    SettingType.BOOLEAN: serializers.BooleanField,
    SettingType.INTEGER: serializers.IntegerField,
    SettingType.DECIMAL: serializers.FloatField,
    SettingType.TIME: serializers.TimeField,
}
_NUMBERS = (SettingType.INTEGER, SettingType.DECIMAL)


class SettingsDocument(serializers.Serializer[Any]):
    """Every setting by its key, as the schema shows it; the registry itself checks what is sent."""

    refuses_unknown_fields = True

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {key: _field_of(setting) for key, setting in SETTINGS.items()}


def _field_of(setting: Setting) -> serializers.Field[Any, Any, Any, Any]:
    bounds = {"min_value": setting.minimum, "max_value": setting.maximum} if setting.type in _NUMBERS else {}
    return _FIELD_BY_TYPE[setting.type](required=False, help_text=setting.help, **bounds)


class ScheduleFilters(serializers.Serializer[Any]):
    """The query of a user's list."""

    status = serializers.ChoiceField(PublicStatus.choices, required=False, allow_blank=True)
    session_id = serializers.CharField(required=False, allow_blank=True, max_length=255)


class AdminScheduleFilters(serializers.Serializer[Any]):
    """The query of the admin's list. ``from`` and ``to`` bound ``scheduled_at``."""

    status = serializers.ChoiceField(PublicStatus.choices, required=False, allow_blank=True)
    channel = serializers.ChoiceField(channel_choices(), required=False, allow_blank=True)
    template = serializers.CharField(required=False, allow_blank=True, max_length=100)
    user_email = serializers.CharField(required=False, allow_blank=True, max_length=254)
    to = AwareDateTimeField(required=False)
    after = serializers.UUIDField(
        required=False, help_text="The last id of the page before: how to page beyond any offset."
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "from": AwareDateTimeField(required=False)}


class AnalyticsFilters(serializers.Serializer[Any]):
    """The query of the analytics: days in the report's time zone, both included."""

    start_date = serializers.DateField(required=False)
    end_date = serializers.DateField(required=False)
    channel = serializers.ChoiceField(channel_choices(), required=False, allow_blank=True)
    template = serializers.CharField(required=False, allow_blank=True, max_length=100)
    language = serializers.ChoiceField(Language.choices, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("start_date", "end_date"):
            if name in attrs and attrs[name].year not in REPORTED_YEARS:
                raise serializers.ValidationError({name: ["There are no figures for that year."]})
        start, end = attrs.get("start_date"), attrs.get("end_date")
        if start and end and start > end:
            raise serializers.ValidationError({"end_date": ["The end is before the start."]})
        return attrs
