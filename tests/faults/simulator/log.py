"""The append-only log of everything a provider took: the oracle."""

import json
import re
import time
from collections import Counter
from pathlib import Path

_REFERENCE = re.compile(r"ref-\d+")


class Log:
    """JSON lines, each on the disk's side of this process before the answer is given."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._file = path.open("ab", buffering=0)

    def write(self, what: str, provider: str, **facts: object) -> None:
        """One line: ``accepted``, ``undelivered``, ``shown_again`` and so on, with ids and the time."""
        self.counts[f"{provider}:{what}"] += 1
        line = {"what": what, "provider": provider, "at": time.time(), **facts}
        self._file.write(json.dumps(line).encode() + b"\n")


def reference_in(text: str) -> str:
    """The mark a scenario put into a message's text, such as ``ref-17``; empty when there is none."""
    found = _REFERENCE.search(text)
    return found.group() if found else ""
