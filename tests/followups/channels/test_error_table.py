"""Every error of the specification, on the wire: what the message, its credits and its address come to.

A real client of each provider talks to a local server that answers as the row says; the queue does the rest.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from credits.selectors import balance_of
from followups.channels import get_channel
from followups.channels.email import EmailChannel
from followups.channels.verdicts import SHIPPED
from followups.choices import ErrorPhase, State
from followups.models import Device, FollowUpSchedule, Suppression
from followups.receipts.email import receipt_of
from followups.services.receipts import record_receipt
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.channels.conftest import ACCOUNT_SID, SENDER
from tests.followups.channels.servers import scripted_smtp
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db

PRICE, CREDITS = 5, 100
BASE = "https://follow.example.com"
SMS_SENDER = "+14155550100"


@dataclass(frozen=True)
class End:
    """What becomes of a message for 5 of 100 credits."""

    state: State
    waits: int | None = None  # seconds at least, where it waits for another try
    tries: int = 1
    stops: str = ""  # why the address is stopped
    alarms: bool = False  # whether an operator is told


FAILED = End(State.FAILED)
ALARMED = End(State.FAILED, alarms=True)
IN_DOUBT = End(State.IN_DOUBT)
HALTED = End(State.PENDING, waits=300, tries=0, alarms=True)
ARRIVED = End(State.DELIVERED)
SENT = End(State.SENT)


def stopped(reason: str, state: State = State.FAILED) -> End:
    return End(state, stops=reason)


def waits(seconds: int, *, counts: bool = True) -> End:
    return End(State.PENDING, waits=seconds, tries=1 if counts else 0)


def again(seconds: int) -> End:
    """Taken, failed, and tried anew."""
    return End(State.PENDING, waits=seconds, tries=0)


Wire = tuple[int, Any, dict[str, str]]  # HTTP status, body, headers


def twilio(status: int, code: int | None = None, **headers: str) -> Wire:
    return status, {"code": code, "message": "no", "more_info": "", "status": status}, headers


def fcm(status: int, code: str, rpc: str = "", **headers: str) -> Wire:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": kind, "errorCode": code}] if code else []
    return status, {"error": {"code": status, "message": "no", "status": rpc, "details": details}}, headers


AFTER = {"Retry-After": "700"}
TWILIO: list[tuple[str, Wire, End]] = [
    ("429", twilio(429, 20429), waits(30, counts=False)),
    ("429", twilio(429, 20429, **AFTER), waits(700, counts=False)),
    ("20429", twilio(400, 20429), waits(30, counts=False)),
    ("5xx", twilio(500, 20500), IN_DOUBT),
    ("5xx", twilio(503, 20503, **AFTER), IN_DOUBT),
    ("5xx", twilio(504), IN_DOUBT),
    ("20500", twilio(400, 20500), IN_DOUBT),
    ("20503", twilio(400, 20503), IN_DOUBT),
    ("401", twilio(401), HALTED),
    ("403", twilio(403), HALTED),
    ("404", twilio(404), HALTED),
    ("405", twilio(405), HALTED),
    ("405", twilio(302), HALTED),
    ("408", twilio(408), IN_DOUBT),
    ("20404", twilio(404, 20404), HALTED),
    *((str(code), twilio(400, code), HALTED) for code in (10001, 20003, 21212, 21603, 21606, 21608, 21609)),
    *((str(code), twilio(400, code), HALTED) for code in (21659, 21703, 21901, 63007, 63008, 90007)),
    *((str(code), twilio(400, code), stopped("invalid")) for code in (21211, 21214, 21265, 21614, 21635)),
    ("21408", twilio(403, 21408), ALARMED),
    ("21610", twilio(400, 21610), stopped("opt_out")),
    ("21611", twilio(429, 21611), waits(30, counts=False)),
    ("21611", twilio(400, 21611), waits(1_800)),
    ("21612", twilio(400, 21612), ALARMED),
    ("21617", twilio(400, 21617), ALARMED),
    ("63016", twilio(400, 63016), FAILED),
    ("63021", twilio(400, 63021), ALARMED),
    ("unknown", twilio(400, 29999), ALARMED),
    ("unknown", twilio(418), ALARMED),
]
FCM: list[tuple[str, Wire, End]] = [
    ("UNREGISTERED", fcm(404, "UNREGISTERED", "NOT_FOUND"), FAILED),
    ("SENDER_ID_MISMATCH", fcm(403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED"), ALARMED),
    ("INVALID_ARGUMENT", fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), ALARMED),
    ("QUOTA_EXCEEDED", fcm(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"), waits(60, counts=False)),
    ("QUOTA_EXCEEDED", fcm(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", **AFTER), waits(700, counts=False)),
    ("RESOURCE_EXHAUSTED", fcm(429, "", "RESOURCE_EXHAUSTED"), waits(60, counts=False)),
    ("UNAVAILABLE", fcm(503, "UNAVAILABLE", "UNAVAILABLE"), waits(30)),
    ("UNAVAILABLE", fcm(503, "UNAVAILABLE", "UNAVAILABLE", **AFTER), waits(700)),
    ("INTERNAL", fcm(500, "INTERNAL", "INTERNAL"), waits(30)),
    ("DEADLINE_EXCEEDED", fcm(504, "", "DEADLINE_EXCEEDED"), waits(30)),
    ("5xx", fcm(502, ""), waits(30)),
    ("THIRD_PARTY_AUTH_ERROR", fcm(401, "THIRD_PARTY_AUTH_ERROR"), HALTED),
    ("UNAUTHENTICATED", fcm(401, "", "UNAUTHENTICATED"), HALTED),
    ("PERMISSION_DENIED", fcm(403, "", "PERMISSION_DENIED"), HALTED),
    ("NOT_FOUND", fcm(404, "", "NOT_FOUND"), HALTED),
    ("unknown", fcm(418, ""), ALARMED),
]
DROPPED = ("UNREGISTERED", "SENDER_ID_MISMATCH")
ESP: list[tuple[str, Wire, End]] = [
    ("400", (400, {}, {}), ALARMED),
    ("401", (401, {}, {}), HALTED),
    ("402", (402, {}, {}), HALTED),
    ("403", (403, {}, {}), HALTED),
    ("404", (404, {}, {}), HALTED),
    ("408", (408, {}, {}), IN_DOUBT),
    ("413", (413, {}, {}), FAILED),
    ("422", (422, {}, {}), ALARMED),
    ("429", (429, {}, {}), waits(30, counts=False)),
    ("429", (429, {}, AFTER), waits(700, counts=False)),
    ("5xx", (500, {}, {}), IN_DOUBT),
    ("5xx", (503, {}, AFTER), IN_DOUBT),
    ("invalid", (422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'x'."}, {}), stopped("invalid")),
    (
        "rejected",
        (422, {"ErrorCode": 406, "Message": "Found inactive addresses: x. Inactive recipients are ones"}, {}),
        FAILED,
    ),
    ("unknown", (418, {}, {}), ALARMED),
]
SMTP: list[tuple[str, str, str, End]] = [
    # The rule, the stage, the reply.
    ("421", "banner", "421 4.3.2 busy", waits(900, counts=False)),
    ("421", "rcpt", "421 4.7.0 too many", waits(900, counts=False)),
    ("421", "dot", "421 closing", waits(900, counts=False)),
    ("450", "rcpt", "450 4.2.1 greylisted", waits(1_800, counts=False)),
    ("451", "mail", "451 4.3.0 later", waits(900)),
    ("451", "dot", "451 4.7.1 greylisted", waits(900)),
    ("452", "rcpt", "452 4.2.2 full", waits(900)),
    ("4xx", "rcpt", "447 4.9.9 odd", waits(900)),
    ("5.1.1", "rcpt", "550 5.1.1 nobody", stopped("hard_bounce")),
    ("5.1.1", "dot", "550 5.1.1 nobody", stopped("hard_bounce")),
    ("5.1.2", "rcpt", "550 5.1.2 nowhere", stopped("hard_bounce")),
    ("5.1.3", "rcpt", "550 5.1.3 bad", stopped("invalid")),
    ("5.1.6", "rcpt", "550 5.1.6 moved", stopped("hard_bounce")),
    ("5.1.7", "rcpt", "550 5.1.7 sender", HALTED),
    ("5.1.8", "rcpt", "550 5.1.8 sender", HALTED),
    ("5.1.10", "rcpt", "556 5.1.10 no mail", stopped("hard_bounce")),
    ("5.2.1", "rcpt", "550 5.2.1 off", stopped("hard_bounce")),
    ("5.2.2", "rcpt", "552 5.2.2 full", waits(3_600)),
    ("5.2.3", "dot", "552 5.2.3 big", FAILED),
    ("5.3.4", "dot", "552 5.3.4 big", FAILED),
    ("5.7", "rcpt", "550 5.7.1 policy", ALARMED),
    ("5.7", "dot", "550 5.7.26 no DMARC", ALARMED),
    ("530", "mail", "530 5.7.0 sign in", HALTED),
    ("534", "rcpt", "534 5.7.9 sign in", HALTED),
    ("535", "rcpt", "535 5.7.8 sign in", HALTED),
    ("538", "mail", "538 5.7.11 sign in", HALTED),
    ("550", "rcpt", "550 no", FAILED),
    ("551", "rcpt", "551 elsewhere", FAILED),
    ("552", "rcpt", "552 full", waits(3_600)),
    ("553", "rcpt", "553 bad name", stopped("invalid")),
    ("554", "dot", "554 no", ALARMED),
    ("MAIL", "mail", "550 5.7.1 not yours", HALTED),
    ("MAIL 552", "mail", "552 5.3.4 big", FAILED),
    ("CONNECT", "banner", "554 go away", HALTED),
    ("unknown", "rcpt", "550 5.9.9 odd", ALARMED),
    ("unknown", "rcpt", "559 odd", ALARMED),
]
REPORTS: list[tuple[str, str, End]] = [
    # Twilio's status and code.
    ("canceled", "", FAILED),
    ("failed", "", FAILED),
    ("undelivered", "", FAILED),
    ("undelivered", "30001", again(3_600)),
    ("undelivered", "30002", ALARMED),
    ("undelivered", "30003", again(3_600)),
    ("undelivered", "30004", stopped("blocked")),
    ("undelivered", "30005", stopped("invalid")),
    ("undelivered", "30006", stopped("invalid")),
    ("undelivered", "30007", ALARMED),
    ("undelivered", "30008", again(3_600)),
    ("failed", "30036", again(300)),
    ("undelivered", "30410", FAILED),
    ("failed", "30500", again(600)),
    ("undelivered", "30610", again(3_600)),
    ("undelivered", "63003", stopped("invalid")),
    ("undelivered", "63014", stopped("blocked")),
    ("failed", "63016", ALARMED),
    ("failed", "63017", again(300)),
    ("failed", "63018", again(300)),
    ("undelivered", "63024", stopped("invalid")),
    ("undelivered", "63049", FAILED),
    ("undelivered", "39999", ALARMED),
    ("delivered", "", ARRIVED),
    ("sent", "", SENT),
]
ALARMED_BOUNCE = End(State.FAILED, stops="hard_bounce", alarms=True)
HARD, COMPLAINT = stopped("hard_bounce"), stopped("complaint", State.DELIVERED)
EVENTS: list[tuple[str, str, str, dict[str, Any], End]] = [
    # The service, its rule, Anymail's event, the service's own words.
    ("amazon_ses", "permanent", "bounced", {"bounce": {"bounceType": "Permanent"}}, HARD),
    ("amazon_ses", "transient", "bounced", {"bounce": {"bounceType": "Transient"}}, FAILED),
    ("amazon_ses", "undetermined", "bounced", {"bounce": {"bounceType": "Undetermined"}}, FAILED),
    ("amazon_ses", "complained", "complained", {"complaint": {}}, COMPLAINT),
    ("sendgrid", "bounce", "bounced", {"event": "bounce", "type": "bounce"}, HARD),
    ("sendgrid", "blocked", "bounced", {"event": "bounce", "type": "blocked"}, FAILED),
    ("sendgrid", "dropped", "rejected", {"event": "dropped", "reason": "Bounced Address"}, FAILED),
    ("sendgrid", "deferred", "deferred", {"event": "deferred"}, SENT),
    ("sendgrid", "spamreport", "complained", {"event": "spamreport"}, COMPLAINT),
    ("mailgun", "permanent", "bounced", {"event-data": {"severity": "permanent"}}, HARD),
    ("mailgun", "temporary", "deferred", {"event-data": {"severity": "temporary"}}, SENT),
    ("postmark", "hardbounce", "bounced", {"Type": "HardBounce"}, HARD),
    ("postmark", "softbounce", "bounced", {"Type": "SoftBounce"}, FAILED),
    ("postmark", "transient", "deferred", {"Type": "Transient"}, SENT),
    ("postmark", "dnserror", "deferred", {"Type": "DnsError"}, SENT),
    ("postmark", "openrelaytest", "deferred", {"Type": "OpenRelayTest"}, SENT),
    ("postmark", "spamnotification", "complained", {"Type": "SpamNotification"}, COMPLAINT),
    ("postmark", "spamcomplaint", "complained", {"Type": "SpamComplaint"}, COMPLAINT),
    ("postmark", "bademailaddress", "rejected", {"Type": "BadEmailAddress"}, stopped("invalid")),
    ("postmark", "manuallydeactivated", "rejected", {"Type": "ManuallyDeactivated"}, FAILED),
    ("postmark", "blocked", "rejected", {"Type": "Blocked"}, ALARMED),
    ("postmark", "dmarcpolicy", "rejected", {"Type": "DMARCPolicy"}, ALARMED),
    ("postmark", "virusnotification", "bounced", {"Type": "VirusNotification"}, ALARMED),
    ("postmark", "unconfirmed", "rejected", {"Type": "Unconfirmed"}, FAILED),
    ("postmark", "smtpapierror", "failed", {"Type": "SMTPApiError"}, FAILED),
    ("postmark", "templaterenderingfailed", "failed", {"Type": "TemplateRenderingFailed"}, ALARMED),
    (
        "postmark",
        "unknown",
        "bounced",
        {"Type": "Brandnew"},
        End(State.FAILED, stops="hard_bounce", alarms=True),
    ),
    ("brevo", "bounced", "bounced", {}, HARD),
    ("brevo", "complained", "complained", {}, COMPLAINT),
    ("brevo", "deferred", "deferred", {}, SENT),
    ("brevo", "failed", "failed", {}, FAILED),
    ("brevo", "rejected", "rejected", {}, FAILED),
]


@pytest.fixture
def book(rich_user: User, make_template: Any) -> Any:
    """Books one message on a channel, due now."""

    def make(channel: str) -> FollowUpSchedule:
        template = make_template(channel=channel, credits_cost=PRICE)
        return schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())

    return make


@pytest.fixture
def serve(httpserver: HTTPServer) -> Any:
    """Lets the local server answer every POST as told, but for Google's sign-in."""

    def tell(wire: Wire) -> None:
        status, body, headers = wire
        httpserver.expect_request("/token").respond_with_json({"access_token": "t", "expires_in": 3600})
        httpserver.expect_request(re.compile(""), method="POST").respond_with_data(
            json.dumps(body), status, {"Location": "/", **headers}, content_type="application/json"
        )

    return tell


@pytest.fixture
def use(settings: Settings) -> Iterator[Any]:
    """Puts a real backend behind a channel."""

    def put(channel: str, backend: str, **options: Any) -> None:
        entry = {"BACKEND": f"followups.channels.{backend}", "OPTIONS": options}
        settings.FOLLOWUP_CHANNELS = {**settings.FOLLOWUP_CHANNELS, channel: entry}

    yield put
    get_channel.cache_clear()


@pytest.fixture
def url(httpserver: HTTPServer) -> str:
    return httpserver.url_for("").rstrip("/")


def check(follow_up: FollowUpSchedule, end: End, logs: Any) -> None:
    row = FollowUpSchedule.objects.get(pk=follow_up.pk)
    assert row.status == end.state
    assert balance_of(row.user) == CREDITS - (0 if end.state == State.FAILED else PRICE)
    assert [stop.reason for stop in Suppression.objects.all()] == ([end.stops] if end.stops else [])
    if end.waits is not None:
        assert row.tries == end.tries
        wait = row.due_at - now()
        # At most a quarter more by chance; the machine may be slow.
        assert timedelta(seconds=end.waits - 20) < wait <= timedelta(seconds=1.25 * end.waits)
    assert any(log["log_level"] == "error" for log in logs) == end.alarms, logs


def ids(table: list[Any]) -> list[str]:
    """The rule, or what is reported, of each row."""
    return [f"{number}-{row[0]}" for number, row in enumerate(table)]


@pytest.mark.parametrize(("rule", "wire", "end"), TWILIO, ids=ids(TWILIO))
def test_twilio_refuses(
    use: Any, url: str, book: Any, serve: Any, run_queue: Any, rule: str, wire: Wire, end: End
) -> None:
    use("sms", "sms.SmsChannel", account_sid=ACCOUNT_SID, auth_token="token", base_url=url, sender=SMS_SENDER)
    serve(wire)
    follow_up = book("sms")
    with capture_logs() as logs:
        assert run_queue() == 1
    check(follow_up, end, logs)


@pytest.mark.parametrize(("rule", "wire", "end"), FCM, ids=ids(FCM))
def test_fcm_refuses(
    use: Any, url: str, key_path: str, book: Any, serve: Any, run_queue: Any, rule: str, wire: Wire, end: End
) -> None:
    use("push", "push.PushChannel", key_path=key_path, base_url=url)
    serve(wire)
    Device.objects.create(user=User.objects.get(), token="phone", platform=Device.Platform.ANDROID)
    follow_up = book("push")
    with capture_logs() as logs:
        assert run_queue() == 1
    check(follow_up, end, logs)
    assert Device.objects.exists() == (rule not in DROPPED)


@pytest.mark.parametrize(("rule", "wire", "end"), ESP, ids=ids(ESP))
def test_a_mail_service_refuses(
    use: Any,
    url: str,
    settings: Settings,
    book: Any,
    serve: Any,
    run_queue: Any,
    rule: str,
    wire: Wire,
    end: End,
) -> None:
    settings.EMAIL_ESP = "postmark"
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "k", "POSTMARK_API_URL": f"{url}/"}
    use("email", "email.EmailChannel", sender=SENDER)
    serve(wire)
    follow_up = book("email")
    with capture_logs() as logs:
        assert run_queue() == 1
    check(follow_up, end, logs)


@pytest.mark.parametrize(("rule", "stage", "reply", "end"), SMTP, ids=ids(SMTP))
def test_a_mail_server_refuses(
    use: Any,
    settings: Settings,
    book: Any,
    run_queue: Any,
    rule: str,
    stage: str,
    reply: str,
    end: End,
) -> None:
    settings.EMAIL_BACKEND = "followups.channels.smtp.PhasedEmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "127.0.0.1", "", ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    use("email", "email.EmailChannel", sender=SENDER)
    with scripted_smtp({stage: reply}) as server, capture_logs() as logs:
        settings.EMAIL_PORT = server.port
        follow_up = book("email")
        assert run_queue() == 1
        channel = get_channel("email")
        assert isinstance(channel, EmailChannel)
        channel.close()
    check(follow_up, end, logs)


@pytest.mark.parametrize(("status", "code", "end"), REPORTS, ids=ids(REPORTS))
def test_twilio_reports(
    use: Any,
    url: str,
    settings: Settings,
    client: Client,
    book: Any,
    serve: Any,
    run_queue: Any,
    status: str,
    code: str,
    end: End,
) -> None:
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})  # none
    settings.PUBLIC_BASE_URL = BASE
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, "token"
    use("sms", "sms.SmsChannel", account_sid=ACCOUNT_SID, auth_token="token", base_url=url, sender=SMS_SENDER)
    serve((201, {"sid": "SM1", "status": "queued"}, {}))
    follow_up = book("sms")
    assert run_queue() == 1
    path = f"/api/followup/receipts/twilio?a={follow_up.attempts.get().pk}"
    form = {"AccountSid": ACCOUNT_SID, "MessageSid": "SM1", "MessageStatus": status}
    form |= {"ErrorCode": code} if code else {}
    signature = RequestValidator("token").compute_signature(BASE + path, form)
    with capture_logs() as logs:
        answer = client.post(path, form, headers={"X-Twilio-Signature": signature})
    assert answer.status_code == 200
    check(follow_up, end, logs)


@pytest.mark.parametrize(("service", "rule", "kind", "own", "end"), EVENTS, ids=ids(EVENTS))
def test_a_mail_service_reports(
    provider: ScriptedChannel,
    book: Any,
    run_queue: Any,
    service: str,
    rule: str,
    kind: str,
    own: dict[str, Any],
    end: End,
) -> None:
    provider.provider = service
    follow_up = book("email")
    assert run_queue() == 1
    event = AnymailTrackingEvent(
        event_type=kind,
        event_id="1",
        message_id="id-1",
        metadata={"attempt_id": str(follow_up.attempts.get().pk)},
        esp_event=own,
        timestamp=now(),
    )
    with capture_logs() as logs:
        assert record_receipt(receipt_of(service, event))
    check(follow_up, end, logs)


def test_no_rule_is_left_out() -> None:
    met = {(ErrorPhase.CALL, "twilio", rule) for rule, _, _ in TWILIO}
    met |= {(ErrorPhase.CALL, "fcm", rule) for rule, _, _ in FCM}
    met |= {(ErrorPhase.CALL, "esp", rule) for rule, _, _ in ESP}
    met |= {(ErrorPhase.CALL, "smtp", rule) for rule, _, _, _ in SMTP}
    met |= {(ErrorPhase.REPORT, "twilio", code or status) for status, code, _ in REPORTS}
    met |= {(ErrorPhase.REPORT, service, rule) for service, rule, _, _, _ in EVENTS}
    met |= {(ErrorPhase.REPORT, "esp", rule) for service, rule, _, _, _ in EVENTS if service == "brevo"}
    elsewhere = {(ErrorPhase.CALL, "smtp", "AUTH"), (ErrorPhase.CALL, "esp", "failed")}
    assert set(SHIPPED) - met == elsewhere
