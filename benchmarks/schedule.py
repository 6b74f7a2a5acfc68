"""`schedule`: booking and completed sessions under gunicorn with 16 clients, beside two plain DRF views."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import connection
from django.utils.timezone import now

from benchmarks.cost import Meter
from benchmarks.figures import percentile
from benchmarks.load import Answers, call, json_request
from benchmarks.parts import Invalid, Options, Report, say
from benchmarks.send import turned
from benchmarks.stage import Stage
from benchmarks.web.models import CREATE
from benchmarks.web.server import CLIENTS, Web, running_web
from benchmarks.world import World
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.accounts.tokens import issue_pair

REQUESTS = 1_000  # of each kind, a round; each books for another reader
WARM_UP = 100
AHEAD = timedelta(days=2)
NOTE = {
    "title": "How are you?",
    "text": "Begin each day with ten quiet minutes.",
}


class Requests:
    """The bodies of all calls; every reader books once and completes one session."""

    def __init__(self, world: World) -> None:
        self._template = str(world.templates["email"].pk)
        _, secret = create_machine_key(name="bench", scope=MachineKey.Scope.SESSIONS_COMPLETE)
        self._machine = {"X-API-Key": secret}
        self._first = world.user.pk

    def schedule(self, numbers: Sequence[int]) -> list[bytes]:
        """Bookings for a session, two days ahead."""
        at = (now() + AHEAD).isoformat()
        return [
            json_request(
                "/api/followup/schedule",
                {"template_id": self._template, "session_id": f"session-{number}", "scheduled_at": at},
                headers,
            )
            for number, headers in zip(numbers, self._signed_in(numbers), strict=True)
        ]

    def session_complete(self, numbers: Sequence[int]) -> list[bytes]:
        """What the platform says when a session is over."""
        return [
            json_request(
                "/api/followup/auto/session-complete",
                {
                    "session_id": f"open-{number}",
                    "user_email": f"reader{number}@example.test",
                    "service_type": "life_guidance",
                },
                self._machine,
            )
            for number in numbers
        ]

    def nothing(self, numbers: Sequence[int]) -> list[bytes]:
        """To the view that does nothing."""
        return [json_request("/bench/nothing", NOTE, headers) for headers in self._signed_in(numbers)]

    def one_insert(self, numbers: Sequence[int]) -> list[bytes]:
        """To the view that inserts once."""
        return [json_request("/bench/one-insert", NOTE, headers) for headers in self._signed_in(numbers)]

    def _signed_in(self, numbers: Sequence[int]) -> list[dict[str, str]]:
        users = User.objects.in_bulk([self._first + number for number in numbers])
        tokens = [issue_pair(users[self._first + number]).access_token for number in numbers]
        return [{"Authorization": f"Bearer {token}"} for token in tokens]


def measure(stage: Stage, options: Options) -> Report:
    """Each kind in each round, each first once."""
    report, count = Report(), options.messages or REQUESTS
    world = World(readers=WARM_UP + count * options.rounds)
    world.open_sessions(WARM_UP + count * options.rounds)
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
    ask = Requests(world)
    kinds: dict[str, tuple[Callable[[Sequence[int]], list[bytes]], int]] = {
        "schedule": (ask.schedule, 201),
        "session_complete": (ask.session_complete, 200),
        "schedule.nothing": (ask.nothing, 201),
        "schedule.one_insert": (ask.one_insert, 201),
    }
    with running_web(stage) as web:
        for make, status in kinds.values():
            _require(call(web.port, make(range(1, WARM_UP + 1)), clients=CLIENTS), status)
        for number in range(options.rounds):
            first = WARM_UP + 1 + number * count
            done = {}
            for kind in turned(list(kinds), number):
                make, status = kinds[kind]
                done[kind] = _run(report, kind, stage, web, make(range(first, first + count)), status)
            report.add(
                "schedule.vs_one_insert",
                done["schedule"].per_second / done["schedule.one_insert"].per_second,
                "×",
            )
            report.add(
                "schedule.vs_nothing", done["schedule"].per_second / done["schedule.nothing"].per_second, "×"
            )
            waits = done["session_complete"].waits
            report.add("session_complete.p99_over_p50", percentile(waits, 0.99) / percentile(waits, 0.5), "×")
            rates = ", ".join(f"{kind} {answers.per_second:.0f}/s" for kind, answers in done.items())
            say(f"  round {number + 1}: {rates}")
    return report


def _run(report: Report, kind: str, stage: Stage, web: Web, requests: list[bytes], status: int) -> Answers:
    meter = Meter({"web": [web.pid], **{name: [stage.pids[name]] for name in ("PostgreSQL", "Valkey")}})
    answers = call(web.port, requests, clients=CLIENTS)
    seconds = meter.seconds()
    meter.look()
    _require(answers, status)
    report.add(f"{kind}.requests_per_s", answers.per_second, "requests/s")
    for share in (50, 95, 99):
        report.add(f"{kind}.p{share}_ms", percentile(answers.waits, share / 100) * 1_000, "ms")
    report.add(f"{kind}.cpu_ms_per_request", sum(seconds.values()) / len(requests) * 1_000, "ms")
    report.add(f"{kind}.peak_mb", meter.peaks()["web"], "MB")
    return answers


def _require(answers: Answers, status: int) -> None:
    """Raises ``Invalid`` when any call was answered otherwise."""
    others = [each for each in answers.statuses if each != status]
    if others:
        raise Invalid(f"{dict(answers.statuses)}, not {status}: {answers.bodies[others[0]][:500]!r}")
