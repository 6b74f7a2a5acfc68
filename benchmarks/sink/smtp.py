"""SMTP without TLS, for anybody's mail."""

from benchmarks.sink.ledger import Ledger
from benchmarks.sink.wire import Answers

_OK = b"250 2.0.0 Ok\r\n"
_HELLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n"


class Smtp:
    """One connection, any number of mails."""

    greeting = b"220 sink ESMTP\r\n"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heard = b""
        self._in_mail = False
        self._recipient = b""

    def hear(self, data: bytes) -> Answers:
        """Commands end with a line, a mail with its dot; either may come in pieces."""
        self._heard = heard = self._heard + data if self._heard else data
        if self._in_mail:
            if not heard.endswith(b"\r\n.\r\n"):
                return []
            self._heard, self._in_mail = b"", False
            self._ledger.take(self._recipient, heard)
            return [(b"250 2.0.0 Queued\r\n", self._ledger.delay)]
        if not heard.endswith(b"\r\n"):
            return []
        self._heard = b""
        said = [self._answer(line) for line in heard.split(b"\r\n")[:-1]]
        together = [(b"".join(said), 0.0)]  # what came in one piece is answered in one
        return [*together, (b"", 0.0)] if b"" in said else together

    def _answer(self, line: bytes) -> bytes:
        match line[:4].upper():
            case b"RCPT":
                self._recipient = line[8:]
                return _OK
            case b"DATA":
                self._in_mail = True
                return b"354 End with a dot\r\n"
            case b"EHLO":
                return _HELLO
            case b"QUIT":
                return b""
        return _OK
