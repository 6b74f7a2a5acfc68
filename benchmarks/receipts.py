"""`receipts`: Twilio's signed callbacks under gunicorn with 16 clients, until the last is applied."""

import hashlib
import time
import uuid
from urllib.parse import urlencode

from django.db import connection
from twilio.request_validator import RequestValidator

from benchmarks.contenders import race
from benchmarks.cost import Meter
from benchmarks.figures import percentile
from benchmarks.load import call, request
from benchmarks.ours import OurContender
from benchmarks.parts import Invalid, Options, Report, say
from benchmarks.rows import copy, row_of, settle_down
from benchmarks.setup import OURS
from benchmarks.sink.control import Sink
from benchmarks.stage import TWILIO_ACCOUNT, TWILIO_TOKEN, Stage
from benchmarks.web.server import CLIENTS, running_web
from benchmarks.world import QUEUE_TABLES, World
from followups.models import Attempt, FollowUpSchedule

CALLBACKS = 2_000
WARM_UP = 100
PATIENCE_SECONDS = 60.0
_PATH = "/api/followup/receipts/twilio?a="


class Sent:
    """One SMS the product has really sent, to be copied: as many sent messages as are asked for."""

    def __init__(self, stage: Stage, world: World) -> None:
        sink = Sink(stage.ports["control"])
        ours = OurContender(stage, world, OURS, channel="sms")
        try:
            ours.workers.wait_until_ready()
            race(ours, stage, sink, count=1)
        finally:
            ours.close()
            sink.close()
        self._world = world
        attempt = Attempt.objects.get()
        self._attempt = row_of("follow_up_attempts", attempt.pk)
        self._follow_up = row_of("follow_up_schedules", attempt.follow_up_id)

    def fill(self, count: int) -> None:
        """Nothing but ``count`` sent messages, one a reader."""
        self._world.clear()
        sid = "'SM' || lpad(to_hex(n), 32, '0')"
        copy(
            "follow_up_schedules",
            self._follow_up,
            count=count,
            id="md5('f' || n)::uuid",
            user_id=f"{self._world.user.pk} + n",
            session_id="'session-' || n",
            provider_message_id=sid,
        )
        copy(
            "follow_up_attempts",
            self._attempt,
            count=count,
            id="md5('a' || n)::uuid",
            follow_up_id="md5('f' || n)::uuid",
            provider_message_id=sid,
        )
        settle_down(*QUEUE_TABLES)


def callback(number: int, *, public_url: str) -> bytes:
    """Twilio's report that the message of reader ``number`` was delivered."""
    attempt = uuid.UUID(hashlib.md5(f"a{number}".encode()).hexdigest())
    fields = {
        "AccountSid": TWILIO_ACCOUNT,
        "MessageSid": f"SM{number:032x}",
        "MessageStatus": "delivered",
        "To": f"+9198400{number:05}",
        "From": "+15005550006",
    }
    signature = RequestValidator(TWILIO_TOKEN).compute_signature(f"{public_url}{_PATH}{attempt}", fields)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return request(f"{_PATH}{attempt}", urlencode(fields).encode(), headers)


def measure(stage: Stage, options: Options) -> Report:
    """The same callbacks for fresh messages in each round."""
    report, count = Report(), options.messages or CALLBACKS
    sent = Sent(stage, World(readers=max(count, WARM_UP), channels=("sms",)))
    url = stage.environment["PUBLIC_BASE_URL"]
    calls = [callback(number, public_url=url) for number in range(1, max(count, WARM_UP) + 1)]
    with running_web(stage) as web:
        sent.fill(WARM_UP)
        call(web.port, calls[:WARM_UP], clients=CLIENTS)
        for number in range(options.rounds):
            sent.fill(count)
            meter = Meter({name: [pid] for name, pid in {**stage.pids, "web": web.pid}.items()})
            began = time.monotonic()
            answers = call(web.port, calls[:count], clients=CLIENTS)
            _wait_until_applied(count)
            applied = time.monotonic() - began
            cpu = sum(meter.seconds().values())
            if set(answers.statuses) != {200}:
                raise Invalid(f"The callbacks were answered {dict(answers.statuses)}.")
            report.add("receipts.per_s", answers.per_second, "callbacks/s")
            report.add("receipts.applied_per_s", count / applied, "callbacks/s")
            report.add("receipts.cpu_ms_per_callback", cpu / count * 1_000, "ms")
            for share in (50, 95, 99):
                report.add(f"receipts.p{share}_ms", percentile(answers.waits, share / 100) * 1_000, "ms")
            say(f"  round {number + 1}: {answers.per_second:.0f}/s")
    return report


def _wait_until_applied(count: int) -> None:
    """Raises ``Invalid`` when the last report isn't applied in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM follow_up_events WHERE applied_at IS NOT NULL")
            applied = cursor.fetchone()[0]
        if applied == count:
            break
        if time.monotonic() > deadline:
            raise Invalid(f"{applied} of {count} reports are applied.")
        time.sleep(0.01)
    delivered = FollowUpSchedule.objects.filter(status="delivered").count()
    if delivered != count:
        raise Invalid(f"{delivered} of {count} messages are delivered.")
