"""SMTP that knows how far it got: whether the final dot of a mail left this machine, or certainly did not."""

import smtplib
import socket
import time
from collections.abc import Sequence
from typing import Any, Final, cast

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from followups.channels.mime import as_bytes, envelope

FRESH_SECONDS: Final = 10  # a connection unused for longer may be dead: servers hang up on idlers
MAILS_PER_CONNECTION: Final = 100  # servers cut a connection after some number of mails
SHARE_BEFORE_THE_DOT: Final = 0.5  # of a conversation's time; the rest is for the answer to the mail


class _Phased(smtplib.SMTP):
    """Mixed into smtplib's connections. One clock for the whole conversation: it can't outlive a lease."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.budget: float = kwargs["timeout"]
        self.mails = 0
        self._ahead = 0  # commands that were sent before smtplib came to them
        self.start_conversation()
        super().__init__(*args, **kwargs)

    def start_conversation(self) -> None:
        """Nothing was handed over, and the clock starts anew."""
        self.handed_over = False
        self._started = time.monotonic()

    @property
    def is_stale(self) -> bool:
        """Whether the next mail should rather go over a new connection."""
        return self.mails >= MAILS_PER_CONNECTION or time.monotonic() - self._started > FRESH_SECONDS

    def send(self, s: Any) -> None:
        """Write; the bytes that end in the final dot are the hand-over once the last of them is written."""
        self._limit_wait()
        super().send(s)
        if isinstance(s, bytes) and s.endswith(b"\r\n.\r\n"):
            self.handed_over = True

    def sendmail(self, from_addr: Any, to_addrs: Any, msg: Any, *options: Any) -> Any:
        """Send one mail. Its three commands go out together where the server allows it (RFC 2920)."""
        self.ehlo_or_helo_if_needed()
        addresses = f"{from_addr}{to_addrs[0]}"
        if len(to_addrs) == 1 and self.has_extn("pipelining") and not {"\r", "\n"} & set(addresses):
            size = f" size={len(msg)}" if self.has_extn("size") else ""
            self.send(f"mail FROM:<{from_addr}>{size}\r\nrcpt TO:<{to_addrs[0]}>\r\ndata\r\n".encode())
            self._ahead = 3
        return super().sendmail(from_addr, to_addrs, msg, *options)

    def putcmd(self, cmd: str, args: str = "") -> None:
        """Send a command, unless it has been sent ahead."""
        if self._ahead:
            self._ahead -= 1
        else:
            super().putcmd(cmd, args)

    def _rset(self) -> None:
        """After a refusal. With answers to come to what was sent ahead, the connection is of no more use."""
        if self._ahead:
            self.close()
        else:
            super()._rset()  # type: ignore[misc]  # not in typeshed

    def mail(self, sender: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        """Say who sends. (smtplib parses an address anew each time, which costs more than sending it.)"""
        self.putcmd("mail", " ".join([f"FROM:<{sender}>", *(options if self.does_esmtp else ())]))
        return self.getreply()

    def rcpt(self, recip: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        """Say who receives."""
        self.putcmd("rcpt", " ".join([f"TO:<{recip}>", *options]))
        return self.getreply()

    def getreply(self) -> tuple[int, bytes]:
        """Read the answer to what was sent last."""
        self._limit_wait()
        return super().getreply()

    def _limit_wait(self) -> None:
        if self.sock is None:
            return
        allowed = self.budget * (1 if self.handed_over else SHARE_BEFORE_THE_DOT)
        left = self._started + allowed - time.monotonic()
        if left <= 0:
            self.close()
            raise smtplib.SMTPServerDisconnected("Out of time")
        self.sock.settimeout(left)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connect_timeout = min(timeout, settings.FOLLOWUP_CONNECT_TIMEOUT_SECONDS)
        return super()._get_socket(host, port, connect_timeout)  # type: ignore[misc]  # not in typeshed


class PhasedSMTP(_Phased):
    """Plain or STARTTLS."""


class PhasedSMTPOverTLS(_Phased, smtplib.SMTP_SSL):
    """TLS from the first byte."""


class PhasedEmailBackend(EmailBackend):
    """Django's SMTP backend on phased connections, which stay open between mails when opened beforehand."""

    _latest: _Phased | None = None  # what the mail being sent goes over

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout = self.timeout or settings.FOLLOWUP_READ_TIMEOUT_SECONDS

    @property
    def connection_class(self) -> type[_Phased]:
        return PhasedSMTPOverTLS if self.use_ssl else PhasedSMTP

    @property
    def handed_over(self) -> bool:
        """Whether the mail sent last may be on its way, also when its connection is closed by now."""
        return self._latest is not None and self._latest.handed_over

    @property
    def _open_connection(self) -> _Phased | None:
        return cast(_Phased | None, self.connection)

    def open(self) -> bool | None:
        """Open a connection, or a new one where the last has gone stale."""
        self._latest = None
        if self._open_connection and self._open_connection.is_stale:
            self.drop()
        return super().open()

    def drop(self) -> None:
        """Close without a word to the server: for a connection that failed."""
        for connection in (self.connection, getattr(self, "_partial_connection", None)):
            if connection is not None:
                connection.close()
        self.connection = self._partial_connection = None

    def __del__(self) -> None:
        if hasattr(self, "connection"):  # a constructor that failed leaves none
            self.drop()

    def _send(self, email_message: EmailMessage) -> bool:
        connection = self._latest = self._open_connection
        if connection is not None:
            if connection.mails:  # the clock of a new connection has run since it was opened
                connection.start_conversation()
            connection.mails += 1
            connection.sendmail(
                envelope(email_message.from_email),
                [envelope(each) for each in email_message.recipients()],
                as_bytes(email_message),
            )
        return connection is not None
