"""`python -m benchmarks.sink FILE`: serve until ended; the ports are written to the file."""

import gc
import json
import sys
from pathlib import Path

from benchmarks.sink.control import Control
from benchmarks.sink.ledger import Ledger
from benchmarks.sink.smtp import Smtp
from benchmarks.sink.twilio import Twilio
from benchmarks.sink.wire import Wire


def main(places: Path) -> None:
    """Open every door, say where, and stay."""
    ledger, wire = Ledger(), Wire()
    ports = {
        "smtp": wire.open(lambda: Smtp(ledger)),
        "twilio": wire.open(lambda: Twilio(ledger)),
        "control": wire.open(lambda: Control(ledger)),
    }
    fresh = places.with_suffix(".new")
    fresh.write_text(json.dumps(ports))
    fresh.rename(places)
    gc.freeze()
    wire.serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
