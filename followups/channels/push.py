"""Push by Firebase Cloud Messaging: every device of the user, shown once each however often it is sent."""

import hashlib
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import firebase_admin
import google.auth.exceptions
import requests
import structlog
from django.core.checks import CheckMessage, Error
from django.db import DatabaseError
from firebase_admin import credentials, messaging
from firebase_admin.exceptions import FirebaseError

from followups.channels import http
from followups.channels.base import Accepted, Channel, Message
from followups.channels.meanings import meaning
from followups.channels.verdicts import Word, exception_of
from followups.choices import ErrorPhase
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected
from followups.models import Device
from jyotiflow.accounts.models import User

log = structlog.get_logger(__name__)

MOST_DEVICES: Final = 500  # the most one call may name
LONGEST_LIFE: Final = 4 * 7 * 86_400  # seconds FCM keeps a message for a device that is away

# FCM's own words for errors that have a more general one too.
_NAMES: Final = {
    messaging.UnregisteredError: "UNREGISTERED",
    messaging.SenderIdMismatchError: "SENDER_ID_MISMATCH",
    messaging.QuotaExceededError: "QUOTA_EXCEEDED",
    messaging.ThirdPartyAuthError: "THIRD_PARTY_AUTH_ERROR",
}
# Where no device took it, the word that matters most stands for all.
_GRAVEST_FIRST = (Misconfigured, OutcomeUnknown, NotProcessed, Rejected)


class PushChannel(Channel):
    """One notification to each device, replacing an earlier one of the same follow-up."""

    provider = "fcm"
    repeat_is_harmless = True
    is_private = False

    def __init__(self, *, key_path: str, base_url: str = "") -> None:
        self.key_path = key_path
        self.base_url = base_url
        self._app: firebase_admin.App | None = None
        self._lock = threading.Lock()

    def addresses(self, user: User) -> tuple[str, ...]:
        """The tokens of the user's devices."""
        return device_tokens(user)

    def addresses_of(self, users: Sequence[User]) -> Mapping[int, tuple[str, ...]]:
        """Those of many users, in one query."""
        tokens: dict[int, list[str]] = {user.pk: [] for user in users}
        devices = Device.objects.filter(user__in=tokens).order_by("pk")
        for user_id, token in devices.values_list("user_id", "token"):
            tokens[user_id].append(token)
        return {user_id: tuple(found[-MOST_DEVICES:]) for user_id, found in tokens.items()}

    def send(self, message: Message) -> Accepted:
        """Send to every device; one that takes it is enough, and dead tokens are dropped."""
        if not message.to:
            raise Rejected("no_device", "No device of yours takes pushes any more.")
        app = self._firebase()
        try:
            batch = messaging.send_each([_notification(message, token) for token in message.to], app=app)
        except ValueError:
            raise Rejected("INVALID_ARGUMENT", "The push was refused as malformed.") from None
        except FirebaseError as error:  # it could not sign in
            raise word_for(error) from None
        outcomes: dict[str, Accepted | Word] = {
            token: Accepted(answer.message_id) if answer.success else word_for(answer.exception)
            for token, answer in zip(message.to, batch.responses, strict=True)
        }
        for token, outcome in outcomes.items():
            if isinstance(outcome, Rejected) and outcome.suppress:
                self.forget_address(token)
                outcome.suppress = None  # the message's other devices may be written to
        return _together(outcomes)

    def forget_address(self, address: str) -> None:
        """Delete the device of a dead token."""
        try:
            Device.objects.filter(token=address).delete()
        except DatabaseError as error:  # the answers of the other devices count more; it dies again next time
            log.warning("device_not_forgotten", error=type(error).__name__)

    def check(self) -> list[CheckMessage]:
        """The key file is a service account's."""
        try:
            credentials.Certificate(self.key_path)
        except (OSError, ValueError):
            return [
                Error(
                    "FIREBASE_SERVICE_ACCOUNT_KEY_PATH names no readable service account key.",
                    hint="Download the key in the Firebase console: project settings, service accounts.",
                    id="followups.E030",
                )
            ]
        return []

    def _firebase(self) -> firebase_admin.App:
        with self._lock:
            if self._app is None:
                self._app = _start(self.key_path, self.base_url)
            return self._app


def device_tokens(user: User) -> tuple[str, ...]:
    """The tokens of a user's devices, the oldest first."""
    newest = Device.objects.filter(user=user).order_by("-pk").values_list("token", flat=True)
    return tuple(reversed(newest[:MOST_DEVICES]))


def word_for(error: Exception | None) -> Word:
    """The word for what the SDK reports of one device, or of signing in."""
    if not isinstance(error, FirebaseError):
        return OutcomeUnknown("no_message_id")
    match error.cause:
        case google.auth.exceptions.GoogleAuthError() as auth:
            is_temporary = isinstance(auth, google.auth.exceptions.TransportError) or auth.retryable
            return (
                NotProcessed("no_access_token", answered=False)
                if is_temporary
                else _bad_key("no_access_token")
            )
        case requests.TooManyRedirects() | requests.RequestException(response=None) as broken:
            return http.outcome_of(broken)
    code = _NAMES.get(type(error), error.code)
    response = error.http_response
    status = "5xx" if response is None or response.status_code >= 500 else str(response.status_code)
    named = [] if code == "UNKNOWN" else [("fcm", code)]  # the SDK's word for no code at all
    word = exception_of(meaning(ErrorPhase.CALL, named, otherwise=[("fcm", status)]), code)
    return word if response is None else http.with_wait(word, response)


def _bad_key(code: str) -> Word:
    return Misconfigured(code, "Firebase refused FIREBASE_SERVICE_ACCOUNT_KEY_PATH's account.")


def _together(outcomes: Mapping[str, Accepted | Word]) -> Accepted:
    taken = [outcome for outcome in outcomes.values() if isinstance(outcome, Accepted)]
    if taken:
        return Accepted(taken[0].provider_message_id, details=_by_device(outcomes))
    words = [outcome for outcome in outcomes.values() if not isinstance(outcome, Accepted)]
    raise min(words, key=lambda word: _GRAVEST_FIRST.index(type(word)))


def _by_device(outcomes: Mapping[str, Accepted | Word]) -> dict[str, object]:
    # By the start of the token's hash: enough to tell devices apart, too little to push to them.
    return {
        hashlib.sha256(token.encode()).hexdigest()[:12]: (
            "accepted" if isinstance(outcome, Accepted) else outcome.code
        )
        for token, outcome in outcomes.items()
    }


def _notification(message: Message, token: str) -> messaging.Message:
    tag = str(message.follow_up_id)
    wanted = LONGEST_LIFE if message.valid_for_seconds is None else message.valid_for_seconds
    life = min(max(wanted, 1), LONGEST_LIFE)
    notification = messaging.Message(
        data={"follow_up_id": tag},
        notification=messaging.Notification(title=message.subject, body=message.text),
        android=messaging.AndroidConfig(
            collapse_key=tag, ttl=life, notification=messaging.AndroidNotification(tag=tag)
        ),
        apns=messaging.APNSConfig(
            headers={"apns-collapse-id": tag, "apns-expiration": str(int(time.time()) + life)}
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": str(life)}, notification=messaging.WebpushNotification(tag=tag)
        ),
    )
    # Not through the constructor, which warns: FCM's newer name is ``fid``, but devices register tokens.
    notification.token = token
    return notification


def _start(key_path: str, base_url: str) -> firebase_admin.App:
    try:
        key = credentials.Certificate(key_path)
        app = firebase_admin.initialize_app(
            key, {"httpTimeout": http.timeouts()}, name=f"push-{uuid.uuid4()}"
        )
        service: Any = messaging._get_messaging_service(app)
    except (OSError, ValueError):
        raise _bad_key("key_file") from None
    # The SDK retries POSTs on its own and has no setting for that, nor for another address.
    http.never_retry(service._client.session)
    http.never_redirect(service._client.session._auth_request_session)
    if base_url:
        service._fcm_url = f"{base_url}/v1/projects/{app.project_id}/messages:send"
    return app
