import json
from io import BytesIO
from typing import Any

import pytest

from jyotiflow.body import MAX_BODY_BYTES, MAX_DEPTH, InvalidBody, ReadChunkedBodies, parse_json_object


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff{}", "invalid_utf8"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b'{"a": NaN}', "number_not_finite"),
        (b'{"a": -Infinity}', "number_not_finite"),
        (b'{"a": 1e999}', "number_not_finite"),
        (b'{"a": 9223372036854775808}', "number_too_large"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "number_too_large"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (nested(MAX_DEPTH + 1), "nested_too_deep"),
        (nested(30_000), "nested_too_deep"),
        (b'{"a": ' + b"[" * 100_000, "nested_too_deep"),
        (rb'{"a": "\u0000"}', "invalid_text"),
        (rb'{"a": "\ud800"}', "invalid_text"),
        (rb'{"a": {"b": ["x", "\udc00y"]}}', "invalid_text"),
        (rb'{"\u0000": 1}', "invalid_text"),
        (rb'{"a": {"\ud83d": 1}}', "invalid_text"),
    ],
)
def test_a_body_that_cannot_be_stored_or_read_is_refused(raw, code):
    with pytest.raises(InvalidBody) as refusal:
        parse_json_object(raw)
    assert (refusal.value.status, refusal.value.code) == (400, code)
    json.dumps([refusal.value.message, refusal.value.errors], ensure_ascii=False).encode()


def test_the_error_names_the_field_with_the_bad_text():
    with pytest.raises(InvalidBody) as refusal:
        parse_json_object(rb'{"custom_variables": {"names": ["Lakshmi", "a\u0000b"]}}')
    assert list(refusal.value.errors) == ["custom_variables.names.1"]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"", {}),
        (b" \n", {}),
        (b"{}", {}),
        (nested(2), {"a": {"a": 1}}),
        (b'{"a": 9223372036854775807, "b": -1.5}', {"a": 2**63 - 1, "b": -1.5}),
        (rb'{"a": "\ud83d\ude4f"}', {"a": "🙏"}),
        ('{"a": "வணக்கம்"}'.encode(), {"a": "வணக்கம்"}),
    ],
)
def test_json_objects_and_empty_bodies_are_read(raw, value):
    assert parse_json_object(raw) == value


def test_a_chunked_body_is_given_its_length_and_never_read_past_the_bound():
    seen: dict[str, Any] = {}

    def app(environ, start_response):
        seen.update(length=environ["CONTENT_LENGTH"], body=environ["wsgi.input"].read())
        return [b""]

    endless = BytesIO(b"x" * (MAX_BODY_BYTES * 3))
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": endless}
    ReadChunkedBodies(app)(environ, None)
    assert seen["length"] == str(MAX_BODY_BYTES + 1)
    assert len(seen["body"]) == endless.tell() == MAX_BODY_BYTES + 1


def test_a_body_with_a_length_is_left_alone():
    seen: dict[str, Any] = {}

    def app(environ, start_response):
        seen.update(environ)
        return [b""]

    ReadChunkedBodies(app)({"CONTENT_LENGTH": "2", "wsgi.input": "untouched"}, None)
    assert seen == {"CONTENT_LENGTH": "2", "wsgi.input": "untouched"}
