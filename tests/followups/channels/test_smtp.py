"""Mail over SMTP: what arrives, and what every refusal and every broken conversation means."""

import smtplib
import ssl
import threading
import time
from email import policy
from email.parser import BytesParser
from typing import Any

import pytest
from django.core.mail import EmailMessage
from pytest_django import Settings
from smtpdfix import AuthController

from followups.channels import smtp, smtp_errors
from followups.channels.base import Accepted
from followups.channels.smtp import PhasedEmailBackend
from followups.choices import SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from tests.followups.channels.conftest import SENDER, TAMIL, make_message
from tests.followups.channels.servers import HANG_UP, POLITE, SILENCE, After, closed_port, scripted_smtp

pytestmark = pytest.mark.django_db

HTML = f"<p>{TAMIL}</p>"
PIPELINING = "250-polite\r\n250-SIZE 1000000\r\n250 PIPELINING"
UNSUBSCRIBE = "https://follow.example.com/u/1-email.signature"


def outcome(call: Any) -> Any:
    try:
        return call()
    except (NotProcessed, Rejected, Misconfigured, OutcomeUnknown) as word:
        return word


def test_a_mail_arrives_whole(smtpd: AuthController, smtp_channel: Any) -> None:
    message = make_message(html=HTML, unsubscribe_url=UNSUBSCRIBE)
    accepted = smtp_channel(smtpd.port).send(message)
    (raw,) = smtpd.messages
    mail = BytesParser(policy=policy.default).parsebytes(raw.as_bytes())
    assert mail["From"] == SENDER
    assert mail["To"] == "lakshmi@example.com"
    assert mail["Subject"] == message.subject
    assert mail["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{message.follow_up_id}@jyotiflow.example>"
    assert accepted == Accepted(mail["Message-ID"])
    text, html = mail.iter_parts()
    assert mail.get_content_type() == "multipart/alternative"
    assert (text.get_content_type(), text.get_content().strip()) == ("text/plain", TAMIL)
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", HTML)
    assert raw.as_bytes().isascii()  # no relay has to re-encode it


def test_a_mail_without_an_unsubscribe_link_names_none(smtpd: AuthController, smtp_channel: Any) -> None:
    smtp_channel(smtpd.port).send(make_message())
    (mail,) = smtpd.messages
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Unsubscribe-Post"] is None


def test_every_attempt_at_a_follow_up_has_the_same_message_id(smtp_channel: Any) -> None:
    channel = smtp_channel(0)
    first = make_message()
    assert channel.message_id(first) == channel.message_id(make_message(follow_up_id=first.follow_up_id))
    assert channel.message_id(first) != channel.message_id(make_message())


@pytest.mark.parametrize(
    "subject",
    [
        "Hello\r\nBcc: everyone@example.com",
        "Hello\nBcc: everyone@example.com",
        "Hello\rBcc: x@example.com",
        "Hello\u2028Bcc: everyone@example.com",
        "Hello\x0bBcc: everyone@example.com",
    ],
)
def test_a_subject_can_not_add_a_header(smtpd: AuthController, smtp_channel: Any, subject: str) -> None:
    smtp_channel(smtpd.port).send(make_message(subject=subject))
    (mail,) = smtpd.messages
    assert mail["Bcc"] is None
    assert BytesParser(policy=policy.default).parsebytes(mail.as_bytes())["Subject"].startswith("Hello Bcc:")


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "a",
        "",
        "அ@example.com",
        "a@example.com> SIZE=1",
    ],
)
def test_what_is_no_address_is_refused_before_any_call(smtp_channel: Any, address: str) -> None:
    with scripted_smtp() as server:
        with pytest.raises(Rejected) as refused:
            smtp_channel(server.port).send(make_message(to=(address,)))
        assert refused.value.suppress == SuppressionReason.INVALID
        assert server.connections == 0


def test_only_one_recipient_is_written_to(smtp_channel: Any) -> None:
    with scripted_smtp() as server:
        smtp_channel(server.port).send(make_message(to=("a@example.com", "b@example.com")))
        (mail,) = server.mails
    assert b"b@example.com" not in mail


def test_a_line_of_one_dot_does_not_end_the_mail(smtp_channel: Any) -> None:
    with scripted_smtp() as server:
        channel = smtp_channel(server.port)
        channel.send(make_message(text="one\n.\ntwo"))
        channel.close()
        (mail,) = server.mails
    assert b"two" in mail


def test_it_signs_in_over_starttls(
    smtpd: AuthController, smtp_channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtpd.config.use_starttls = True
    smtpd.config.enforce_auth = True
    monkeypatch.setattr(PhasedEmailBackend, "ssl_context", _trusting())
    channel = smtp_channel(smtpd.port, security="starttls", user="user", password="password")
    channel.send(make_message())
    assert len(smtpd.messages) == 1
    wrong = smtp_channel(smtpd.port, security="starttls", user="user", password="wrong")
    with pytest.raises(Misconfigured) as refused:
        wrong.send(make_message())
    assert refused.value.code.startswith("535")
    assert len(smtpd.messages) == 1


def test_it_speaks_tls_from_the_first_byte(
    smtpd: AuthController, smtp_channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PhasedEmailBackend, "ssl_context", _trusting())
    with scripted_smtp(tls=_certified(smtpd)) as server:
        smtp_channel(server.port, security="ssl").send(make_message())
        assert len(server.mails) == 1


def test_a_certificate_nobody_trusts_stops_the_mail_for_now(smtpd: AuthController, smtp_channel: Any) -> None:
    with scripted_smtp(tls=_certified(smtpd)) as server:
        with pytest.raises(NotProcessed):
            smtp_channel(server.port, security="ssl").send(make_message())
        assert server.mails == []


def _certified(smtpd: AuthController) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = smtpd.config.ssl_cert_files
    assert certificate
    context.load_cert_chain(certificate, key)
    return context


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


HARD_BOUNCE, INVALID = SuppressionReason.HARD_BOUNCE, SuppressionReason.INVALID
LOGIN = "The mail server refused SMTP_USER and SMTP_PASS."
SENDER_REFUSED = "The mail server refused EMAIL_FROM as the sender."
NO_MAILBOX = "The mailbox does not exist."
NOT_VALID = "The address is not valid."
POLICY = "The recipient's mail server refused it by its policy."
TOO_LARGE = "The mail is too large for the recipient's mail server."
REFUSALS: list[tuple[str, str, Any]] = [
    # The greeting and the sign-in.
    ("banner", "421 4.3.2 try later", NotProcessed("421 4.3.2", 900, counts=False)),
    ("banner", "554 no service for you", Misconfigured("554", "The mail server turns us away.")),
    # The sender.
    ("mail", "451 4.3.0 try later", NotProcessed("451 4.3.0", 900)),
    ("mail", "530 5.7.0 sign in first", Misconfigured("530 5.7.0", LOGIN)),
    ("mail", "550 5.7.1 not your sender", Misconfigured("550 5.7.1", SENDER_REFUSED)),
    ("mail", "553 5.1.8 no such sender", Misconfigured("553 5.1.8", SENDER_REFUSED)),
    ("mail", "552 5.3.4 too big", Rejected("552 5.3.4", TOO_LARGE)),
    # The recipient.
    ("rcpt", "421 4.7.0 too many", NotProcessed("421 4.7.0", 900, counts=False)),
    ("rcpt", "450 4.2.1 busy", NotProcessed("450 4.2.1", 1_800, counts=False)),
    ("rcpt", "451 greylisted", NotProcessed("451", 900)),
    ("rcpt", "452 4.2.2 over quota", NotProcessed("452 4.2.2", 900)),
    ("rcpt", "552 5.2.2 over quota", NotProcessed("552 5.2.2", 3_600)),
    ("rcpt", "552 full", NotProcessed("552", 3_600)),
    ("rcpt", "550 5.1.1 nobody", Rejected("550 5.1.1", NO_MAILBOX, HARD_BOUNCE)),
    ("rcpt", "550 5.1.2 nowhere", Rejected("550 5.1.2", NO_MAILBOX, HARD_BOUNCE)),
    ("rcpt", "550 5.1.3 bad address", Rejected("550 5.1.3", NOT_VALID, INVALID)),
    ("rcpt", "550 5.1.6 moved", Rejected("550 5.1.6", NO_MAILBOX, HARD_BOUNCE)),
    ("rcpt", "556 5.1.10 null MX", Rejected("556 5.1.10", NO_MAILBOX, HARD_BOUNCE)),
    ("rcpt", "550 5.2.1 disabled", Rejected("550 5.2.1", NO_MAILBOX, HARD_BOUNCE)),
    ("rcpt", "553 bad name", Rejected("553", NOT_VALID, INVALID)),
    ("rcpt", "550 5.1.7 bad sender", Misconfigured("550 5.1.7", SENDER_REFUSED)),
    ("rcpt", "550 5.1.8 bad sender", Misconfigured("550 5.1.8", SENDER_REFUSED)),
    ("rcpt", "550 no", Rejected("550", "The mail server refused the message.")),
    ("rcpt", "554 5.7.1 spam", Rejected("554 5.7.1", POLICY)),
    ("rcpt", "550 5.7.26 no DMARC", Rejected("550 5.7.26", POLICY)),
    # Before the mail itself and after its last dot.
    ("data", "451 4.3.0 try later", NotProcessed("451 4.3.0", 900)),
    ("data", "554 no valid recipients", Rejected("554", "The mail server refused the message.")),
    ("dot", "451 4.7.1 greylisted", NotProcessed("451 4.7.1", 900)),
    ("dot", "421 closing", NotProcessed("421", 900, counts=False)),
    ("dot", "552 5.2.3 too big", Rejected("552 5.2.3", TOO_LARGE)),
    ("dot", "550 5.1.1 nobody", Rejected("550 5.1.1", NO_MAILBOX, HARD_BOUNCE)),
    ("dot", "554 5.7.1 spam", Rejected("554 5.7.1", POLICY)),
]


@pytest.mark.parametrize("hello", [POLITE["ehlo"], PIPELINING])
@pytest.mark.parametrize(("stage", "reply", "word"), REFUSALS, ids=[f"{s}-{r}" for s, r, _ in REFUSALS])
def test_a_reply_means_its_word(smtp_channel: Any, hello: str, stage: str, reply: str, word: Any) -> None:
    with scripted_smtp({"ehlo": hello, stage: reply}) as server:
        assert outcome(lambda: smtp_channel(server.port).send(make_message())) == word
        assert server.connections == 1
        assert len(server.mails) == (1 if stage == "dot" else 0)


@pytest.mark.parametrize("code", sorted(smtp_errors.ABOUT_US))
def test_a_refused_sign_in_is_our_fault_and_no_recipients(code: int) -> None:
    for error in (
        smtplib.SMTPAuthenticationError(code, b"5.7.8 no"),
        smtplib.SMTPSenderRefused(code, b"5.7.0 no", "a@example.com"),
        smtplib.SMTPRecipientsRefused({"a@example.com": (code, b"5.7.0 no")}),
    ):
        assert isinstance(smtp_errors.outcome_of(error, handed_over=False), Misconfigured)


def test_a_sign_in_that_fails_for_now_is_tried_later() -> None:
    error = smtplib.SMTPAuthenticationError(454, b"4.7.0 temporary")
    assert smtp_errors.outcome_of(error, handed_over=False) == NotProcessed("454 4.7.0", 900)


def test_a_server_without_starttls_is_our_misconfiguration(smtp_channel: Any) -> None:
    with scripted_smtp() as server, pytest.raises(Misconfigured):
        smtp_channel(server.port, security="starttls").send(make_message())


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("stage", ["banner", "mail", "rcpt", "data"])
@pytest.mark.parametrize("fault", [HANG_UP, SILENCE])
@pytest.mark.parametrize("hello", [POLITE["ehlo"], PIPELINING])
def test_a_conversation_broken_before_the_last_dot_did_not_send(
    smtp_channel: Any, hello: str, stage: str, fault: str | None
) -> None:
    with scripted_smtp({"ehlo": hello, stage: fault}) as server:
        with pytest.raises(NotProcessed):
            smtp_channel(server.port).send(make_message())
        assert server.mails == []


@pytest.mark.parametrize("fault", [HANG_UP, "what?", "250-and then\r\n"])
def test_a_conversation_broken_after_the_last_dot_may_have_sent(smtp_channel: Any, fault: str | None) -> None:
    with scripted_smtp({"dot": fault}) as server:
        with pytest.raises(OutcomeUnknown):
            smtp_channel(server.port).send(make_message())
        assert len(server.mails) == 1


def test_a_server_that_is_away_is_tried_later(smtp_channel: Any, black_hole_port: int) -> None:
    for port in (closed_port(), black_hole_port):
        with pytest.raises(NotProcessed):
            smtp_channel(port).send(make_message())


def test_a_host_name_that_does_not_resolve_is_tried_later(smtp_channel: Any, settings: Settings) -> None:
    channel = smtp_channel(25)
    settings.EMAIL_HOST = "mail.invalid"
    with pytest.raises(NotProcessed):
        channel.send(make_message())


def test_silence_after_the_last_dot_may_have_sent_and_ends_within_its_time(
    smtp_channel: Any, settings: Settings
) -> None:
    settings.EMAIL_TIMEOUT = 2
    with scripted_smtp({"dot": SILENCE}) as server:
        channel = smtp_channel(server.port)
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            channel.send(make_message())
        assert 1.9 < time.monotonic() - started < 2.5


def test_an_answer_may_take_longer_than_a_connection(smtp_channel: Any, settings: Settings) -> None:
    settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS = 0.1
    with scripted_smtp({"rcpt": After(0.2, "250 ok"), "dot": After(0.2, "250 taken")}) as server:
        smtp_channel(server.port).send(make_message())
        assert len(server.mails) == 1


def test_many_slow_answers_share_one_clock(smtp_channel: Any, settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 0.8  # of which half is for what comes before the last dot
    slow = {stage: After(0.15, str(reply)) for stage, reply in POLITE.items()}
    with scripted_smtp(slow) as server:
        with pytest.raises(NotProcessed):
            smtp_channel(server.port).send(make_message())
        assert server.mails == []


def test_a_thread_keeps_its_connection_and_shares_it_with_no_other(smtp_channel: Any) -> None:
    with scripted_smtp() as server:
        channel = smtp_channel(server.port)
        for _ in range(3):
            channel.send(make_message())
        assert (server.connections, len(server.mails)) == (1, 3)
        channel.close()

        def from_elsewhere() -> None:
            channel.send(make_message())
            channel.close()

        thread = threading.Thread(target=from_elsewhere)
        thread.start()
        thread.join()
        assert (server.connections, len(server.mails)) == (2, 4)


@pytest.mark.parametrize(
    ("fault", "word"), [("550 5.1.1 nobody", Rejected), ("421 bye", NotProcessed), (HANG_UP, NotProcessed)]
)
def test_a_mail_that_fails_does_not_spoil_the_next(
    smtp_channel: Any, fault: str | None, word: type[Exception]
) -> None:
    with scripted_smtp({"rcpt": fault}) as server:
        channel = smtp_channel(server.port)
        with pytest.raises(word):
            channel.send(make_message())
        server.script["rcpt"] = "250 ok"
        channel.send(make_message())
        assert len(server.mails) == 1


def test_an_idle_connection_and_a_much_used_one_are_replaced(
    smtp_channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MAILS_PER_CONNECTION", 2)
    with scripted_smtp() as server:
        channel = smtp_channel(server.port)
        for _ in range(3):
            channel.send(make_message())
        assert server.connections == 2
        assert len(server.mails) == 3
        monkeypatch.setattr(smtp, "FRESH_SECONDS", 0.1)
        time.sleep(0.15)
        channel.send(make_message())
        assert server.connections == 3


def test_the_reason_holds_nothing_of_what_the_server_said(smtp_channel: Any) -> None:
    with scripted_smtp({"rcpt": "550 5.1.1 <lakshmi@example.com>: unknown"}) as server:
        with pytest.raises(Rejected) as refused:
            smtp_channel(server.port).send(make_message())
        assert "lakshmi" not in refused.value.code + refused.value.reason
        assert refused.value.__suppress_context__


def test_the_backend_serves_djangos_own_mail_too(smtp_channel: Any) -> None:
    with scripted_smtp() as server:
        smtp_channel(server.port)
        from_django = PhasedEmailBackend()
        assert from_django.send_messages([_plain()]) == 1
        assert from_django.connection is None
        assert from_django.handed_over  # still known when the connection is closed
        assert len(server.mails) == 1
    with pytest.raises(OSError, match="refused"):
        PhasedEmailBackend(port=closed_port()).send_messages([_plain()])


def test_three_commands_go_out_together_and_mails_stay_apart(smtp_channel: Any) -> None:
    with scripted_smtp({"ehlo": PIPELINING}) as server:
        channel = smtp_channel(server.port)
        messages = [make_message(subject=f"Number {number}") for number in range(3)]
        for message in messages:
            channel.send(message)
        assert server.connections == 1
        assert [f"Number {number}".encode() in mail for number, mail in enumerate(server.mails)] == [True] * 3


def test_a_refusal_of_one_mail_does_not_become_the_next_one_s_answer(smtp_channel: Any) -> None:
    with scripted_smtp({"ehlo": PIPELINING, "rcpt": "550 5.1.1 nobody"}) as server:
        channel = smtp_channel(server.port)
        assert isinstance(outcome(lambda: channel.send(make_message())), Rejected)
        server.script["rcpt"] = "250 ok"
        assert isinstance(outcome(lambda: channel.send(make_message())), Accepted)
        assert (server.connections, len(server.mails)) == (2, 1)


def _plain() -> EmailMessage:
    return EmailMessage("Subject", "Body", SENDER, ["ops@example.com"])
