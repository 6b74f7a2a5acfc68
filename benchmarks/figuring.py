"""`python -m benchmarks.figuring [DAYS]`: the daily figures of the last days; the seconds it took."""

import sys
import time
from datetime import timedelta

import django

django.setup()  # before anything that has models

from django.utils.timezone import now  # noqa: E402

from benchmarks.history import DAYS  # noqa: E402
from followups.services.analytics import recompute  # noqa: E402


def main(days: int) -> float:
    """Recompute them, today included."""
    today = now().date()
    started = time.perf_counter()
    recompute(days=[today - timedelta(days=back) for back in range(days)])
    return time.perf_counter() - started


if __name__ == "__main__":
    print(main(int(sys.argv[1]) if sys.argv[1:] else DAYS + 2))
