"""How long things took: calls made by many clients at once, and the table's line for them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them (0 to 1) doesn't exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@dataclass
class Waits:
    """What calls took, in seconds, and what was answered."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def call(self, act: Callable[[], int]) -> int:
        """Make one call that answers with a status; 0 for none."""
        began = time.monotonic()
        status = act()
        self.seconds.append(time.monotonic() - began)
        self.answers[str(status)] += 1
        return status

    def milliseconds(self, share: float) -> int:
        """A percentile."""
        return round(percentile(self.seconds, share) * 1_000)

    def row(self, what: str) -> dict[str, object]:
        """The table's line."""
        shares = {f"p{share:.0%}"[:-1] + " ms": self.milliseconds(share) for share in (0.5, 0.95, 0.99)}
        return {"": what, "calls": len(self.seconds), **shares, "longest ms": self.milliseconds(1.0)}


def at_once(clients: int, work: Callable[[int], None]) -> None:
    """Run ``work`` with the number of each client, all in threads; raises what the first of them raised."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
