"""What a request may carry: bounded JSON, and only text that PostgreSQL can store."""

import json
import math
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import IO, Any

from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser

from jyotiflow.exceptions import InvalidInput

MAX_BODY_BYTES = 256 * 1024
MAX_DEPTH = 32  # levels of nesting; nothing in the API needs more than three
MAX_INTEGER = 2**63 - 1


class InvalidBody(InvalidInput):
    """The body is not valid JSON."""

    code = "invalid_json"


def text_fault(text: str) -> str | None:
    """Why PostgreSQL could not store this text; ``None`` for text that is fine."""
    if "\x00" in text:
        return "Remove the NUL character."
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "Remove the half surrogate pair: it is not a character."
    return None


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``; nothing at all counts as ``{}``.

    Raises ``InvalidBody`` for invalid UTF-8 or JSON, NaN, infinite or oversized numbers, deep nesting, text
    that can't be stored, and for anything but an object.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBody("Send the body as UTF-8.", code="invalid_utf8") from error
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise InvalidBody() from error
    if not isinstance(value, dict):
        raise InvalidBody("Send a JSON object.", code="not_an_object")
    _check_texts(value)
    return value


class BoundedJSONParser(BaseParser):
    """Reads JSON objects of at most ``MAX_BODY_BYTES``."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            # One byte past the bound tells "too large" without reading the rest, whatever the headers say.
            raw = stream.read(MAX_BODY_BYTES + 1)
        except UnreadablePostError as error:
            raise InvalidBody("The body ended early.", code="body_incomplete") from error
        if len(raw) > MAX_BODY_BYTES:
            raise InvalidBody(
                f"Send at most {MAX_BODY_BYTES // 1024} kB.",
                code="body_too_large",
            )
        return parse_json_object(raw)


class ReadChunkedBodies:
    """WSGI wrapper: gives a chunked body the length Django asks for, else Django would see no body at all.

    Reads one byte past the bound at most, so that the parser refuses what is too large.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_TRANSFER_ENCODING") and environ.get("wsgi.input_terminated"):
            raw = environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(raw), str(len(raw))
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer


def _refuse_constant(name: str) -> None:
    raise InvalidBody("Send finite numbers only.", code="number_not_finite")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _refuse_constant(digits)
    return number


def _bounded(digits: str) -> int:
    # The length first: converting a number of a hundred thousand digits takes long.
    if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
        raise InvalidBody("Send smaller numbers.", code="number_too_large")
    return int(digits)


def _too_deep() -> InvalidBody:
    return InvalidBody(f"Nest at most {MAX_DEPTH} levels.", code="nested_too_deep")


def _check_texts(value: Any) -> None:
    waiting: list[tuple[str, int, Any]] = [("", 1, value)]
    while waiting:
        path, depth, item = waiting.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(item, str):
            fault = text_fault(item)
            if fault:
                raise InvalidBody(f"{path}: {fault}", code="invalid_text", errors={path: [fault]})
        elif isinstance(item, dict):
            for key, inner in item.items():
                fault = text_fault(key)
                if fault:  # such a key can't be printed in the answer either
                    raise InvalidBody(f"A field's name is not valid. {fault}", code="invalid_text")
                waiting.append((f"{path}.{key}" if path else key, depth + 1, inner))
        elif isinstance(item, list):
            waiting.extend((f"{path}.{index}", depth + 1, inner) for index, inner in enumerate(item))
