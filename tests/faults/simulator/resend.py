"""A mail service in Resend's shape: one request a mail, idempotency keys for a day, webhooks.

https://resend.com/docs/api-reference/emails/send-email
https://resend.com/docs/dashboard/emails/idempotency-keys
"""

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from tests.faults.simulator.callbacks import Report, Reporter
from tests.faults.simulator.log import Log, reference_in
from tests.faults.simulator.script import Fate, Fault
from tests.faults.simulator.wire import Answer, Request

KEY = "re_simulated"
KEY_LIVES_SECONDS = 24 * 3600.0
LONGEST_IDEMPOTENCY_KEY = 256


@dataclass(frozen=True)
class _Known:
    payload: Any
    id: str
    at: float


class Resend:
    """One account; ``webhook`` is where events go, ``secret`` the user:password put into its URL."""

    name = "resend"

    def __init__(self, fate: Fate, log: Log, *, webhook: str = "", secret: str = "") -> None:
        self.fate = fate
        self.reporter = Reporter(fate, log)
        self._log = log
        self._webhook = webhook
        self._secret = secret
        self._keys: dict[str, _Known] = {}
        self._in_progress: set[str] = set()

    async def handle(self, request: Request) -> Answer | None:
        """One mail."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "missing_api_key")
        if (request.method, request.path) != ("POST", "/emails"):
            return _error(404, "not_found")
        key, payload = request.headers.get("idempotency-key", ""), request.json
        if len(key) > LONGEST_IDEMPOTENCY_KEY:
            return _error(400, "invalid_idempotency_key")
        known = self._keys.get(key) if key else None
        if known and time.time() - known.at < KEY_LIVES_SECONDS and known.payload != payload:
            self._log.write("key_reused", self.name, key=key)
            return _error(409, "invalid_idempotent_request")
        if key in self._in_progress:
            return _error(409, "concurrent_idempotent_requests")
        fault = self.fate.draw()
        if fault == Fault.REFUSE and known:
            fault = Fault.NONE  # the first answer is given again
        if fault == Fault.LATE and key:
            self._in_progress.add(key)
        return await self.fate.answer(
            fault,
            take=lambda: self._take(key, payload, fault),
            refusal=_error(422, "validation_error"),
            busy=_error(429, "rate_limit_exceeded", {"Retry-After": "1"}),
            failure=_error(500, "internal_server_error"),
        )

    def _take(self, key: str, payload: Any, fault: str) -> Answer:
        self._in_progress.discard(key)
        known = self._keys.get(key) if key else None
        if known and time.time() - known.at < KEY_LIVES_SECONDS:
            self._log.write("repeated", self.name, id=known.id, key=key)
            return Answer(200, {"id": known.id})
        mail = _Known(payload, str(uuid.UUID(int=self.fate.random.getrandbits(128), version=4)), time.time())
        if key:
            self._keys[key] = mail
        metadata = json.loads(payload.get("headers", {}).get("X-Metadata", "{}"))
        self._log.write(
            "accepted",
            self.name,
            id=mail.id,
            attempt=metadata.get("attempt_id", ""),
            follow_up=metadata.get("follow_up_id", ""),
            channel="email",
            key=key,
            ref=reference_in(payload.get("text", "")),
            fault=fault,
        )
        if self._webhook:
            story = [self._report(mail, "email.sent"), self._report(mail, "email.delivered")]
            self.reporter.start(story, forge=lambda: self._report(mail, "email.bounced", secret="not:right"))
        return Answer(200, {"id": mail.id})

    def _report(self, mail: _Known, event: str, *, secret: str = "") -> Report:
        headers = mail.payload.get("headers", {})
        value: dict[str, Any] = {
            "type": event,
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
            "data": {
                "email_id": mail.id,
                "to": mail.payload["to"],
                "headers": [{"name": name, "value": text} for name, text in headers.items()],
            },
        }
        if event == "email.bounced":
            value["data"]["bounce"] = {"message": "The provider sent a hard bounce message."}
        credentials = base64.b64encode((secret or self._secret).encode()).decode()
        return Report(
            event,
            self._webhook,
            {
                "Content-Type": "application/json",
                "Authorization": f"Basic {credentials}",
                "svix-id": f"msg_{mail.id}_{event}",
            },
            json.dumps(value).encode(),
        )


def _error(status: int, name: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, {"statusCode": status, "name": name, "message": name}, headers or {})
