"""The ``Idempotency-Key`` header on requests that schedule or charge."""

from collections.abc import Callable
from typing import cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from followups.services.idempotency import LONGEST_KEY, Answer, answer_once
from jyotiflow.accounts.models import User

IDEMPOTENCY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    OpenApiParameter.HEADER,
    description="Within 24 hours a repeat with this key and body gets the first answer again.",
)


def answer(request: Request, act: Callable[[], Answer]) -> Response:
    """Act once a key; without a key, act."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        given = act()
    else:
        given = answer_once(
            user=cast(User, request.user),
            key=key,
            request={"path": request.path, "body": request.data},
            act=act,
        )
    return Response(given.body, status=given.status)
