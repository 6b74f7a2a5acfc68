"""Status callbacks: in order or not, lost, repeated, forged."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.faults.simulator.log import Log
from tests.faults.simulator.script import Fate

AT_ONCE = 8  # callbacks on their way at one moment
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Report:
    """One signed HTTP request to the product; ``name`` is the status it tells."""

    name: str
    url: str
    headers: dict[str, str]
    body: bytes


class Reporter:
    """Sends the reports of one provider."""

    def __init__(self, fate: Fate, log: Log) -> None:
        self._fate = fate
        self._log = log
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Messages whose reports are still on their way."""
        return len(self._running)

    def start(self, reports: Sequence[Report], *, forge: Callable[[], Report]) -> None:
        """Report one message's story in the background, spoilt as the script says."""
        if self._fate.script.reports:
            task = asyncio.get_running_loop().create_task(self._tell(list(reports), forge))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def tell(self, report: Report, *, forged: bool = False) -> None:
        """Send one report and note what became of it; a forged one must be refused."""
        async with self._turn:
            status = None
            with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                status = await asyncio.wait_for(_post(report), PATIENCE_SECONDS)
        if forged:
            what = (
                "forgery_unheard" if status is None else f"forgery_{'taken' if status < 300 else 'refused'}"
            )
        else:
            what = "report_taken" if status and status < 300 else "report_lost"
        self._log.write(what, self._fate.provider, status=status, name=report.name)

    async def _tell(self, reports: list[Report], forge: Callable[[], Report]) -> None:
        random, rate = self._fate.random, self._fate.script.report_rate
        spoilt = random.choice(["drop", "repeat", "shuffle", "forge"]) if random.random() < rate else ""
        if spoilt:
            self._fate.injected[f"report_{spoilt}"] += 1
        if spoilt == "drop":
            reports = [report for report in reports if random.random() < 0.3]
        elif spoilt == "repeat":
            reports = [report for report in reports for _ in range(3)]
        elif spoilt == "shuffle":
            random.shuffle(reports)
        elif spoilt == "forge":
            await self.tell(forge(), forged=True)
        for report in reports:
            await asyncio.sleep(random.uniform(0.05, 0.4))
            await self.tell(report)


async def _post(report: Report) -> int:
    place = urlsplit(report.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        lines = [f"POST {place.path}{'?' if place.query else ''}{place.query} HTTP/1.1"]
        lines += [f"Host: {place.netloc}", "Connection: close", f"Content-Length: {len(report.body)}"]
        lines += [f"{name}: {text}" for name, text in report.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + report.body)
        await writer.drain()
        return int((await reader.readline()).split()[1])
    except IndexError:
        raise ValueError("no answer") from None
    finally:
        writer.close()
