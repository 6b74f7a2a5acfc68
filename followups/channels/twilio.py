"""Twilio, for SMS and WhatsApp: one client, and its list of messages as proof."""

import hashlib
import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import requests
from django.core.checks import CheckMessage, Warning
from twilio.base import values
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from twilio.rest.api.v2010.account.message import MessageInstance

from followups.channels.base import Accepted, Candidate, Channel, Message, Report, Sighting
from followups.channels.http import never_retry, outcome_of, timeouts
from followups.channels.twilio_errors import refusal
from followups.channels.twilio_status import report_of
from followups.doubts import CLOCK_SKEW
from followups.exceptions import Misconfigured, OutcomeUnknown, Rejected
from jyotiflow.accounts.models import User

LONGEST_VALIDITY: Final = 36_000  # seconds Twilio may keep a message in its queue
LIST_PAGE: Final = 1_000  # the most one call may list
NO_SUCH_MESSAGE: Final = ("404", "20404")
LONGEST_LIST: Final = 10  # pages looked through for one number


class TwilioHttp(HttpClient):
    """The SDK's transport in our terms: both timeouts, no retries, no logging, the four words as errors."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("twilio.http_client"), is_async=False)
        self.session = never_retry(requests.Session())

    def request(
        self,
        method: str,
        url: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Call Twilio once. Raises the word for whatever is not a readable 2xx answer."""
        try:
            answer = self.session.request(
                method,
                url,
                params=params,  # type: ignore[arg-type]  # flat strings and numbers
                data=data,
                headers=headers,
                auth=auth,
                timeout=timeouts(),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise outcome_of(error) from None  # its text holds the address that was called
        if not 200 <= answer.status_code < 300:
            raise refusal(answer)
        try:
            is_readable = isinstance(answer.json(), dict)
        except ValueError:
            is_readable = False
        if not is_readable:
            raise OutcomeUnknown("unreadable_answer")
        return Response(answer.status_code, answer.text, answer.headers)


class TwilioChannel(Channel):
    """What SMS and WhatsApp share; ``sender`` is a phone number or a messaging service's SID."""

    provider = "twilio"
    address_prefix = ""
    sender_pattern = r"\+[1-9]\d{6,14}"
    sender_variable = ""
    can_be_asked = can_be_polled = True

    def __init__(self, *, account_sid: str, auth_token: str, base_url: str = "", sender: str = "") -> None:
        self.account_sid = account_sid
        self.sender = sender.removeprefix(self.address_prefix)
        self._client = Client(account_sid or "unset", auth_token or "unset", http_client=TwilioHttp())
        if base_url:
            self._client.api.base_url = base_url

    def addresses(self, user: User) -> tuple[str, ...]:
        """The user's phone."""
        return (user.phone,) if user.phone else ()

    def content(self, message: Message) -> dict[str, Any]:
        """The part of the request that says what to send. Raises ``Rejected`` for what can't be."""
        raise NotImplementedError

    def send(self, message: Message) -> Accepted:
        """Create the message at Twilio; its status callback carries the attempt."""
        parameters = {"to": self.address_prefix + message.to[0], **self._from(), **self.content(message)}
        if message.callback_url:
            parameters["status_callback"] = message.callback_url
        if message.valid_for_seconds is not None:
            parameters["validity_period"] = min(max(message.valid_for_seconds, 1), LONGEST_VALIDITY)
        created = self._client.messages.create(**parameters)
        if not created.sid:
            raise OutcomeUnknown("no_message_id")
        return Accepted(provider_message_id=created.sid)

    def find(self, *, to: tuple[str, ...], body_hash: str, attempt_id: UUID, since: datetime) -> Sighting:
        """Look through what Twilio has for this number, newest first, as far back as ours may stand.

        The list is not narrowed by ``DateSent``: a message still in Twilio's queue has none.
        """
        candidates: list[Candidate] = []
        page = self._client.messages.page(to=self.address_prefix + to[0], page_size=LIST_PAGE)
        for _ in range(LONGEST_LIST):
            listed = list(page)
            candidates += [
                Candidate(message.sid, message.date_created)
                for message in listed
                if self._may_be(message, body_hash, since)
            ]
            next_page = None if _is_long_ago(listed, since) else page.next_page()
            if next_page is None:
                return Sighting(tuple(candidates), is_whole=True)
            page = next_page
        return Sighting(tuple(candidates))

    def fetch(self, provider_message_id: str) -> Report | None:
        """The message by its SID."""
        try:
            message = self._client.messages(provider_message_id).fetch()
        except (Misconfigured, Rejected) as word:
            if word.code in NO_SUCH_MESSAGE:
                return None
            raise
        moment = message.date_updated
        return report_of(
            provider_message_id,
            str(message.status or "").lower(),
            str(message.error_code or ""),
            moment if isinstance(moment, datetime) else None,
        )

    def _may_be(self, message: MessageInstance, body_hash: str, since: datetime) -> bool:
        return (
            str(message.direction).startswith("outbound")
            and bool(message.sid)
            and isinstance(message.date_created, datetime)
            and message.date_created >= since - CLOCK_SKEW
            and (_hash(message.body or "") == body_hash if self.finds_by_text else self._is_ours(message))
        )

    def _is_ours(self, message: MessageInstance) -> bool:
        """Whether it went out by our sender; where Twilio doesn't say, it may have."""
        own = self._from()
        service = own.get("messaging_service_sid")
        if service:
            return message.messaging_service_sid in (None, "", service)
        return message.from_ in (None, "", own["from_"])

    def check(self) -> list[CheckMessage]:
        """Whether account and sender look like what Twilio gives out; it has the last word."""
        faults: list[CheckMessage] = []
        if not re.fullmatch(r"AC[0-9a-fA-F]{32}", self.account_sid):
            faults.append(Warning("TWILIO_ACCOUNT_SID is not AC and 32 hex digits.", id="followups.W010"))
        if not re.fullmatch(rf"{self.sender_pattern}|MG[0-9a-fA-F]{{32}}", self.sender):
            faults.append(
                Warning(
                    f"{self.sender_variable} is not a sender of this channel.",
                    hint="Use a number such as +14155550100, or the SID (MG…) of a messaging service.",
                    id="followups.W011",
                )
            )
        return faults

    def _from(self) -> dict[str, Any]:
        if self.sender.startswith("MG") and len(self.sender) == 34:
            return {"messaging_service_sid": self.sender, "from_": values.unset}
        return {"from_": self.address_prefix + self.sender}


def _is_long_ago(listed: Sequence[MessageInstance], since: datetime) -> bool:
    """Whether a page is so old that no later one can hold ours: lists are by time sent, with the queue's
    longest wait in between."""
    times = [message.date_created for message in listed if isinstance(message.date_created, datetime)]
    return bool(times) and max(times) < since - CLOCK_SKEW - timedelta(seconds=LONGEST_VALIDITY)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
