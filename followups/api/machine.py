"""What other JyotiFlow services call."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from followups.api.follow_ups import valid
from followups.api.serializers import SessionCompleteRequest
from followups.conf import channel_choices
from followups.services.completing import complete_and_plan
from jyotiflow.accounts.limits import MachineThrottle
from jyotiflow.accounts.machines import HasScope, MachineKeyAuthentication
from jyotiflow.accounts.models import MachineKey
from jyotiflow.api import AwareDateTimeField, action_answer
from jyotiflow.schema import action_schema, answers


class PlannedSerializer(serializers.Serializer[Any]):
    """One planned follow-up."""

    followup_id = serializers.UUIDField(source="id")
    template_id = serializers.UUIDField()
    template_name = serializers.CharField(source="template.name")
    channel = serializers.ChoiceField(channel_choices())
    scheduled_at = AwareDateTimeField()
    credits_charged = serializers.IntegerField()


class SessionCompleteView(APIView):
    """A session is completed: plan its follow-ups."""

    authentication_classes = [MachineKeyAuthentication]
    permission_classes = [HasScope(MachineKey.Scope.SESSIONS_COMPLETE)]
    throttle_classes = [MachineThrottle]

    @extend_schema(
        operation_id="session_complete",
        request=SessionCompleteRequest,
        responses=answers(
            action_schema(
                "SessionCompleted",
                followup_id=serializers.UUIDField(allow_null=True),
                followups=PlannedSerializer(many=True),
                credits_charged=serializers.IntegerField(),
                scheduled_at=AwareDateTimeField(allow_null=True),
            ),
            400,
            401,
            403,
            404,
            409,
            429,
        ),
    )
    def post(self, request: Request) -> Response:
        """Complete a session; a repeat answers the same and charges nothing."""
        said = valid(SessionCompleteRequest(data=request.data))
        done = complete_and_plan(
            session_id=said["session_id"],
            user_email=said["user_email"],
            guidance_summary=said.get("guidance_summary") or None,
        )
        planned = PlannedSerializer(done.follow_ups, many=True).data
        first = planned[0] if planned else {}
        if planned:
            message = f"{len(planned)} follow-up{'s' if len(planned) > 1 else ''} scheduled."
        else:
            message = "No follow-up is due." if done.is_planned else "The follow-ups will be planned shortly."
        return action_answer(
            message,
            followup_id=first.get("followup_id"),
            followups=planned,
            credits_charged=sum(follow_up.credits_charged for follow_up in done.follow_ups),
            scheduled_at=first.get("scheduled_at"),
        )
