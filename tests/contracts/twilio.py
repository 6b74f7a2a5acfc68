"""Twilio's own description of its API, held against the requests we make and the answers our tests give."""

import re
from pathlib import Path
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse
from werkzeug import Request, Response

_SPEC = Path(__file__).with_name("twilio_messages.yaml")
_CHANNEL_ADDRESS = r"(whatsapp:)?\+[1-9]\d{6,14}"  # E.164, or a channel's address


def _is_phone_number(value: Any) -> bool:
    return not isinstance(value, str) or re.fullmatch(_CHANNEL_ADDRESS, value) is not None


def _is_uri(value: Any) -> bool:
    return not isinstance(value, str) or re.match(r"https?://[^/_]+/|/", value) is not None


_api = OpenAPI.from_file_path(
    str(_SPEC),
    config=Config(extra_format_validators={"phone-number": _is_phone_number, "uri": _is_uri}),
)


_path = _api.spec / "paths" / "/2010-04-01/Accounts/{AccountSid}/Messages.json"
_form = (
    _path / "post" / "requestBody" / "content" / "application/x-www-form-urlencoded" / "schema" / "properties"
)
_FIELDS = set(_form.read_value())
_PARAMETERS = {parameter["name"] for parameter in (_path / "get" / "parameters").read_value()}


class _AtTwilio(WerkzeugOpenAPIRequest):
    host_url = "https://api.twilio.com"


def assert_valid(request: Request, response: Response) -> None:
    """Raise unless both sides of a call to the local server are as Twilio describes them."""
    request.get_data()  # keeps the body for the validator when the form is read first
    # The validator passes over names it doesn't know.
    assert set(request.form) <= _FIELDS, set(request.form) - _FIELDS
    assert set(request.args) <= _PARAMETERS, set(request.args) - _PARAMETERS
    call = _AtTwilio(request)
    _api.validate_request(call)
    if response.status_code < 300:
        _api.validate_response(call, WerkzeugOpenAPIResponse(response))
