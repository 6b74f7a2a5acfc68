"""A person's wishes over HTTP."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import ViewSet

from followups.api.follow_ups import user_of, valid
from followups.api.serializers import StrictSerializer
from followups.conf import channel_choices
from followups.selectors.preferences import Preferences, preferences_of
from followups.services.preferences import update_preferences
from jyotiflow.accounts.limits import UserThrottle
from jyotiflow.accounts.models import Language
from jyotiflow.api import AwareDateTimeField, action_answer, read_answer
from jyotiflow.schema import action_schema, answers, read_schema

WORDING: Final = "preferences by API 1"  # raise the number with what the calls mean


class ChannelSwitches(StrictSerializer):
    """One switch a configured channel."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.BooleanField(required=False) for name, _ in channel_choices()}


class QuietHours(StrictSerializer):
    """From and until, in the user's zone, over midnight where ``start`` is the later; equal: none at all."""

    start = serializers.TimeField(format="%H:%M")
    end = serializers.TimeField(format="%H:%M")


class PreferencesSerializer(serializers.Serializer[Any]):
    """How somebody wants to be written to."""

    preferred_language = serializers.ChoiceField(Language.choices)
    timezone = serializers.CharField(max_length=64, help_text="An IANA name such as Asia/Kolkata.")
    phone = serializers.CharField(
        max_length=32, allow_blank=True, help_text="International, with + and the country code; empty: none."
    )
    channels = ChannelSwitches()
    quiet_hours = QuietHours(allow_null=True, help_text="Null: those in the settings.")
    paused_until = AwareDateTimeField(allow_null=True, help_text="Nothing goes out before; null: no pause.")


class PreferencesRequest(PreferencesSerializer, StrictSerializer):
    """The wishes to change; the others stay."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


class PreferenceViewSet(ViewSet):
    """The caller's wishes. Changes are limited: each number given is one that is written to."""

    def get_throttles(self) -> list[BaseThrottle]:
        return [UserThrottle()] if self.action == "write" else []

    @extend_schema(
        operation_id="get_preferences",
        responses=answers(
            read_schema("Preferences", PreferencesSerializer(), beside=PreferencesSerializer().fields), 401
        ),
    )
    def read(self, request: Request) -> Response:
        """How the caller wants to be written to."""
        document = document_of(preferences_of(user_of(request)))
        return read_answer(document, **document)

    @extend_schema(
        operation_id="put_preferences",
        request=PreferencesRequest,
        responses=answers(
            action_schema("PreferencesSaved", data=PreferencesSerializer(), **PreferencesSerializer().fields),
            400,
            401,
            429,
        ),
    )
    def write(self, request: Request) -> Response:
        """Change the wishes that are sent; they hold for what is booked already, too."""
        changes = valid(PreferencesRequest(data=request.data))
        if hours := changes.get("quiet_hours"):
            changes["quiet_hours"] = hours["start"], hours["end"]
        document = document_of(update_preferences(user=user_of(request), changes=changes, wording=WORDING))
        return action_answer("Your preferences are saved.", data=document, **document)


def document_of(wishes: Preferences) -> dict[str, Any]:
    """The wishes as JSON has them."""
    hours = wishes.quiet_hours
    return dict(
        PreferencesSerializer(
            {
                "preferred_language": wishes.preferred_language,
                "timezone": wishes.timezone,
                "phone": wishes.phone,
                "channels": wishes.channels,
                "quiet_hours": {"start": hours[0], "end": hours[1]} if hours else None,
                "paused_until": wishes.paused_until,
            }
        ).data
    )
