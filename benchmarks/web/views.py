"""The least a DRF view costs behind the product's own middleware and sign-in, and what one insert adds."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.web.models import Note


class NoteSerializer(serializers.ModelSerializer[Note]):
    """A plain row."""

    class Meta:
        model = Note
        fields = ["id", "title", "text", "created_at"]


class NothingView(APIView):
    """Nothing."""

    def post(self, request: Request) -> Response:
        """Read the body and answer."""
        return Response({"success": True, "fields": len(request.data)}, status=201)


class OneInsertView(APIView):
    """One insert."""

    def post(self, request: Request) -> Response:
        """Check, insert, answer."""
        serializer = NoteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user: Any = request.user
        serializer.save(user_id=user.pk)
        return Response({"success": True, "note": serializer.data}, status=201)
