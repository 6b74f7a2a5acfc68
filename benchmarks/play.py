"""`python -m benchmarks.play MODULE STAGE OPTIONS RESULT`: one part, in a process of its own.

``STAGE`` and ``OPTIONS`` are JSON; what was measured is written to the file ``RESULT``.
"""

import dataclasses
import importlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import django

from benchmarks.parts import Invalid, Options
from benchmarks.stage import Stage
from jyotiflow.local.processes import die_with_parent


def main(module_name: str, stage: Stage, options: Options, result: Path) -> int:
    """Measure it and write down what was found."""
    die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    os.environ.clear()
    os.environ.update(stage.environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "jyotiflow.settings"
    django.setup()
    logging.disable()  # what is of interest is in the logs of the processes that are measured
    module: Any = importlib.import_module(module_name)
    try:
        report = module.measure(stage, options)
    except Invalid as problem:
        print(problem, file=sys.stderr, flush=True)
        return 1
    result.write_text(json.dumps(dataclasses.asdict(report)))
    return 0


def _end(number: int, _: object) -> None:
    """End once, in order: a second signal must not break off the clearing away."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    part, where, wishes, file = sys.argv[1:]
    sys.exit(main(part, Stage.load(where), Options(**json.loads(wishes)), Path(file)))
