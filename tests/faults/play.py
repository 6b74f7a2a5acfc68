"""`python -m tests.faults.play NAME OPTIONS RESULT`: one scenario, in this process, on a fleet of its own.

``OPTIONS`` is JSON; the verdict is written to the file ``RESULT``.
"""

import dataclasses
import importlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import django

from jyotiflow.local.processes import die_with_parent
from tests.faults.fleet import running_fleet
from tests.faults.scenario import SCENARIOS, Options, Verdict


def main(name: str, options: Options, result: Path) -> None:
    """Play it and write down what it found."""
    die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    scenario = SCENARIOS[name]
    with running_fleet(
        seed=options.seed, email=scenario.email, environment=scenario.environment, keep=options.keep
    ) as fleet:
        os.environ.clear()
        os.environ.update(fleet.environment)
        os.environ["DJANGO_SETTINGS_MODULE"] = "jyotiflow.settings"
        django.setup()
        logging.disable()  # what is of interest is in the members' logs
        module: Any = importlib.import_module(scenario.module)
        verdict = cast(Verdict, module.play(fleet, options))
    result.write_text(json.dumps(dataclasses.asdict(verdict)))


def _end(number: int, _: object) -> None:
    """End once, in order: a second signal must not break off the taking down of the fleet."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    main(sys.argv[1], Options(**json.loads(sys.argv[2])), Path(sys.argv[3]))
