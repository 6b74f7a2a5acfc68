import pytest
from django.test import Client
from django.urls import get_resolver

from jyotiflow.docs import operations_by_tag, outline, published_schema


def test_the_schema_is_openapi_3_in_json(client, db):
    response = client.get("/api/schema")
    assert response["Content-Type"].startswith("application/json") or "openapi" in response["Content-Type"]
    assert response.json()["openapi"].startswith("3.")


def test_anybody_can_read_the_docs_and_every_call_is_on_the_page(client, db):
    text = client.get("/api/docs").content.decode()
    calls = [call for group in operations_by_tag(published_schema()).values() for call in group]
    assert calls
    for call in calls:
        assert f"{call.method} {call.path}" in text
    assert "//cdn" not in text


def test_every_call_says_how_it_refuses():
    for path, item in published_schema()["paths"].items():
        for method, call in item.items():
            expected = {"400"} if method == "get" or "/auth" in path or "/auto" in path else {"400", "403"}
            assert expected <= set(call["responses"]), (method, path)
            for status in expected:
                schema = call["responses"][status]["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Error"}


def test_a_post_by_session_cookie_without_its_token_is_refused(user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    response = browser.post("/api/followup/devices", {}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_operation_ids_are_unique():
    ids = [call["operationId"] for item in published_schema()["paths"].values() for call in item.values()]
    assert len(ids) == len(set(ids))


def test_no_api_route_ends_in_a_slash():
    routes = [route for route in all_routes(get_resolver()) if route.startswith("api/")]
    assert len(routes) > 5
    assert [route for route in routes if route.endswith("/")] == []


def all_routes(resolver, prefix=""):
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from all_routes(pattern, route)
        else:
            yield route


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time", "nullable": True}, "date-time or null"),
        ({"enum": ["email", "sms"]}, "email | sms"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}, [{"id": "uuid"}]),
        ({"allOf": [{"$ref": "#/components/schemas/Thing"}]}, {"id": "uuid"}),
        ({"oneOf": [{"enum": ["a"]}, {"enum": [None]}]}, "a | null"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"…": "integer"}),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({}, "anything"),
    ],
)
def test_an_outline_says_the_types(part, expected):
    thing = {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}}
    assert outline({"components": {"schemas": {"Thing": thing}}}, part) == expected


def test_an_outline_of_a_schema_that_contains_itself_ends():
    loop = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Loop"}}}
    text = str(outline({"components": {"schemas": {"Loop": loop}}}, loop))
    assert "…" in text
