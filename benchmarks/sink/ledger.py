"""What the sink was given since it was last told to forget."""

import time


class Ledger:
    """Counts, and the last message whole; ``delay`` is how many seconds every answer to a message takes."""

    def __init__(self) -> None:
        self.forget(delay=0.0)

    def forget(self, *, delay: float) -> None:
        """Begin anew."""
        self.delay = delay
        self.messages = self.bytes = 0
        self.recipients: set[bytes] = set()
        self.first = self.last = 0.0
        self.whole = b""

    def take(self, recipient: bytes, message: bytes) -> None:
        """One message, wholly received."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.messages += 1
        self.bytes += len(message)
        self.recipients.add(recipient)
        self.whole = message

    def told(self) -> dict[str, float]:
        """The counts; times are of this machine's monotonic clock."""
        return {
            "messages": self.messages,
            "recipients": len(self.recipients),
            "bytes": self.bytes,
            "first": self.first,
            "last": self.last,
        }
