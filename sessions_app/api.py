"""A user's guidance sessions over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jyotiflow.accounts.authentication import caller
from jyotiflow.api import AwareDateTimeField, paginate, read_answer
from jyotiflow.schema import PAGE_PARAMETERS, answers, read_schema
from sessions_app.models import Session
from sessions_app.selectors import sessions_of


class SessionSerializer(serializers.ModelSerializer[Session]):
    session_id = serializers.CharField(source="id", read_only=True, help_text="The same as id.")
    created_at = AwareDateTimeField(read_only=True)
    completed_at = AwareDateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Session
        fields = [
            "id",
            "session_id",
            "service_type",
            "question",
            "guidance_summary",
            "status",
            "created_at",
            "completed_at",
            "follow_up_sent",
            "follow_up_count",
        ]
        read_only_fields = fields


class SessionsView(APIView):
    @extend_schema(
        operation_id="sessions",
        tags=["account"],
        parameters=PAGE_PARAMETERS,
        responses=answers(read_schema("Sessions", SessionSerializer(many=True), counted=True), 400, 401),
    )
    def get(self, request: Request) -> Response:
        """The caller's sessions, newest first."""
        page = paginate(request, sessions_of(caller(request)))
        return read_answer(SessionSerializer(page.rows, many=True).data, page.count)
