"""The simulator seen from a scenario: start it, change its script, read its counts and its log."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from jyotiflow.local.processes import log_tail, start_child, stop_children

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60.0
PROVIDERS = ("twilio", "fcm", "resend", "smtp")


@dataclass(frozen=True)
class Simulator:
    """A running simulator; ``home`` holds its log and the service account key it made."""

    home: Path
    places: Mapping[str, int]

    def url(self, provider: str) -> str:
        """Where a provider answers over HTTP."""
        return f"http://127.0.0.1:{self.places[provider]}"

    def script(self, *providers: str, **wishes: Any) -> None:
        """Change what goes wrong: ``rate``, ``weights``, ``report_rate`` … as in ``script.Script``.

        Without a name, at all providers.
        """
        for provider in providers or PROVIDERS:
            self._post(f"{provider}/script", wishes)

    def close(self, provider: str) -> None:
        """Have a provider refuse connections until it is opened again."""
        self._post(f"{provider}/door", {"open": False})

    def open(self, provider: str) -> None:
        """Have a provider answer again."""
        self._post(f"{provider}/door", {"open": True})

    def counts(self) -> dict[str, Any]:
        """``log`` lines by kind, ``calls`` and the ``looks`` among them, ``faults``, what is ``pending``."""
        answer = requests.get(f"{self.url('control')}/counts", timeout=30)
        answer.raise_for_status()
        counts: dict[str, Any] = answer.json()
        return counts

    def wait_until_quiet(self, *, seconds: float) -> None:
        """Until no late message and no callback is on its way. Raises ``TimeoutError``."""
        deadline = time.monotonic() + seconds
        while self.counts()["pending"]:
            if time.monotonic() > deadline:
                raise TimeoutError("The simulator still has messages or callbacks on their way.")
            time.sleep(0.5)

    def records(self) -> list[dict[str, Any]]:
        """Every line of the log so far, oldest first."""
        return [json.loads(line) for line in (self.home / "accepted.jsonl").read_text().splitlines()]

    def _post(self, path: str, value: Any) -> None:
        answer = requests.post(f"{self.url('control')}/{path}", json=value, timeout=30)
        if answer.status_code != 200:
            raise ValueError(answer.text)


@contextlib.contextmanager
def running_simulator(
    *, home: Path, seed: int = 0, webhook: str = "", webhook_secret: str = "", env: Mapping[str, str]
) -> Iterator[Simulator]:
    """A simulator in a process of its own, gone when the block ends; `home` is made."""
    home.mkdir(parents=True, exist_ok=True)
    child = start_child(
        name="simulator",
        command=[
            sys.executable,
            "-m",
            "tests.faults.simulator",
            f"--home={home}",
            f"--seed={seed}",
            f"--webhook={webhook}",
            f"--webhook-secret={webhook_secret}",
        ],
        log=home / "simulator.log",
        env=env,
        cwd=ROOT,
    )
    try:
        places = home / "places.json"
        deadline = time.monotonic() + START_SECONDS
        while not places.exists():
            if not child.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"The simulator did not start.\n{log_tail(child.log, lines=20)}")
            time.sleep(0.02)
        yield Simulator(home, json.loads(places.read_text()))
    finally:
        stop_children([child], grace_seconds=1)
