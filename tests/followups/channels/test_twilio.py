"""SMS and WhatsApp through the official client, against a local Twilio held to Twilio's own description."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from followups.channels import twilio
from followups.channels.base import CANNOT_TELL, Accepted, Candidate, Sighting
from followups.channels.sms import SmsChannel
from followups.channels.twilio import TwilioChannel
from followups.channels.whatsapp import WhatsAppChannel
from followups.choices import ReceiptKind
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from tests.contracts.twilio import assert_valid
from tests.factories import UserFactory
from tests.followups.channels.conftest import ACCOUNT_SID, TAMIL, make_message
from tests.followups.channels.servers import closed_port

pytestmark = pytest.mark.django_db

PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
SID = "SM" + "1b" * 16
PHONE = "+919840012345"
CONTENT_SID = "HX" + "2c" * 16
SERVICE_SID = "MG" + "3d" * 16
NOTHING = Sighting(is_whole=True)
SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def resource(**fields: Any) -> dict[str, Any]:
    """A message as Twilio shows it."""
    return {
        "sid": SID,
        "account_sid": ACCOUNT_SID,
        "to": PHONE,
        "from": "+14155550100",
        "body": TAMIL,
        "status": "queued",
        "direction": "outbound-api",
        "date_created": format_datetime(SINCE + timedelta(seconds=1)),
        "date_sent": None,
        "date_updated": format_datetime(SINCE + timedelta(seconds=1)),
        "error_code": None,
        "error_message": None,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "2",
        "price": None,
        "price_unit": "USD",
        "api_version": "2010-04-01",
        "uri": f"{PATH[:-5]}/{SID}.json",
        "subresource_uris": {},
        **fields,
    }


@pytest.fixture(autouse=True)
def _calls_are_as_twilio_describes_them(httpserver: HTTPServer) -> Iterator[None]:
    yield
    for request, response in httpserver.log:
        assert_valid(request, response)


def sms(httpserver: HTTPServer, **options: Any) -> SmsChannel:
    return SmsChannel(**_options(httpserver, options))


def whatsapp(httpserver: HTTPServer, **options: Any) -> WhatsAppChannel:
    return WhatsAppChannel(**_options(httpserver, options))


def _options(httpserver: HTTPServer, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "account_sid": ACCOUNT_SID,
        "auth_token": "token",
        "base_url": httpserver.url_for("").rstrip("/"),
        "sender": "+14155550100",
        **options,
    }


def take(httpserver: HTTPServer, **fields: Any) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_json(resource(**fields), status=201)


def refuse(httpserver: HTTPServer, status: int, code: int | None = None, **headers: str) -> None:
    error = {"code": code, "message": f"{PHONE} said no", "more_info": "", "status": status}
    httpserver.expect_request(PATH).respond_with_json(error, status=status, headers=headers)


def sent(httpserver: HTTPServer) -> dict[str, str]:
    ((request, _),) = httpserver.log
    request.get_data()  # keeps the body for the contract
    return request.form.to_dict()


def test_an_sms_goes_out_with_its_callback(httpserver: HTTPServer) -> None:
    take(httpserver)
    message = make_message(to=(PHONE,), valid_for_seconds=600)
    assert sms(httpserver).send(message) == Accepted(SID)
    assert sent(httpserver) == {
        "To": PHONE,
        "From": "+14155550100",
        "Body": TAMIL,
        "SmartEncoded": "false",
        "StatusCallback": message.callback_url,
        "ValidityPeriod": "600",
    }
    assert httpserver.log[0][0].authorization.username == ACCOUNT_SID  # type: ignore[union-attr]


@pytest.mark.parametrize(("seconds", "period"), [(0, "1"), (-5, "1"), (36_000, "36000"), (90_000, "36000")])
def test_the_validity_stays_within_what_twilio_takes(
    httpserver: HTTPServer, seconds: int, period: str
) -> None:
    take(httpserver)
    sms(httpserver).send(make_message(to=(PHONE,), valid_for_seconds=seconds))
    assert sent(httpserver)["ValidityPeriod"] == period


def test_without_a_validity_or_a_callback_neither_is_named(httpserver: HTTPServer) -> None:
    take(httpserver)
    sms(httpserver).send(make_message(to=(PHONE,), callback_url=""))
    assert sent(httpserver).keys() == {"To", "From", "Body", "SmartEncoded"}


@pytest.mark.parametrize(
    "text", [TAMIL, "[]{}€\\ ^~|", "a\nb\r\nc", "100% & more + = ?", "👩‍👩‍👧‍👦 🕉️", "x" * 1600]
)
def test_a_text_arrives_letter_by_letter(httpserver: HTTPServer, text: str) -> None:
    take(httpserver)
    sms(httpserver).send(make_message(to=(PHONE,), text=text))
    assert sent(httpserver)["Body"] == text


def test_a_messaging_service_stands_in_for_a_number(httpserver: HTTPServer) -> None:
    take(httpserver)
    sms(httpserver, sender=SERVICE_SID).send(make_message(to=(PHONE,)))
    fields = sent(httpserver)
    assert fields["MessagingServiceSid"] == SERVICE_SID
    assert "From" not in fields


@pytest.mark.parametrize("sender", ["+14155550100", "whatsapp:+14155550100"])
def test_whatsapp_goes_by_template_and_without_a_body(httpserver: HTTPServer, sender: str) -> None:
    take(httpserver, to=f"whatsapp:{PHONE}")
    message = make_message(
        to=(PHONE,),
        whatsapp_content_sid=CONTENT_SID,
        whatsapp_variables={"1": "லட்சுமி", "2": "two\nlines\tand     spaces", "3": "x" * 2_000},
    )
    assert whatsapp(httpserver, sender=sender).send(message) == Accepted(SID)
    fields = sent(httpserver)
    assert (fields["To"], fields["From"]) == (f"whatsapp:{PHONE}", "whatsapp:+14155550100")
    assert fields["ContentSid"] == CONTENT_SID
    assert fields.keys() == {"To", "From", "ContentSid", "ContentVariables", "StatusCallback"}
    variables = json.loads(fields["ContentVariables"])
    assert variables["1"] == "லட்சுமி"
    assert variables["2"] == "two lines and spaces"
    assert len(variables["3"]) == 1_024


def test_whatsapp_by_messaging_service_still_writes_to_a_whatsapp_address(httpserver: HTTPServer) -> None:
    take(httpserver)
    message = make_message(to=(PHONE,), whatsapp_content_sid=CONTENT_SID)
    whatsapp(httpserver, sender=SERVICE_SID).send(message)
    fields = sent(httpserver)
    assert (fields["To"], fields["MessagingServiceSid"]) == (f"whatsapp:{PHONE}", SERVICE_SID)


def test_whatsapp_without_a_template_goes_as_text(httpserver: HTTPServer) -> None:
    take(httpserver, to=f"whatsapp:{PHONE}")
    whatsapp(httpserver).send(make_message(to=(PHONE,)))
    fields = sent(httpserver)
    assert fields["Body"] == TAMIL
    assert not {"ContentSid", "ContentVariables"} & fields.keys()


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (301, Misconfigured("redirected", "The provider's address leads elsewhere; name that one.")),
        (400, Rejected("400", "The provider refused the message.")),
        (401, Misconfigured("401", "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN don't belong together.")),
        (403, Misconfigured("403", "The Twilio account may not do this.")),
        (404, Misconfigured("404", "There is no such Twilio account at this address.")),
        (405, Misconfigured("405", "TWILIO_API_BASE_URL does not answer as Twilio.")),
        (408, OutcomeUnknown("408")),
        (418, Rejected("418", "The provider refused the message.")),
        (429, NotProcessed("429", None, counts=False)),
        (500, OutcomeUnknown("500")),
        (502, OutcomeUnknown("502")),
        (503, OutcomeUnknown("503")),
        (504, OutcomeUnknown("504")),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>", "[1]", '{"code": null}', '{"code": "x"}'])
def test_a_status_without_a_code_means_its_word_and_is_asked_for_once(
    httpserver: HTTPServer, status: int, word: Exception, body: str
) -> None:
    httpserver.expect_request(PATH).respond_with_data(body, status=status, headers={"Location": "/"})
    with pytest.raises(type(word)) as raised:
        sms(httpserver).send(make_message(to=(PHONE,)))
    assert raised.value == word
    assert len(httpserver.log) == 1


def test_a_5xx_is_unknown_whatever_code_it_names(httpserver: HTTPServer) -> None:
    refuse(httpserver, 500, 21211)
    with pytest.raises(OutcomeUnknown):
        sms(httpserver).send(make_message(to=(PHONE,)))


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("", None), ("-1", None)]
)
def test_too_many_requests_wait_as_long_as_twilio_says(
    httpserver: HTTPServer, header: str, seconds: float | None
) -> None:
    refuse(httpserver, 429, 20429, **{"Retry-After": header})
    with pytest.raises(NotProcessed) as word:
        sms(httpserver).send(make_message(to=(PHONE,)))
    assert word.value == NotProcessed("429", seconds, counts=False)


def test_a_retry_after_may_be_a_date(httpserver: HTTPServer) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    refuse(httpserver, 429, 20429, **{"Retry-After": format_datetime(moment, usegmt=True)})
    with pytest.raises(NotProcessed) as word:
        sms(httpserver).send(make_message(to=(PHONE,)))
    assert word.value.retry_after is not None
    assert 90 < word.value.retry_after <= 100


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", "{}"])
def test_an_unreadable_yes_is_unknown(httpserver: HTTPServer, body: str) -> None:
    answers = iter([Response(body, status=201)])
    httpserver.expect_request(PATH).respond_with_handler(lambda _: next(answers))
    with pytest.raises(OutcomeUnknown):
        sms(httpserver).send(make_message(to=(PHONE,)))
    httpserver.clear_log()  # no answer of Twilio's


def test_twilio_being_away_is_tried_later(httpserver: HTTPServer, black_hole_port: int) -> None:
    unresolved, plain_where_tls_is_meant = (
        "http://twilio.invalid",
        httpserver.url_for("").replace("http:", "https:"),
    )
    for url in (
        f"http://127.0.0.1:{closed_port()}",
        f"http://127.0.0.1:{black_hole_port}",
        f"https://127.0.0.1:{black_hole_port}",
        unresolved,
        plain_where_tls_is_meant.rstrip("/"),
    ):
        with pytest.raises(NotProcessed) as word:
            sms(httpserver, base_url=url).send(make_message(to=(PHONE,)))
        assert word.value == NotProcessed("no_connection", answered=False)


def test_an_address_that_is_none_is_our_misconfiguration(httpserver: HTTPServer) -> None:
    with pytest.raises(Misconfigured):
        sms(httpserver, base_url="twilio").send(make_message(to=(PHONE,)))


def test_silence_after_the_request_is_unknown(httpserver: HTTPServer, slow: Any) -> None:
    httpserver.expect_request(PATH).respond_with_handler(slow(Response()))
    with pytest.raises(OutcomeUnknown) as word:
        sms(httpserver).send(make_message(to=(PHONE,)))
    assert word.value == OutcomeUnknown("timeout")


def test_a_connection_broken_after_the_request_is_unknown(
    broken_http_port: int, httpserver: HTTPServer
) -> None:
    with pytest.raises(OutcomeUnknown) as word:
        sms(httpserver, base_url=f"http://127.0.0.1:{broken_http_port}").send(make_message(to=(PHONE,)))
    assert word.value == OutcomeUnknown("connection_broken")


def test_nothing_of_a_message_is_logged(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    take(httpserver)
    sms(httpserver).send(make_message(to=(PHONE,), text="a secret"))
    assert "secret" not in caplog.text
    assert PHONE not in caplog.text


def test_where_a_user_is_reached_is_their_phone(httpserver: HTTPServer) -> None:
    channel = sms(httpserver)
    assert channel.addresses(UserFactory.build(phone=PHONE)) == (PHONE,)
    assert channel.addresses(UserFactory.build(phone="")) == ()


# --- What Twilio knows of an attempt in doubt -------------------------------------------------------------


def find(httpserver: HTTPServer, channel: TwilioChannel, text: str = TAMIL) -> Sighting:
    return channel.find(
        to=(PHONE,), body_hash=hashlib.sha256(text.encode()).hexdigest(), attempt_id=uuid.uuid4(), since=SINCE
    )


def listing(httpserver: HTTPServer, *messages: dict[str, Any]) -> None:
    page = {"messages": list(messages), "page": 0, "page_size": 1000, "next_page_uri": None, "uri": PATH}
    httpserver.expect_request(PATH, method="GET").respond_with_json(page)


def at(seconds: float) -> str:
    return format_datetime(SINCE + timedelta(seconds=seconds))


def ids(sighting: Sighting) -> list[str]:
    return [candidate.provider_message_id for candidate in sighting.candidates]


def test_a_message_with_our_text_is_found(httpserver: HTTPServer) -> None:
    listing(httpserver, resource(body="another", sid="SM" + "9" * 32), resource())
    assert find(httpserver, sms(httpserver)) == Sighting(
        (Candidate(SID, SINCE + timedelta(seconds=1)),), is_whole=True
    )
    ((request, _),) = httpserver.log
    assert request.args.to_dict() == {"To": PHONE, "PageSize": "1000"}


@pytest.mark.parametrize(
    "other",
    [
        {"body": TAMIL + " "},
        {"direction": "inbound"},
        {"date_created": at(-61)},
        {"date_created": at(-86_400)},
        {"date_created": None},
        {"body": None},
    ],
)
def test_a_message_that_is_not_ours_proves_absence(httpserver: HTTPServer, other: dict[str, Any]) -> None:
    listing(httpserver, resource(**other))
    assert find(httpserver, sms(httpserver)) == NOTHING


def test_an_empty_list_proves_absence(httpserver: HTTPServer) -> None:
    listing(httpserver)
    assert find(httpserver, sms(httpserver)) == NOTHING


def test_all_that_may_be_ours_are_named(httpserver: HTTPServer) -> None:
    later, nearest = "SM" + "4" * 32, "SM" + "5" * 32
    listing(
        httpserver,
        resource(sid=later, date_created=at(300)),
        resource(sid=nearest, date_created=at(-30)),
    )
    assert ids(find(httpserver, sms(httpserver))) == [later, nearest]


def pages(httpserver: HTTPServer, *listed: list[dict[str, Any]]) -> None:
    """A list of so many pages; each names the next, and a call beyond the last fails."""
    for number, messages in enumerate(listed):
        next_page = f"{PATH}?To={PHONE}&Page={number + 1}&PageSize=1000&PageToken=PT{number + 1}"
        body = {
            "messages": messages,
            "page": number,
            "page_size": 1000,
            "next_page_uri": next_page.replace("+", "%2B") if number + 1 < len(listed) else None,
            "uri": PATH,
        }
        httpserver.expect_ordered_request(PATH, method="GET").respond_with_json(body)


def test_a_list_is_read_to_its_end(httpserver: HTTPServer) -> None:
    pages(httpserver, [resource(body="a")], [resource(body="b")], [resource()])
    sighting = find(httpserver, sms(httpserver))
    assert (ids(sighting), sighting.is_whole) == ([SID], True)
    assert [request.args.get("Page") for request, _ in httpserver.log] == [None, "1", "2"]


def test_a_list_is_read_no_further_back_than_ours_may_stand(httpserver: HTTPServer) -> None:
    pages(httpserver, [resource(body="a")], [resource(date_created=at(-40_000))], [resource()])
    assert find(httpserver, sms(httpserver)) == NOTHING
    assert len(httpserver.log) == 2


def test_a_list_that_may_go_on_proves_nothing(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio, "LONGEST_LIST", 2)
    pages(httpserver, [resource(body="a")], [resource(body="b")], [resource()])
    assert find(httpserver, sms(httpserver)) == CANNOT_TELL


def test_whatsapp_is_told_by_number_sender_and_time(httpserver: HTTPServer) -> None:
    own = {"to": f"whatsapp:{PHONE}", "from": "whatsapp:+14155550100", "body": "the template's own words"}
    others = ["SM" + digit * 32 for digit in "3456"]
    listing(
        httpserver,
        resource(**own),
        resource(**own, sid=others[0], direction="inbound"),
        resource(**own, sid=others[1], date_created=at(-3_600)),
        resource(**(own | {"from": "whatsapp:+14155550999"}), sid=others[2]),
        resource(**(own | {"from": None}), sid=others[3]),
    )
    sighting = find(httpserver, whatsapp(httpserver))
    assert (ids(sighting), sighting.is_whole) == ([SID, others[3]], True)
    assert httpserver.log[0][0].args["To"] == f"whatsapp:{PHONE}"


def test_whatsapp_by_messaging_service_is_told_by_the_service(httpserver: HTTPServer) -> None:
    other = "SM" + "7" * 32
    listing(
        httpserver,
        resource(messaging_service_sid=SERVICE_SID),
        resource(messaging_service_sid="MG" + "9" * 32, sid=other),
    )
    assert ids(find(httpserver, whatsapp(httpserver, sender=SERVICE_SID))) == [SID]


def test_a_look_that_fails_says_so(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data("", status=503)
    with pytest.raises(OutcomeUnknown):
        find(httpserver, sms(httpserver))


# --- How one message stands -------------------------------------------------------------------------------

ONE = f"{PATH[:-5]}/{SID}.json"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("queued", None, ReceiptKind.ACCEPTED),
        ("sent", None, ReceiptKind.ACCEPTED),
        ("delivered", None, ReceiptKind.DELIVERED),
        ("read", None, ReceiptKind.READ),
        ("undelivered", 30003, ReceiptKind.FAILED),
        ("failed", None, ReceiptKind.FAILED),
        ("partially_delivered", None, ReceiptKind.OTHER),
    ],
)
def test_a_message_is_fetched_by_its_sid(
    httpserver: HTTPServer, status: str, code: int | None, kind: ReceiptKind
) -> None:
    httpserver.expect_request(ONE).respond_with_json(resource(status=status, error_code=code))
    report = sms(httpserver).fetch(SID)
    assert report is not None
    assert (report.event_key, report.kind, report.code) == (f"{SID}:{status}", kind, str(code or ""))
    assert report.occurred_at == SINCE + timedelta(seconds=1)
    assert bool(report.reason) == (kind == ReceiptKind.FAILED)


def test_a_message_twilio_does_not_know_is_none(httpserver: HTTPServer) -> None:
    error = {"code": 20404, "message": "not found", "more_info": "", "status": 404}
    httpserver.expect_request(ONE).respond_with_json(error, status=404)
    assert sms(httpserver).fetch(SID) is None


@pytest.mark.parametrize(("status", "word"), [(503, OutcomeUnknown), (401, Misconfigured)])
def test_a_fetch_that_fails_says_so(httpserver: HTTPServer, status: int, word: type[Exception]) -> None:
    httpserver.expect_request(ONE).respond_with_data("", status=status)
    with pytest.raises(word):
        sms(httpserver).fetch(SID)


# --- Checks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["+14155550100", SERVICE_SID, "56767", "JYOTIF", "JD Flow 1"])
def test_a_sender_of_sms_passes(httpserver: HTTPServer, sender: str) -> None:
    assert sms(httpserver, sender=sender).check() == []


@pytest.mark.parametrize("sender", ["", "4155550100123", "+0", "NAME-TOO-LONG", "whatsapp:+14155550100"])
def test_what_is_no_sender_of_sms_is_named(httpserver: HTTPServer, sender: str) -> None:
    (fault,) = sms(httpserver, sender=sender).check()
    assert "TWILIO_SMS_NUMBER" in fault.msg


def test_whatsapp_takes_numbers_and_services_only(httpserver: HTTPServer) -> None:
    assert whatsapp(httpserver, sender="whatsapp:+14155550100").check() == []
    assert whatsapp(httpserver, sender=SERVICE_SID).check() == []
    (fault,) = whatsapp(httpserver, sender="JYOTIF").check()
    assert "TWILIO_WHATSAPP_NUMBER" in fault.msg


def test_an_account_that_is_none_is_named(httpserver: HTTPServer) -> None:
    (fault,) = sms(httpserver, account_sid="SK123").check()
    assert "TWILIO_ACCOUNT_SID" in fault.msg
