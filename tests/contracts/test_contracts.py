"""The contracts themselves: a request that breaks one is noticed."""

from typing import Any

import pytest
from openapi_core.validation.request.exceptions import RequestValidationError
from werkzeug import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from tests.contracts.fcm import faults
from tests.contracts.twilio import assert_valid

PATH = f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
SMS: dict[str, Any] = {"To": "+919840012345", "From": "+14155550100", "Body": "Hello"}


def create(**fields: str) -> tuple[Request, Response]:
    data: dict[str, Any] = {**SMS, **fields}
    signed_in = Headers({"Authorization": "Basic QUM6dA=="})
    environ = EnvironBuilder(PATH, method="POST", data=data, headers=signed_in).get_environ()
    return Request(environ), Response(status=400)


def test_a_good_request_passes() -> None:
    assert_valid(*create(ValidityPeriod="36000", StatusCallback="https://follow.example.com/a?b=1#rc=3"))


@pytest.mark.parametrize(
    "fields",
    [
        {"Colour": "red"},
        {"To": "9840012345"},
        {"To": "sms:+919840012345"},
        {"ValidityPeriod": "0"},
        {"ValidityPeriod": "36001"},
        {"ValidityPeriod": "soon"},
        {"SmartEncoded": "perhaps"},
        {"StatusCallback": "https://under_score.example.com/"},
        {"MessagingServiceSid": "MG1"},
        {"ContentSid": "1"},
        {"Body": "x" * 1_601},
    ],
)
def test_a_request_twilio_would_refuse_fails(fields: dict[str, str]) -> None:
    with pytest.raises((RequestValidationError, AssertionError)):
        assert_valid(*create(**fields))


@pytest.mark.parametrize("left_out", ["To", "From", "Body"])
def test_a_request_without_what_twilio_needs_fails(left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SMS, left_out)
    with pytest.raises(RequestValidationError):
        assert_valid(*create())


PUSH = {
    "message": {
        "token": "t",
        "notification": {"title": "a", "body": "b"},
        "android": {"ttl": "60s", "collapse_key": "k", "notification": {"tag": "k"}},
        "webpush": {"headers": {"TTL": "60"}, "notification": {"anything": "goes"}},
        "apns": {"headers": {"apns-collapse-id": "k"}},
        "data": {"follow_up_id": "k"},
    }
}


def test_a_good_push_passes() -> None:
    assert faults(PUSH) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"colour": "red"}, "no field colour"),
        ({"token": 1}, "not of type string"),
        ({"data": {"follow_up_id": 1}}, "not of type string"),
        ({"android": {"ttl": "60"}}, "not a duration"),
        ({"android": {"priority": "urgent"}}, "not one of"),
        ({"android": {"notification": {"sticky": "yes"}}}, "not of type boolean"),
        ({"notification": "text"}, "not of type object"),
    ],
)
def test_a_push_google_would_refuse_fails(change: dict[str, Any], fault: str) -> None:
    (found,) = faults({"message": {**PUSH["message"], **change}})
    assert fault in found
