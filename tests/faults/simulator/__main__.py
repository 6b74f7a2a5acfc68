"""`python -m tests.faults.simulator --home DIR`: all providers, until it is ended.

Writes ``places.json`` (a port a provider, and ``control``), ``firebase.json`` and ``accepted.jsonl`` into
``home``.
"""

import argparse
import asyncio
import json
from pathlib import Path

from tests.faults.simulator.fcm import Fcm, write_key
from tests.faults.simulator.log import Log
from tests.faults.simulator.resend import Resend
from tests.faults.simulator.script import Fate, Fault
from tests.faults.simulator.smtp import Smtp
from tests.faults.simulator.twilio import Twilio
from tests.faults.simulator.wire import Answer, Door, Request, http


class Control:
    """Changes the scripts and the doors, and tells the counts."""

    def __init__(self, fates: dict[str, Fate], doors: dict[str, Door], log: Log) -> None:
        self._fates = fates
        self._doors = doors
        self._log = log
        self.reporters: list[Twilio | Resend] = []

    async def handle(self, request: Request) -> Answer:
        """``POST /script``, ``POST /door`` with a provider's name in front, ``GET /counts``."""
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["counts"]:
                return Answer(200, self._counts())
            case "POST", [provider, "script"] if provider in self._fates:
                try:
                    self._fates[provider].script.change(request.json)
                except (KeyError, ValueError, TypeError) as error:
                    return Answer(400, {"error": repr(error)})
                return Answer(200, {})
            case "POST", [provider, "door"] if provider in self._doors:
                door = self._doors[provider]
                await (door.open() if request.json["open"] else door.close())
                return Answer(200, {})
        return Answer(404, {"error": "There is no such thing to control."})

    def _counts(self) -> dict[str, object]:
        return {
            "log": dict(self._log.counts),
            "calls": {name: fate.calls for name, fate in self._fates.items()},
            "looks": {name: fate.looks for name, fate in self._fates.items()},
            "faults": {name: dict(fate.injected) for name, fate in self._fates.items()},
            "pending": sum(fate.pending for fate in self._fates.values())
            + sum(provider.reporter.pending for provider in self.reporters),
        }


async def run(options: argparse.Namespace) -> None:
    """Open every door, say where, and stay."""
    home: Path = options.home
    log = Log(home / "accepted.jsonl")
    fates = {
        name: Fate(name, seed=options.seed, impossible=() if name == "twilio" else [Fault.REPORT_FIRST])
        for name in ("twilio", "fcm", "resend", "smtp")
    }
    twilio, fcm = Twilio(fates["twilio"], log), Fcm(fates["fcm"], log)
    resend = Resend(fates["resend"], log, webhook=options.webhook, secret=options.webhook_secret)
    smtp = Smtp(fates["smtp"], log)
    doors = {provider.name: Door(http(provider.handle)) for provider in (twilio, fcm, resend)}
    doors["smtp"] = Door(smtp.talk)
    control = Control(fates, dict(doors), log)
    control.reporters += [twilio, resend]
    doors["control"] = Door(http(control.handle))
    for door in doors.values():
        await door.open()
    write_key(home / "firebase.json", token_uri=f"http://127.0.0.1:{doors['fcm'].port}/token")
    fresh = home / "places.json.new"
    fresh.write_text(json.dumps({name: door.port for name, door in doors.items()}))
    fresh.rename(home / "places.json")
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults.simulator", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="where it writes; must exist")
    parser.add_argument("--seed", type=int, default=0, help="of everything it draws")
    parser.add_argument("--webhook", default="", help="where the mail service sends its events")
    parser.add_argument("--webhook-secret", default="", help="the user:password of that address")
    asyncio.run(run(parser.parse_args()))
