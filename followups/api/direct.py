"""Trying a template out, and one word of staff to one address."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import ViewSet

from followups.api.admin import template_by_id
from followups.api.follow_ups import user_of, valid
from followups.api.once import IDEMPOTENCY_HEADER, answer
from followups.api.permissions import StaffPermission
from followups.api.serializers import StrictSerializer
from followups.conf import channel_choices
from followups.models import DirectMessage
from followups.selectors.follow_ups import session_of
from followups.selectors.previews import preview
from followups.services.direct import queue_notice, queue_test
from followups.services.idempotency import Answer
from followups.tasks import hand_over_direct
from jyotiflow.accounts.limits import StaffThrottle
from jyotiflow.accounts.models import Language, User
from jyotiflow.accounts.selectors import user_by_email
from jyotiflow.api import read_answer
from jyotiflow.exceptions import InvalidInput, NotAllowed, NotFound
from jyotiflow.schema import action_schema, answers, read_schema
from sessions_app.models import Session

ADDRESS = r"^[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,1022}[^\x00-\x20\x7f])?$"  # one line, not blank


class PreviewRequest(StrictSerializer):
    """For whom to render it; nobody in particular unless told."""

    language = serializers.ChoiceField(Language.choices, required=False)
    user_email = serializers.EmailField(required=False, help_text="Needs leave to see users.")
    session_id = serializers.CharField(
        required=False, max_length=255, help_text="The user's own. Needs leave to see sessions."
    )


class SegmentsSerializer(serializers.Serializer[Any]):
    """What an SMS takes."""

    encoding = serializers.ChoiceField(["GSM-7", "UCS-2"])
    units = serializers.IntegerField()
    count = serializers.IntegerField()
    culprit = serializers.CharField(help_text="The first character outside GSM-7; empty: none.")


class PreviewSerializer(serializers.Serializer[Any]):
    """A template as its reader would get it."""

    language = serializers.ChoiceField(Language.choices)
    subject = serializers.CharField()
    body = serializers.CharField()
    text = serializers.CharField(help_text="The whole as it goes out, with what stands around the body.")
    html = serializers.CharField(help_text="Email only.")
    segments = SegmentsSerializer(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField())


class TestRequest(StrictSerializer):
    """Where a test goes."""

    to = serializers.RegexField(ADDRESS, help_text="An address of the template's channel.")
    language = serializers.ChoiceField(Language.choices, required=False, default=Language.ENGLISH)


class NoticeRequest(StrictSerializer):
    """A word of staff."""

    channel = serializers.ChoiceField(channel_choices())
    to = serializers.RegexField(ADDRESS, required=False)
    subject = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    message = serializers.CharField(max_length=20_000, trim_whitespace=False)
    device_token = serializers.RegexField(ADDRESS, required=False, help_text="For a push, in place of `to`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        to, token = attrs.get("to", ""), attrs.pop("device_token", "")
        if not (to or token):
            raise serializers.ValidationError({"to": ["Send the address, or device_token for a push."]})
        attrs["to"] = token if token and attrs["channel"] == "push" else to or token
        if attrs["channel"] == "email" and not attrs["subject"].strip():
            raise serializers.ValidationError({"subject": ["A mail needs a subject."]})
        return attrs


QUEUED = {"message_id": serializers.UUIDField()}


def queued(row: DirectMessage, sentence: str) -> Answer:
    """The answer to a message that is handed over as soon as it's stored."""
    transaction.on_commit(partial(hand_over_direct, row))
    return Answer(200, {"success": True, "message": sentence, "message_id": str(row.pk)})


class TryOutViewSet(ViewSet):
    """A template before it's sold."""

    permission_classes = [StaffPermission]
    permissions = {"preview": "followups.view_followuptemplate", "test": "followups.send_test"}

    def get_throttles(self) -> list[BaseThrottle]:
        return [StaffThrottle()] if self.action == "test" else []

    @extend_schema(
        operation_id="admin_preview_template",
        request=PreviewRequest,
        responses=answers(read_schema("Preview", PreviewSerializer()), 400, 401, 403, 404),
    )
    def preview(self, request: Request, template_id: UUID) -> Response:
        """Render a template; for a user or a session only if one may see those."""
        wanted = valid(PreviewRequest(data=request.data))
        user, session = reader_of(user_of(request), **wanted)
        shown = preview(
            template_by_id(template_id), language=wanted.get("language", ""), user=user, session=session
        )
        return read_answer(
            PreviewSerializer(
                {
                    "language": shown.language,
                    "subject": shown.rendered.subject,
                    "body": shown.rendered.body,
                    "text": shown.rendered.text,
                    "html": shown.rendered.html,
                    "segments": shown.segments,
                    "warnings": shown.warnings,
                }
            ).data
        )

    @extend_schema(
        operation_id="admin_test_template",
        request=TestRequest,
        parameters=[IDEMPOTENCY_HEADER],
        responses=answers(action_schema("TestQueued", **QUEUED), 400, 401, 403, 404, 409, 429),
    )
    def test(self, request: Request, template_id: UUID) -> Response:
        """Send a template as a test: free, not counted, and on record."""
        wanted, actor = valid(TestRequest(data=request.data)), user_of(request)
        template = template_by_id(template_id)
        return answer(
            request,
            lambda: queued(
                queue_test(template=template, actor=actor, **wanted), "The test message is on its way."
            ),
        )


class NoticeViewSet(ViewSet):
    """Words of staff."""

    permission_classes = [StaffPermission]
    permissions = {"send": "followups.add_directmessage"}
    throttle_classes = [StaffThrottle]

    @extend_schema(
        operation_id="admin_notify",
        request=NoticeRequest,
        parameters=[IDEMPOTENCY_HEADER],
        responses=answers(action_schema("NoticeQueued", **QUEUED), 400, 401, 403, 409, 429),
    )
    def send(self, request: Request) -> Response:
        """Send one message to one address: free, not counted, and on record."""
        wanted, actor = valid(NoticeRequest(data=request.data)), user_of(request)
        return answer(
            request, lambda: queued(queue_notice(actor=actor, **wanted), "The message is on its way.")
        )


def reader_of(
    actor: User, *, user_email: str = "", session_id: str = "", **_: Any
) -> tuple[User | None, Session | None]:
    """Whom a preview is for; a person's words are shown only to who may see them anyway.

    Raises ``NotAllowed``, ``NotFound`` or ``SessionNotFound``.
    """
    if user_email and not actor.has_perm("accounts.view_user"):
        raise NotAllowed("You may not see users; preview it without one.", code="permission_denied")
    if session_id and not actor.has_perm("sessions_app.view_session"):
        raise NotAllowed("You may not see sessions; preview it without one.", code="permission_denied")
    if session_id and not user_email:
        raise InvalidInput.field("user_email", "Name the session's user.")
    if not user_email:
        return None, None
    user = user_by_email(user_email)
    if user is None:
        raise NotFound("There is no user with this email.", code="user_not_found")
    return user, session_of(user, session_id) if session_id else None
