"""Redis swallows everything for a minute: people book and cancel on, and what was due goes out after."""

import contextlib
import itertools
import time
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from django.utils.timezone import now

from jyotiflow.accounts.tokens import issue_pair
from tests.faults.database import rows
from tests.faults.facts import collect
from tests.faults.fleet import Fleet
from tests.faults.measure import Waits, at_once
from tests.faults.people import World, make_world, mark_of
from tests.faults.proxy import Mode, Proxy, running_proxy
from tests.faults.scenario import Options, Progress, Verdict
from tests.faults.verdict import judge
from tests.faults.watch import Watch, in_doubt, unfinished

CLIENTS: Final = 6
PAUSE_SECONDS: Final = 0.4  # of a client between two requests
HEALTHY_SECONDS: Final = 10.0
LONGEST_P99_MS: Final = 300
ALL_OUT_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 300.0


def play(fleet: Fleet, options: Options) -> Verdict:
    """Book and cancel with Redis well and with Redis black-holed; then see everything go out."""
    say = Progress("blackhole")
    world = make_world(users=60)
    place = urlsplit(fleet.valkey.url)
    assert place.port
    with running_proxy(to=place.port) as proxy:
        through = {"REDIS_URL": place._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()}
        fleet.start_web(environment=through)
        fleet.start_worker("worker", environment=through)
        fleet.start_beat("beat", environment=through)
        fleet.wait_until_ready()
        watch = Watch(frozen=set)
        watch.start()
        verdict = _play(fleet, world, proxy, 20.0 if options.short else 60.0, say)
        watch.stop()
        if watch.idle:
            verdict.problems.append(f"sessions slept in a transaction: {dict(watch.idle)}")
    return verdict


def _play(fleet: Fleet, world: World, proxy: Proxy, seconds: float, say: Progress) -> Verdict:
    people = _People(fleet, world)
    people.act(5.0)  # the first requests of a process load what the others find
    say("Redis is well")
    healthy = people.act(HEALTHY_SECONDS)
    say(f"Redis swallows everything for {seconds:.0f} s")
    proxy.mode = Mode.BLACK_HOLE
    black = people.act(seconds)
    proxy.mode = Mode.DROP  # connections of a network that comes back are gone
    time.sleep(0.5)
    proxy.mode = Mode.PASS
    back, began = now(), time.monotonic()
    waiting = _still_due(back)
    say(f"Redis is back; {waiting} are due")
    while _still_due(back) and time.monotonic() - began < PATIENCE_SECONDS:
        time.sleep(0.2)
    took = time.monotonic() - began
    say(f"all of them went out within {took:.1f} s")
    while (unfinished() or in_doubt()) and time.monotonic() - began < PATIENCE_SECONDS:
        time.sleep(0.5)
    fleet.simulator.wait_until_quiet(seconds=PATIENCE_SECONDS)
    judgement = judge(
        collect(records=fleet.simulator.records(), told=people.told, asked=people.asked, disturbed=())
    )
    problems = list(judgement.problems)
    tables: list[dict[str, object]] = []
    for name, waits in (("schedule", 0), ("cancel", 1)):
        tables += [healthy[waits].row(f"{name}, Redis well"), black[waits].row(f"{name}, black hole")]
        # Where a busy machine takes longer anyway, Redis must not make it worse.
        if black[waits].milliseconds(0.99) > max(LONGEST_P99_MS, healthy[waits].milliseconds(0.99)):
            problems.append(f"{name} took {black[waits].milliseconds(0.99)} ms at the 99th percentile")
        bad = {
            status: count
            for part in (healthy, black)
            for status, count in part[waits].answers.items()
            if status not in ("200", "201", "409")
        }
        if bad:
            problems.append(f"{name} answered {bad}")
    if took > ALL_OUT_SECONDS:
        problems.append(f"what was due took {took:.0f} s to go out")
    notes = [f"{waiting} were due when Redis came back; all were out after {took:.1f} s"]
    notes += [f"{dict(judgement.rows[-1])}"]
    return Verdict(rows=tables, notes=notes, problems=problems)


def _still_due(moment: object) -> int:
    ((count,),) = rows(
        "SELECT count(*) FROM follow_up_schedules"
        " WHERE status IN ('pending', 'sending') AND scheduled_at <= %s",
        moment,
    )
    return int(count)


class _People:
    """They book messages for the next seconds, and cancel every third."""

    def __init__(self, fleet: Fleet, world: World) -> None:
        self.told: dict[str, str] = {}
        self.asked: set[str] = set()
        self._url = f"{fleet.url}/api/followup"
        self._templates = [str(world.dear[channel].pk) for channel in ("sms", "email", "in_app")]
        self._tokens = [issue_pair(user).access_token for user in world.users]
        self._numbers = itertools.count(1)

    def act(self, seconds: float) -> tuple[Waits, Waits]:
        """Go on for so long; what booking and cancelling took."""
        booking, cancelling = Waits(), Waits()
        end = time.monotonic() + seconds

        def work(client: int) -> None:
            with requests.Session() as session:
                while time.monotonic() < end:
                    number = next(self._numbers)
                    session.headers["Authorization"] = f"Bearer {self._tokens[number % len(self._tokens)]}"
                    booking.call(lambda: self._book(session, number))  # noqa: B023  called at once
                    if number % 3 == 0:
                        cancelling.call(lambda: self._cancel(session, number))  # noqa: B023
                    time.sleep(PAUSE_SECONDS)

        at_once(CLIENTS, work)
        return booking, cancelling

    def _book(self, session: requests.Session, number: int) -> int:
        mark = mark_of(number)
        self.asked.add(mark)
        body: dict[str, Any] = {
            "template_id": self._templates[number % len(self._templates)],
            "scheduled_at": (now() + timedelta(seconds=3 + number % 20)).isoformat(),
            "custom_variables": {"mark": mark},
        }
        with contextlib.suppress(requests.RequestException):
            answer = session.post(f"{self._url}/schedule", json=body, timeout=30)
            if answer.status_code == 201:
                self.told[mark] = answer.json()["followup_id"]
            return answer.status_code
        return 0

    def _cancel(self, session: requests.Session, number: int) -> int:
        follow_up = self.told.get(mark_of(number))
        if follow_up is None:
            return 0
        with contextlib.suppress(requests.RequestException):
            return session.post(f"{self._url}/cancel/{follow_up}", timeout=30).status_code
        return 0
