"""Email through the mail services behind Anymail, called at a local server."""

import json
import pkgutil
import re
import uuid
from datetime import timedelta
from typing import Any

import anymail.backends
import pytest
from django.core.mail.backends.dummy import EmailBackend
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from followups.channels import esp
from followups.channels.base import Accepted
from followups.channels.email import EmailChannel
from followups.choices import SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from tests.followups.channels.conftest import SENDER, TAMIL, make_message
from tests.followups.channels.servers import closed_port

pytestmark = pytest.mark.django_db

UNSUBSCRIBE = "https://follow.example.com/u/1-email.signature"
TAKEN: dict[str, Any] = {
    "ErrorCode": 0,
    "Message": "OK",
    "MessageID": "b7bc2f4a-e38e-4336-af7d-e6c392c2f817",
    "To": "lakshmi@example.com",
}

# What Anymail asks of each service that is called over HTTP.
CREDENTIALS: dict[str, dict[str, str]] = {
    "brevo": {"BREVO_API_KEY": "k"},
    "mailersend": {"MAILERSEND_API_TOKEN": "k"},
    "mailgun": {"MAILGUN_API_KEY": "k", "MAILGUN_SENDER_DOMAIN": "jyotiflow.example"},
    "mailjet": {"MAILJET_API_KEY": "k", "MAILJET_SECRET_KEY": "k"},
    "mailtrap": {"MAILTRAP_API_TOKEN": "k"},
    "mandrill": {"MANDRILL_API_KEY": "k"},
    "postmark": {"POSTMARK_SERVER_TOKEN": "k"},
    "resend": {"RESEND_API_KEY": "k"},
    "sendgrid": {"SENDGRID_API_KEY": "k"},
    "sparkpost": {"SPARKPOST_API_KEY": "k"},
    "unisender_go": {"UNISENDER_GO_API_KEY": "k"},
}


WITHOUT_METADATA = {"mailersend"}


@pytest.fixture
def esp_channel(settings: Settings, httpserver: HTTPServer) -> Any:
    """Builds the email channel on a mail service that answers at the local server."""

    def build(name: str = "postmark", *, url: str = "") -> EmailChannel:
        settings.EMAIL_ESP = name
        settings.EMAIL_BACKEND = f"anymail.backends.{name}.EmailBackend"
        settings.ANYMAIL = {
            **CREDENTIALS[name],
            f"{name.upper()}_API_URL": url or httpserver.url_for("/"),
        }
        return EmailChannel(sender=SENDER)

    return build


def answer(httpserver: HTTPServer, status: int = 200, body: Any = None, **headers: str) -> None:
    text = json.dumps(TAKEN if body is None else body)
    httpserver.expect_request("/email").respond_with_data(
        text, status=status, headers=headers, content_type="application/json"
    )


def test_a_mail_is_handed_over_whole(httpserver: HTTPServer, esp_channel: Any) -> None:
    answer(httpserver)
    message = make_message(html=f"<p>{TAMIL}</p>", unsubscribe_url=UNSUBSCRIBE)
    channel = esp_channel()
    assert channel.send(message) == Accepted(TAKEN["MessageID"])
    assert channel.provider == "postmark"
    ((request, _),) = httpserver.log
    sent = request.get_json()
    headers = {header["Name"]: header["Value"] for header in sent["Headers"]}
    assert (sent["From"], sent["To"]) == (SENDER, "lakshmi@example.com")
    assert (sent["Subject"], sent["TextBody"], sent["HtmlBody"]) == (message.subject, TAMIL, message.html)
    assert headers["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert sent["Metadata"] == {"attempt_id": str(message.attempt_id)}


@pytest.mark.filterwarnings(
    "ignore::anymail.exceptions.AnymailNotSupportedWarning"
)  # SendGrid: nobody tests it
@pytest.mark.parametrize("name", CREDENTIALS)
def test_every_mail_service_can_carry_our_mail(httpserver: HTTPServer, esp_channel: Any, name: str) -> None:
    httpserver.expect_request(re.compile("")).respond_with_data("{}", status=429)
    message = make_message(html="<p>hello</p>", unsubscribe_url=UNSUBSCRIBE)
    with pytest.raises(NotProcessed) as word:
        esp_channel(name).send(message)
    assert word.value == NotProcessed("429", None, counts=False)
    ((request, _),) = httpserver.log
    body = request.get_data(as_text=True) or str(request.form)
    assert "List-Unsubscribe-Post" in body
    reference = message.follow_up_id if name in esp.KEYS else message.attempt_id
    assert str(reference) in body or name in WITHOUT_METADATA


def test_no_http_service_of_anymail_is_left_out() -> None:
    without_http_or_gone = {"amazon_ses", "base", "base_requests", "console", "sendinblue", "test"}
    self_hosted_or_new = {"postal", "scaleway"}  # they ask for an address of their own
    known = {module.name for module in pkgutil.iter_modules(anymail.backends.__path__)}
    assert known - without_http_or_gone - self_hosted_or_new == set(CREDENTIALS)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (401, Misconfigured("401", "The mail service refused the API key.")),
        (402, Misconfigured("402", "The mail service wants its account to be paid.")),
        (403, Misconfigured("403", "The mail service does not allow this account to send.")),
        (404, Misconfigured("404", "The mail service knows no such account or domain.")),
        (408, OutcomeUnknown("408")),
        (400, Rejected("400", "The mail service refused the message.")),
        (413, Rejected("413", "The mail service refused the message.")),
        (500, OutcomeUnknown("500")),
        (502, OutcomeUnknown("502")),
        (503, OutcomeUnknown("503")),
    ],
)
def test_an_answer_means_its_word_and_is_asked_for_once(
    httpserver: HTTPServer, esp_channel: Any, status: int, word: Exception
) -> None:
    answer(httpserver, status, {"Message": "lakshmi@example.com is not welcome"})
    with pytest.raises(type(word)) as raised:
        esp_channel().send(make_message())
    assert raised.value == word
    assert raised.value.__suppress_context__
    assert len(httpserver.log) == 1


def test_too_many_requests_wait_as_long_as_the_service_says(httpserver: HTTPServer, esp_channel: Any) -> None:
    answer(httpserver, 429, {}, **{"Retry-After": "17"})
    with pytest.raises(NotProcessed) as word:
        esp_channel().send(make_message())
    assert word.value == NotProcessed("429", 17.0, counts=False)


@pytest.mark.parametrize("body", ["no json", '"text"', "{}", json.dumps(TAKEN | {"To": "no address"})])
def test_an_unreadable_yes_is_unknown(httpserver: HTTPServer, esp_channel: Any, body: str) -> None:
    httpserver.expect_request("/email").respond_with_data(body)
    with pytest.raises(OutcomeUnknown):
        esp_channel().send(make_message())


def test_a_yes_without_an_id_is_a_yes(httpserver: HTTPServer, esp_channel: Any) -> None:
    httpserver.expect_request("/email").respond_with_data("[]")
    assert esp_channel().send(make_message()) == Accepted("")


@pytest.mark.parametrize(
    ("code", "text", "suppress"),
    [
        (300, "Invalid 'To' address: 'lakshmi@example.com'.", SuppressionReason.INVALID),
        (
            406,
            "You tried to send to recipients that have been marked as inactive.\n"
            "Found inactive addresses: lakshmi@example.com. Inactive recipients are ones that bounced.",
            None,
        ),
    ],
)
def test_a_recipient_the_service_refuses_is_rejected(
    httpserver: HTTPServer, esp_channel: Any, code: int, text: str, suppress: SuppressionReason | None
) -> None:
    answer(httpserver, 422, {"ErrorCode": code, "Message": text})
    with pytest.raises(Rejected) as word:
        esp_channel().send(make_message())
    assert word.value.suppress == suppress


def test_a_service_that_is_away_is_tried_later(esp_channel: Any, black_hole_port: int) -> None:
    for port in (closed_port(), black_hole_port):
        with pytest.raises(NotProcessed):
            esp_channel(url=f"http://127.0.0.1:{port}/").send(make_message())


def test_a_service_that_does_not_answer_is_unknown(
    httpserver: HTTPServer, esp_channel: Any, slow: Any
) -> None:
    httpserver.expect_request("/email").respond_with_handler(slow(Response("{}")))
    with pytest.raises(OutcomeUnknown) as word:
        esp_channel().send(make_message())
    assert word.value.code == "timeout"
    assert len(httpserver.log) <= 1


class Resend:
    """One mail a key: the same answer again, 409 for another text or while the first still runs."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.mails: dict[str, tuple[bytes, str]] = {}
        self.answers: list[Response] = []  # given instead, once the mail is taken
        self.running = False
        httpserver.expect_request("/emails", method="POST").respond_with_handler(self.take)

    def take(self, request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer k"
        key, body = request.headers["Idempotency-Key"], request.get_data()
        if self.running:
            return self.conflict("concurrent_idempotent_requests")
        before, mail_id = self.mails.setdefault(key, (body, f"mail-{len(self.mails) + 1}"))
        if before != body:
            return self.conflict("invalid_idempotent_request")
        return self.answers.pop(0) if self.answers else Response(json.dumps({"id": mail_id}))

    @staticmethod
    def conflict(name: str) -> Response:
        body = {"statusCode": 409, "name": name, "message": "Not with this key."}
        return Response(json.dumps(body), 409, content_type="application/json")


class TestKeys:
    """A service that takes idempotency keys is asked again under the follow-up's."""

    @pytest.fixture
    def resend(self, httpserver: HTTPServer) -> Resend:
        return Resend(httpserver)

    def test_a_repeat_after_a_lost_answer_is_the_same_mail(self, resend: Resend, esp_channel: Any) -> None:
        channel = esp_channel("resend")
        first, second = (make_message(follow_up_id=uuid.UUID(int=7), html="<p>hello</p>") for _ in range(2))
        assert first.attempt_id != second.attempt_id
        resend.answers = [Response("{}", 502)]
        with pytest.raises(OutcomeUnknown):
            channel.send(first)
        assert channel.send(second) == Accepted("mail-1")
        assert channel.send(make_message()) == Accepted("mail-2")
        assert list(resend.mails)[0] == str(uuid.UUID(int=7))

    def test_a_key_that_came_with_another_text_proves_that_the_first_was_taken(
        self, resend: Resend, esp_channel: Any
    ) -> None:
        channel = esp_channel("resend")
        resend.answers = [Response("{}", 500)]
        with pytest.raises(OutcomeUnknown):
            channel.send(make_message(follow_up_id=uuid.UUID(int=7), text="Dear Lakshmi"))
        assert channel.send(make_message(follow_up_id=uuid.UUID(int=7), text="Dear Laxmi")) == Accepted()
        assert len(resend.mails) == 1

    def test_a_key_whose_first_request_still_runs_is_unknown(self, resend: Resend, esp_channel: Any) -> None:
        resend.running = True
        with pytest.raises(OutcomeUnknown) as word:
            esp_channel("resend").send(make_message())
        assert word.value.code == "key_in_use"

    @pytest.mark.parametrize("body", ["", "[]", "{}", '{"name": "not_found"}'])
    def test_another_conflict_is_a_refusal(self, httpserver: HTTPServer, esp_channel: Any, body: str) -> None:
        httpserver.expect_request("/emails").respond_with_data(body, status=409)
        with pytest.raises(Rejected):
            esp_channel("resend").send(make_message())

    def test_a_channel_with_keys_says_for_how_long_and_repeats_nothing_else(self, esp_channel: Any) -> None:
        keyed, other = esp_channel("resend"), esp_channel("postmark")
        assert (keyed.keeps_key_for, keyed.repeats_in_doubt) == (timedelta(hours=20), 0)
        assert (other.keeps_key_for, other.repeats_in_doubt) == (None, 1)


def test_a_service_without_its_key_is_misconfigured(settings: Settings, esp_channel: Any) -> None:
    channel = esp_channel()
    settings.ANYMAIL = {}
    with pytest.raises(Misconfigured):
        channel.send(make_message())


def test_a_service_nobody_knows_is_misconfigured(settings: Settings, esp_channel: Any) -> None:
    channel = esp_channel()
    settings.EMAIL_BACKEND = "anymail.backends.pigeon.EmailBackend"
    with pytest.raises(Misconfigured):
        channel.send(make_message())


def test_a_backend_that_does_not_tell_how_far_it_got_leaves_doubt(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "tests.followups.channels.test_esp.Fickle"
    with pytest.raises(OutcomeUnknown):
        EmailChannel(sender=SENDER).send(make_message())


class Fickle(EmailBackend):
    """A backend that fails somewhere."""

    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionResetError
