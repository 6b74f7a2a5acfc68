"""How quickly gunicorn acknowledges a provider's callbacks."""

import itertools
import time
from typing import Final
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.utils.timezone import now
from twilio.request_validator import RequestValidator

from followups.links import callback_url
from tests.faults.database import rows
from tests.faults.fleet import Fleet
from tests.faults.measure import Waits, at_once
from tests.faults.people import Order, book_all, make_world, mark_of
from tests.faults.scenario import Options, Progress, Verdict
from tests.faults.watch import unfinished

MESSAGES: Final = 250  # each is reported sent, then delivered
CLIENTS: Final = 8
LONGEST_P95_MS: Final = 100
BUSY_P95_MS: Final = 40
PATIENCE_SECONDS: Final = 300.0


def play(fleet: Fleet, options: Options) -> Verdict:
    """Send messages whose provider keeps silent; then report on them from many clients at once."""
    say = Progress("acknowledging")
    fleet.simulator.script(reports=False)
    world = make_world(users=25)
    users = itertools.cycle(world.users)
    orders = [
        Order(mark_of(number), next(users), world.dear["sms"], now()) for number in range(1, MESSAGES + 1)
    ]
    book_all(orders)
    fleet.start_web()
    fleet.start_worker("worker")
    fleet.start_beat("beat")
    fleet.wait_until_ready()
    began = time.monotonic()
    while unfinished():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise TimeoutError(f"{unfinished()} messages are not sent.")
        time.sleep(0.5)
    fleet.end("beat")
    fleet.end("worker")
    sent = rows("SELECT id, provider_message_id FROM follow_up_attempts WHERE state = 'accepted'")
    say(f"{len(sent)} messages are sent; {CLIENTS} clients report on them")
    waits, warm, nothing = Waits(), Waits(), Waits()

    def work(client: int) -> None:
        with requests.Session() as session:
            for attempt, sid in sent[client::CLIENTS]:
                for status in ("sent", "delivered"):
                    waits.call(lambda: _report(session, str(attempt), sid, status))  # noqa: B023

    def load(client: int) -> None:
        with requests.Session() as session:
            for number in range(5):
                warm.call(lambda: _report(session, "", f"SMwarm{client}{number}", "sent"))  # noqa: B023

    def idle(client: int) -> None:
        with requests.Session() as session:
            for _ in range(25):
                nothing.call(lambda: session.get(f"{fleet.url}/livez", timeout=30).status_code)

    at_once(CLIENTS, load)
    at_once(CLIENTS, idle)
    at_once(CLIENTS, work)
    problems = []
    if set(waits.answers) != {"200"}:
        problems.append(f"answers were {dict(waits.answers)}")
    ((delivered,),) = rows("SELECT count(*) FROM follow_up_schedules WHERE status = 'delivered'")
    if delivered != len(sent):
        problems.append(f"{delivered} of {len(sent)} are delivered")
    # Where a busy machine takes longer for a request that does nothing, there is nothing to be learnt.
    is_busy = nothing.milliseconds(0.95) > BUSY_P95_MS
    if waits.milliseconds(0.95) > LONGEST_P95_MS and not is_busy:
        problems.append(f"an acknowledgement took {waits.milliseconds(0.95)} ms at the 95th percentile")
    notes = ["This machine is too busy to hold anybody to the limit."] if is_busy else []
    return Verdict(
        rows=[nothing.row("a request that does nothing"), waits.row("acknowledgement")],
        notes=notes,
        problems=problems,
    )


def _report(session: requests.Session, attempt: str, sid: str, status: str) -> int:
    url = callback_url(provider="twilio", attempt_id=attempt)  # type: ignore[arg-type]  # as text in a URL
    form = {"AccountSid": settings.TWILIO_ACCOUNT_SID, "MessageSid": sid, "MessageStatus": status}
    signature = RequestValidator(settings.TWILIO_AUTH_TOKEN).compute_signature(url, form)
    answer = session.post(
        url,
        data=urlencode(form),
        headers={"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature},
        timeout=30,
    )
    return answer.status_code
