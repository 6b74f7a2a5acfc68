"""A real worker, a real broker, a counting provider, and kill -9 in the middle of 500 sends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils.timezone import now
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from credits.selectors import imbalances
from credits.services import lock_account
from followups.choices import Origin, State
from followups.models import FollowUpSchedule
from followups.selectors import channels
from followups.selectors.refusals import Order
from followups.selectors.settings import effective_settings
from followups.services.rescuing import rescue_expired
from followups.services.scheduling import book
from followups.tasks import dispatch_due
from jyotiflow.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGES = 500
ACCOUNT = f"AC{1:032x}"
KILL_AFTER = 120  # accepted messages
LEASE_SECONDS = 15  # the longest call takes 10 of them; short enough to wait for
ROOT = Path(__file__).parents[2]


class CountingProvider:
    """Twilio-shaped: takes every message and remembers which attempt it was for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.taken: Counter[str] = Counter()

    def __call__(self, request: Request) -> Response:
        callback = urlsplit(request.form["StatusCallback"])
        time.sleep(0.01)
        with self.lock:
            self.taken[parse_qs(callback.query)["a"][0]] += 1
            number = sum(self.taken.values())
        sid = f"SM{number:032x}"
        return Response(f'{{"sid": "{sid}", "status": "queued"}}', 201, content_type="application/json")


@contextmanager
def worker(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker in a process group of its own, gone when the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "celery_app",
                "worker",
                "-P",
                "threads",
                "-c",
                "8",
                "-Q",
                "sms",
            ],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition: Any, *, seconds: float, step: Any = None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        if step:
            step()
        time.sleep(0.1)


def test_kill_9_in_the_middle_of_500_sends_loses_and_doubles_nothing(
    rich_user: User,
    make_template: Any,
    httpserver: HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "IN_FLIGHT_LIMIT", 60)  # so that no claim grows old in the broker's queue
    monkeypatch.setattr(settings, "FOLLOWUP_LEASE_SECONDS", LEASE_SECONDS)
    provider = CountingProvider()
    httpserver.expect_request(
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", method="POST"
    ).respond_with_handler(provider)
    template = make_template(channel="sms", credits_cost=0)
    in_force = effective_settings()
    with transaction.atomic():
        account = lock_account(user=rich_user)
        for _ in range(MESSAGES):
            book(Order(rich_user, template, now(), Origin.MANUAL), in_force, account=account)
    database = (
        urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    )
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_SMS_NUMBER": "+15005550006",
        "TWILIO_API_BASE_URL": httpserver.url_for("").rstrip("/"),
        "FOLLOWUP_LEASE_SECONDS": str(LEASE_SECONDS),
        "FOLLOWUP_READ_TIMEOUT_SECONDS": "2",
    }

    def unfinished() -> int:
        return FollowUpSchedule.objects.filter(status__in=[State.PENDING, State.SENDING]).count()

    def tick() -> None:
        dispatch_due()
        rescue_expired()

    with worker(environment, tmp_path / "worker.log") as victim:
        wait_for(lambda: len(provider.taken) >= KILL_AFTER, seconds=240, step=tick)
        os.killpg(victim.pid, signal.SIGKILL)
    assert unfinished() > 0, "the kill came too late to prove anything"
    with worker(environment, tmp_path / "worker.log"):
        wait_for(lambda: unfinished() == 0, seconds=240, step=tick)

    states = Counter(FollowUpSchedule.objects.values_list("status", flat=True))
    assert set(states) <= {State.SENT, State.IN_DOUBT}
    assert sum(states.values()) == MESSAGES
    assert states[State.IN_DOUBT] <= 8  # no more than the worker had threads
    assert max(provider.taken.values()) == 1
    taken_for = Counter(
        FollowUpSchedule.objects.filter(attempts__in=list(provider.taken)).values_list("pk", flat=True)
    )
    assert max(taken_for.values()) == 1  # two attempts of one follow-up were never both taken
    sent = set(FollowUpSchedule.objects.filter(status=State.SENT).values_list("pk", flat=True))
    assert sent <= set(taken_for)
    assert imbalances() == []
