"""The peer's process, driven from a part."""

import email
import email.policy
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.parts import Invalid
from benchmarks.setup import PostOffice
from benchmarks.stage import ROOT, Stage

_KEPT_HEADERS = ("Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post")


def words_of(mail: bytes) -> dict[str, Any]:
    """What a mail of ours says, for the peer to say the same."""
    message = email.message_from_bytes(mail, policy=email.policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return {
        "subject": str(message["Subject"]),
        "text": text.get_content() if text else "",
        "html": html.get_content() if html else "",
        "headers": {name: str(message[name]) for name in _KEPT_HEADERS if message[name]},
    }


class PostOfficeContender:
    """`manage.py send_queued_mail` in a process that has Django loaded already."""

    sends = True

    def __init__(
        self, stage: Stage, setup: PostOffice, *, name: str, database: str, words: Mapping[str, Any]
    ) -> None:
        self.name = name
        self._setup = setup
        self._words = words
        self._lock = str(Path(stage.home) / f"{name}.lock")
        self._log = Path(stage.home) / f"{name}.log"
        self._sent = -1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.peer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={
                    **stage.environment,
                    "DATABASE_URL": stage.url_of(database),
                    "POST_OFFICE_BATCH": str(setup.batch),
                    "POST_OFFICE_THREADS": str(setup.threads),
                },
                start_new_session=True,
            )
        self._read()

    @property
    def pids(self) -> Sequence[int]:
        return [self._process.pid]

    def load(self, count: int) -> None:
        self._order({"load": count, "mail": dict(self._words)})
        self._read()

    def wake(self) -> None:
        self._sent = -1

    def start(self) -> None:
        self._order({"send": self._setup.processes, "lock": self._lock})

    def is_done(self, count: int) -> bool:
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], 0)[0]:
            return False
        self._sent = self._read()["sent"]
        return True

    def verify(self, count: int) -> None:
        if self._sent != count:
            raise Invalid(
                f"{self.name}: {self._sent} of {count} are sent; see {self._log.read_text()[-2000:]}"
            )

    def rest(self) -> None:
        """It waits for orders and uses nothing."""

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _order(self, order: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise Invalid(f"{self.name} ended: {self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
