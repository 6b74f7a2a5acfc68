"""The published OpenAPI schema, and the same as a page to read. Needs nothing from other servers."""

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jyotiflow.errors import only

METHODS = ("get", "post", "put", "patch", "delete")
MAX_DEPTH = 6  # levels of an outline; also ends a schema that contains itself


@dataclass(frozen=True)
class Operation:
    """One call as the page shows it; bodies are outlines in JSON, ``""`` where there is none."""

    id: str
    method: str
    path: str
    text: str
    parameters: list[dict[str, Any]]
    request: str
    answers: list[tuple[str, str, str]]


class SchemaView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(published_schema())


@only("GET", "HEAD")
def docs_page(request: HttpRequest) -> HttpResponse:
    """Every call by its group."""
    return render(request, "api_docs.html", {"groups": operations_by_tag(published_schema())})


@cache
def published_schema() -> dict[str, Any]:
    """The OpenAPI 3 schema. It depends on the code alone, so it's generated once a process."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def operations_by_tag(schema: dict[str, Any]) -> dict[str, list[Operation]]:
    """The schema's operations, grouped by their first tag, in the schema's order."""
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, item in schema["paths"].items():
        for method in METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags", [])), "other")
                groups[tag].append(_operation(schema, path, method, item[method]))
    return dict(groups)


def _operation(schema: dict[str, Any], path: str, method: str, call: dict[str, Any]) -> Operation:
    return Operation(
        id=call["operationId"],
        method=method.upper(),
        path=path,
        text=call.get("description", ""),
        parameters=call.get("parameters", []),
        request=_body(schema, call.get("requestBody", {})),
        answers=[
            (status, answer.get("description", ""), _body(schema, answer) if status.startswith("2") else "")
            for status, answer in call["responses"].items()
        ],
    )


def _body(schema: dict[str, Any], carrier: dict[str, Any]) -> str:
    content = carrier.get("content", {}).get("application/json")
    return json.dumps(outline(schema, content["schema"]), indent=2, ensure_ascii=False) if content else ""


def outline(schema: dict[str, Any], part: dict[str, Any], depth: int = 0) -> Any:
    """A part of the schema as JSON whose values are words for their types."""
    if depth > MAX_DEPTH:
        return "…"
    if "$ref" in part:
        return outline(schema, schema["components"]["schemas"][part["$ref"].rpartition("/")[2]], depth)
    for several in ("allOf", "oneOf", "anyOf"):
        if several in part:
            words = [outline(schema, one, depth) for one in part[several]]
            return words[0] if len(words) == 1 else " | ".join(str(word) for word in words)
    if "enum" in part:
        return " | ".join("null" if word is None else str(word) or "''" for word in part["enum"])
    if "properties" in part:
        return {name: outline(schema, inner, depth + 1) for name, inner in part["properties"].items()}
    if part.get("type") == "array":
        return [outline(schema, part["items"], depth + 1)]
    if isinstance(part.get("additionalProperties"), dict):
        return {"…": outline(schema, part["additionalProperties"], depth + 1)}
    return f"{part.get('format') or part.get('type', 'anything')}{' or null' if part.get('nullable') else ''}"
