"""The envelopes as OpenAPI, so that the published schema says what the server answers."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from jyotiflow.api import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from jyotiflow.large_tables import DEEPEST

PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        description="How many rows to answer.",
    ),
    OpenApiParameter(
        "offset",
        {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
        description="How many rows to skip.",
    ),
]
LARGE_PAGE_PARAMETERS = [
    PAGE_PARAMETERS[0],
    OpenApiParameter(
        "offset",
        {"type": "integer", "minimum": 0, "maximum": DEEPEST, "default": 0},
        description="How many rows to skip; to go further, send `after`.",
    ),
]
IS_EXACT = serializers.BooleanField(help_text="False: so many match that count is an estimate.")
TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?$"

ERROR = inline_serializer(
    "Error",
    {
        "success": serializers.BooleanField(help_text="Always false."),
        "message": serializers.CharField(help_text="One sentence for a person."),
        "code": serializers.CharField(help_text="A stable word for programs."),
        "errors": serializers.DictField(
            child=serializers.ListField(child=serializers.CharField()),
            required=False,
            help_text="The fields at fault.",
        ),
    },
)
_ERROR_MEANINGS = {
    400: "Bad input, or a limit is reached.",
    401: "Not signed in.",
    402: "Too few credits.",
    403: "Not allowed.",
    404: "Unknown, or not yours.",
    409: "Conflicts with the current state, or with an earlier use of the same key.",
    429: "Too many requests.",
    503: "The database is away for a moment: try again, with the same Idempotency-Key.",
}


def read_schema(
    name: str, data: Any, /, *, counted: bool = False, beside: Mapping[str, Any] | None = None
) -> Any:
    """The envelope of a read; ``data`` is a serializer (``many=True`` for a list) or a field.

    ``beside`` are fields that stand next to ``data``.
    """
    count = {"count": serializers.IntegerField(help_text="How many match in all.")} if counted else {}
    return inline_serializer(
        f"{name}Answer", {"success": serializers.BooleanField(), "data": data, **count, **(beside or {})}
    )


def action_schema(name: str, /, **fields: Any) -> Any:
    """The envelope of an action, with the fields it adds."""
    return inline_serializer(
        f"{name}Answer",
        {"success": serializers.BooleanField(), "message": serializers.CharField(), **fields},
    )


def answers(success: Any, *errors: int, status: int = 200) -> dict[int, Any]:
    """The ``responses`` of ``extend_schema``: the success under its status, and each error's envelope."""
    return {
        status: success,
        **{error: OpenApiResponse(ERROR, description=_ERROR_MEANINGS[error]) for error in errors},
    }


class WholeSchema(AutoSchema):
    """Says what drf-spectacular leaves unsaid."""

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        """Whether fields it doesn't know are refused."""
        schema = super()._map_serializer(serializer, direction, bypass_extensions)
        if getattr(serializer, "refuses_unknown_fields", False):
            schema["additionalProperties"] = False
        return schema

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        """A time of day: the format ``time`` would demand a zone (RFC 3339)."""
        schema = super()._map_serializer_field(field, direction, bypass_extensions)
        if schema.get("format") == "time":
            schema = {**schema, "pattern": TIME_OF_DAY}
            del schema["format"]
        return schema

    def _get_request_body(self, direction: Any = "request") -> Any:
        """The body of a DELETE whose view names one."""
        if self.method != "DELETE" or self.get_request_serializer() is None:
            return super()._get_request_body(direction)
        self.method = "POST"
        try:
            return super()._get_request_body(direction)
        finally:
            self.method = "DELETE"


def document_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Schema hook: adds what is refused before a view runs.

    400 anywhere (a NUL in the address, a foreign Host), 403 for a change by cookie without its CSRF token,
    503 while the database is away.
    """
    for item in result["paths"].values():
        for method, call in item.items():
            refusals = [400, 503]
            if method != "get" and {"cookieAuth": []} in call.get("security", []):
                refusals.append(403)
            for status in refusals:
                error = {"schema": {"$ref": "#/components/schemas/Error"}}
                answer = {"content": {"application/json": error}, "description": _ERROR_MEANINGS[status]}
                call["responses"].setdefault(str(status), answer)
            call["responses"] = dict(sorted(call["responses"].items()))
    return result


class TokenScheme(OpenApiAuthenticationExtension):
    """``Authorization: Bearer <jwt>``."""

    target_class = "jyotiflow.accounts.authentication.TokenAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class MachineKeyScheme(OpenApiAuthenticationExtension):
    """``X-API-Key: <secret>``."""

    target_class = "jyotiflow.accounts.machines.MachineKeyAuthentication"
    name = "machineKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}
