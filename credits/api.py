"""A user's credits over HTTP."""

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credits.models import CreditEntry
from credits.selectors import balance_of, statement_of
from jyotiflow.accounts.authentication import caller
from jyotiflow.api import AwareDateTimeField, paginate, read_answer
from jyotiflow.schema import PAGE_PARAMETERS, answers, read_schema


class EntrySerializer(serializers.ModelSerializer[CreditEntry]):
    balance_after = serializers.IntegerField(read_only=True, help_text="Credits after this movement.")
    created_at = AwareDateTimeField(read_only=True)

    class Meta:
        model = CreditEntry
        fields = ["id", "kind", "amount", "reason", "created_at", "balance_after"]
        read_only_fields = fields


class CreditsView(APIView):
    @extend_schema(
        operation_id="credits",
        tags=["account"],
        responses=answers(
            read_schema("Credits", inline_serializer("Credits", {"credits": serializers.IntegerField()})), 401
        ),
    )
    def get(self, request: Request) -> Response:
        """The caller's balance."""
        return read_answer({"credits": balance_of(caller(request))})


class HistoryView(APIView):
    @extend_schema(
        operation_id="credits_history",
        tags=["account"],
        parameters=PAGE_PARAMETERS,
        responses=answers(read_schema("CreditsHistory", EntrySerializer(many=True), counted=True), 400, 401),
    )
    def get(self, request: Request) -> Response:
        """The caller's movements of credits, newest first."""
        page = paginate(request, statement_of(caller(request)))
        return read_answer(EntrySerializer(page.rows, many=True).data, page.count)
