"""A provider is dead for ten minutes: few calls are spent on it, and the other channels don't notice."""

import itertools
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import redis
from django.conf import settings
from django.utils.timezone import now

from celery_app import app
from followups.selectors.channels import breaker_key
from jyotiflow.local.app import QUEUES
from tests.faults.database import change, rows
from tests.faults.facts import collect
from tests.faults.fleet import Fleet
from tests.faults.measure import percentile
from tests.faults.people import Order, World, book_all, make_world, mark_of
from tests.faults.scenario import Options, Progress, Verdict
from tests.faults.simulator.script import Fault
from tests.faults.verdict import judge
from tests.faults.watch import Watch, in_doubt, unfinished

CHANNELS: Final = ("sms", "email", "in_app")
UNHARMED: Final = ("email", "in_app")
SPREAD_SECONDS: Final = 20.0
DEAD_MINUTES: Final = 10
CALLS: Final = 10  # at most, before the breaker opens
PROBES: Final = 5  # at most, in ten minutes: after 30 s, 1, 2, 4 and 8 min
MARGIN_SECONDS: Final = 2.0  # of delay, within which channels are called unharmed
PATIENCE_SECONDS: Final = 300.0


def play(fleet: Fleet, options: Options) -> Verdict:
    """The same messages with the provider alive and with it dead; then it comes back."""
    say = Progress("dead-provider")
    world = make_world(users=30)
    for name, queues in QUEUES.items():
        fleet.start_worker(name, queues=queues, threads=4)
    fleet.start_web()
    fleet.start_beat("beat")
    fleet.wait_until_ready()
    watch = Watch(frozen=set)
    watch.start()
    messages = 60 if options.short else 240
    numbers = itertools.count(1)
    told: dict[str, str] = {}

    say("the provider is alive")
    marks = _book(world, messages, numbers, told)
    _wait_for(marks, CHANNELS)
    alive = _delays(marks)
    before = _calls(fleet)

    say("the provider is dead")
    fleet.simulator.script("twilio", rate=1, weights={Fault.BLACK_HOLE: 1})
    dead_marks = _book(world, messages, numbers, told)
    opened_after = _until_open(fleet) - before
    say(f"the breaker opened after {opened_after} calls")
    passed = _advance(fleet, minutes=DEAD_MINUTES)
    _wait_for(dead_marks, UNHARMED)
    dead = _delays(dead_marks)
    spent = _calls(fleet) - before
    say(f"{passed:.0f} minutes have passed by the breaker's clock; {spent} calls were spent in all")

    fleet.simulator.script("twilio", rate=0)
    began = time.monotonic()
    while unfinished() or in_doubt():
        if time.monotonic() - began > PATIENCE_SECONDS:
            break
        _bring_forward(fleet)
        app.send_task("followups.tasks.reconcile", queue="default")
        time.sleep(1)
    say(f"all came to rest {time.monotonic() - began:.0f} s after its return")
    fleet.simulator.wait_until_quiet(seconds=PATIENCE_SECONDS)
    watch.stop()
    judgement = judge(
        collect(records=fleet.simulator.records(), told=told, asked=told, disturbed=watch.disturbed)
    )
    problems = list(judgement.problems)
    if opened_after > CALLS:
        problems.append(f"{opened_after} calls were spent before the breaker opened")
    if spent > opened_after + PROBES:
        problems.append(f"{spent} calls were spent on a dead provider")
    if watch.idle:
        problems.append(f"sessions slept in a transaction: {dict(watch.idle)}")
    table: list[dict[str, object]] = []
    for channel in UNHARMED:
        line: dict[str, object] = {"delay of": channel, "messages": len(alive[channel])}
        for what, delays in (("alive", alive[channel]), ("dead", dead[channel])):
            line |= {f"{what}, median s": round(percentile(delays, 0.5), 2)}
            line |= {f"{what}, p95 s": round(percentile(delays, 0.95), 2)}
        table.append(line)
        if percentile(dead[channel], 0.95) > percentile(alive[channel], 0.95) * 1.5 + MARGIN_SECONDS:
            problems.append(f"{channel} was delayed by another channel's provider")
    looks = fleet.simulator.counts()["looks"]["twilio"]
    notes = [
        f"calls before the breaker opened: {opened_after}; in ten minutes: {spent}; looks in all: {looks}"
    ]
    notes += [f"sessions idle in a transaction: {sum(watch.idle.values())}", f"{dict(judgement.rows[-1])}"]
    return Verdict(rows=table, notes=notes, problems=problems)


def _book(world: World, messages: int, numbers: Any, told: dict[str, str]) -> Sequence[str]:
    """Messages on all channels, due over the next seconds."""
    begin = now() + timedelta(seconds=3)
    orders = [
        Order(
            mark=mark_of(next(numbers)),
            user=world.users[number % len(world.users)],
            template=world.dear[CHANNELS[number % len(CHANNELS)]],
            at=begin + timedelta(seconds=SPREAD_SECONDS * number / messages),
        )
        for number in range(messages)
    ]
    told |= book_all(orders)
    return [order.mark for order in orders]


def _wait_for(marks: Sequence[str], channels: Sequence[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        ((left,),) = rows(
            "SELECT count(*) FROM follow_up_schedules WHERE sent_at IS NULL"
            " AND custom_variables->>'mark' = ANY(%s) AND channel = ANY(%s)",
            list(marks),
            list(channels),
        )
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} messages are not sent.")
        time.sleep(0.3)


def _delays(marks: Sequence[str]) -> dict[str, list[float]]:
    """How much later than promised each was sent, by channel."""
    found = rows(
        "SELECT channel, extract(epoch FROM sent_at - scheduled_at)::float FROM follow_up_schedules"
        " WHERE sent_at IS NOT NULL AND custom_variables->>'mark' = ANY(%s)",
        list(marks),
    )
    return {channel: [late for name, late in found if name == channel] for channel in CHANNELS}


def _calls(fleet: Fleet) -> int:
    """Messages the provider was asked to take."""
    counts = fleet.simulator.counts()
    return int(counts["calls"]["twilio"] - counts["looks"]["twilio"])


def _until_open(fleet: Fleet) -> int:
    """Wait until the breaker is open; how many calls there had been."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _open_until(fleet):
        if time.monotonic() > deadline:
            raise TimeoutError("The breaker did not open.")
        time.sleep(0.1)
    return _calls(fleet)


def _open_until(fleet: Fleet) -> float:
    with redis.Redis.from_url(fleet.valkey.url) as client:
        return float(client.hget(breaker_key("sms"), "open_until") or 0)


def _advance(fleet: Fleet, *, minutes: float) -> float:
    """Let the breaker's clock run ten times as fast until so many of its minutes have passed."""
    passed, step = 0.0, 3.0
    while passed < minutes * 60:
        time.sleep(step)
        passed += step * 10
        _bring_forward(fleet, seconds=step * 9)
    return passed / 60


def _bring_forward(fleet: Fleet, *, seconds: float = 600.0) -> None:
    """What waits for the breaker, and the breaker, as if so many seconds had passed."""
    with redis.Redis.from_url(fleet.valkey.url) as client:
        if client.hexists(breaker_key("sms"), "open_until"):
            client.hincrbyfloat(breaker_key("sms"), "open_until", -seconds)
    change(
        "UPDATE follow_up_schedules SET due_at = greatest(now(), due_at - make_interval(secs => %s))"
        " WHERE status = 'pending' AND due_at > scheduled_at",
        seconds,
    )
    change(
        "UPDATE follow_up_attempts SET checked_at = checked_at - make_interval(secs => %s)"
        " WHERE state = 'in_doubt'",
        settings.FOLLOWUP_LOOK_INTERVAL_SECONDS + 1,
    )
