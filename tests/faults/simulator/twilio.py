"""Twilio's shape: create, list, fetch, errors with its codes, status callbacks with its signature.

https://www.twilio.com/docs/messaging/api/message-resource
"""

import base64
import itertools
import re
import time
from collections import defaultdict
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from twilio.request_validator import RequestValidator

from tests.faults.simulator.callbacks import Report, Reporter
from tests.faults.simulator.log import Log, reference_in
from tests.faults.simulator.script import Fate
from tests.faults.simulator.wire import Answer, Request

ACCOUNT = f"AC{1:032x}"
TOKEN = "the-simulators-auth-token"
UNDELIVERED_SHARE = 0.01  # of what was taken: the carrier says no in the end
NEVER_ARRIVES = 30007  # filtered by the carrier: final, and nothing to hold against the number
CONTENT_WORDS = "Approved words that are not ours"

_ONE = re.compile(r"/Messages/(SM[0-9a-f]{32})\.json$")


class Twilio:
    """One account with its messages."""

    name = "twilio"

    def __init__(self, fate: Fate, log: Log) -> None:
        self.fate = fate
        self.reporter = Reporter(fate, log)
        self._log = log
        self._numbers = itertools.count(1)
        self._messages: dict[str, dict[str, Any]] = {}
        self._by_recipient: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    async def handle(self, request: Request) -> Answer | None:
        """One call to the API."""
        credentials = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {credentials}":
            return _error(401, 20003, "Authenticate")
        looks = request.method == "GET"
        fault = self.fate.draw(looks=looks)
        busy = _error(429, 20429, "Too Many Requests", {"Retry-After": "1"})
        failure = _error(500, 20500, "Internal Server Error")
        if looks:
            answer = self._look(request)
            return await self.fate.answer(
                fault, take=lambda: answer, refusal=answer, busy=busy, failure=failure
            )
        form = request.form
        if not form.get("To"):
            return _error(400, 21604, "A 'To' phone number is required.")
        taken: list[dict[str, Any]] = []

        def take() -> Answer:
            taken.append(self._create(form, fault))
            return Answer(201, taken[-1])

        async def report() -> None:
            story = self._story(taken[-1])
            if story:
                await self.reporter.tell(story[0])

        refusal = _error(400, 21612, "The 'To' phone number is not reachable from this 'From'.")
        return await self.fate.answer(
            fault, take=take, refusal=refusal, busy=busy, failure=failure, report=report
        )

    def _create(self, form: dict[str, str], fault: str) -> dict[str, Any]:
        is_undelivered = self.fate.random.random() < UNDELIVERED_SHARE
        sid = f"SM{next(self._numbers):032x}"
        callback = form.get("StatusCallback", "")
        message: dict[str, Any] = {
            "sid": sid,
            "account_sid": ACCOUNT,
            "to": form["To"],
            "from": form.get("From", ""),
            # What WhatsApp shows is the approved template's text, which only its owner knows.
            "body": form.get("Body") or CONTENT_WORDS,
            "direction": "outbound-api",
            "status": "queued",
            "error_code": None,
            "date_created": formatdate(time.time()),
            "date_sent": None,
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json",
        }
        self._messages[sid] = message
        self._by_recipient[form["To"]].append(message)
        self._log.write(
            "accepted",
            self.name,
            id=sid,
            attempt=parse_qs(urlsplit(callback).query).get("a", [""])[0],
            channel="whatsapp" if form["To"].startswith("whatsapp:") else "sms",
            ref=reference_in(form.get("Body", "") + form.get("ContentVariables", "")),
            fault=fault,
        )
        message["callback"] = callback.partition("#")[0]
        message["undelivered"] = is_undelivered
        if is_undelivered:
            self._log.write("undelivered", self.name, id=sid)
        story = self._story(message)
        if story:
            self.reporter.start(story, forge=lambda: _report(message, "failed", token="not-the-token"))
        message["status"] = "undelivered" if is_undelivered else "delivered"
        message["error_code"] = NEVER_ARRIVES if is_undelivered else None
        message["date_sent"] = message["date_created"]
        return {**_shown(message), "status": "queued", "error_code": None, "date_sent": None}

    def _story(self, message: dict[str, Any]) -> list[Report]:
        if not message["callback"]:
            return []
        return [_report(message, "sent"), _report(message, message_end(message))]

    def _look(self, request: Request) -> Answer:
        found = _ONE.search(request.path)
        if found:
            message = self._messages.get(found.group(1))
            return Answer(200, _shown(message)) if message else _error(404, 20404, "Not found")
        listed = self._by_recipient.get(request.query.get("To", ""), [])
        return Answer(
            200,
            {
                "messages": [_shown(message) for message in reversed(listed)],
                "page": 0,
                "page_size": int(request.query.get("PageSize", 50)),
                "next_page_uri": None,
                "uri": request.target,
            },
        )


def message_end(message: dict[str, Any]) -> str:
    """How a message's story ends."""
    return "undelivered" if message["undelivered"] else "delivered"


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in ("callback", "undelivered")}


def _report(message: dict[str, Any], status: str, *, token: str = TOKEN) -> Report:
    fields = {
        "AccountSid": ACCOUNT,
        "MessageSid": message["sid"],
        "MessageStatus": status,
        "To": message["to"],
        "From": message["from"],
    }
    if status in ("undelivered", "failed"):
        fields["ErrorCode"] = str(NEVER_ARRIVES)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": RequestValidator(token).compute_signature(message["callback"], fields),
    }
    return Report(status, message["callback"], headers, urlencode(fields).encode())


def _error(status: int, code: int, text: str, headers: dict[str, str] | None = None) -> Answer:
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": text, "more_info": more, "status": status}
    return Answer(status, body, headers or {})
