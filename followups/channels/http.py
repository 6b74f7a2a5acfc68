"""HTTP calls to providers: two timeouts, no retries, and certainty about what never left this machine."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from django.conf import settings
from django.utils.timezone import now
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from followups.channels.verdicts import Word
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown

POOL_SIZE = 32  # connections kept per host: one a worker thread

# What requests refuses before it opens a socket.
_UNUSABLE_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


def timeouts() -> tuple[float, float]:
    """Seconds to wait for a connection, and for each answer on it."""
    return settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS, settings.FOLLOWUP_READ_TIMEOUT_SECONDS


def _connect(connection: HTTPConnection, connect: Callable[[], None]) -> None:
    # A TLS failure in the handshake and one while reading an answer look the same from above; only here is
    # it certain that nothing was sent.
    try:
        connect()
    except ConnectTimeoutError:
        raise
    except (OSError, HTTPError) as error:
        connection.close()
        raise NewConnectionError(connection, type(error).__name__) from error


class _PlainConnection(HTTPConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


class _TLSConnection(HTTPSConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class CertainAdapter(HTTPAdapter):
    """Never retries, and tells a connection that was never made from one that broke later."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._use_certain_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._use_certain_pools(manager)
        return manager

    @staticmethod
    def _use_certain_pools(manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}


def never_retry(session: requests.Session) -> requests.Session:
    """Take over every mount of a session, an SDK's own ones with retries included; it follows no redirect."""
    adapter = CertainAdapter()
    for prefix in list(session.adapters):
        session.mount(prefix, adapter)
    return never_redirect(session)


def never_redirect(session: requests.Session) -> requests.Session:
    """A redirect becomes an error: a message and its credentials go to the configured host or nowhere."""
    session.max_redirects = 0
    return session


def outcome_of(error: requests.RequestException) -> NotProcessed | Misconfigured | OutcomeUnknown:
    """What a call without a readable answer means: certainly not sent, never sendable, or unknown."""
    if isinstance(error, _UNUSABLE_ADDRESS):
        return Misconfigured(type(error).__name__, "The provider's address is not one that can be called.")
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)) or isinstance(
        reason,
        ConnectTimeoutError,  # NewConnectionError is one
    ):
        return NotProcessed("no_connection", answered=False)
    if isinstance(error, requests.TooManyRedirects):
        return Misconfigured("redirected", "The provider's address leads elsewhere; name that one.")
    return OutcomeUnknown("timeout" if isinstance(error, requests.Timeout) else "connection_broken")


def with_wait(word: Word, response: requests.Response) -> Word:
    """The word, which waits at least as long as the answer's ``Retry-After`` asks if it's tried again."""
    asked = retry_after(response)
    if isinstance(word, NotProcessed) and asked is not None:
        word.retry_after = max(word.retry_after or 0, asked)
    return word


def retry_after(response: requests.Response) -> float | None:
    """The provider's ``Retry-After`` in seconds, whether it was given as a number or as a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now()).total_seconds())
    except (TypeError, ValueError):
        return None
