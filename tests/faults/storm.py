"""The storm: messages on every channel amid killed processes, restarted servers and faulty providers."""

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from django.conf import settings
from django.utils.timezone import now

from celery_app import app
from tests.faults.chaos import Chaos, Plan
from tests.faults.database import change, rows
from tests.faults.facts import collect
from tests.faults.fleet import THREADS, Fleet
from tests.faults.people import CHANNELS, Order, World, book_all, make_world, mark_of
from tests.faults.scenario import Options, Progress, Verdict
from tests.faults.traffic import Traffic
from tests.faults.verdict import Judgement, judge
from tests.faults.watch import Watch, in_doubt, unfinished

RATE = 0.14  # of the calls to a provider go wrong, and of its callbacks
SLOW_SECONDS = (0.3, 3.0)  # a third of them longer than we wait
BY_HTTP = 0.2  # of the bookings
SKEW_SECONDS = 600.0
PATIENCE_SECONDS = 300.0  # for what is left when the storm is over
CYCLES = 2
SAY_EVERY_SECONDS = 15.0


def play(fleet: Fleet, options: Options) -> Verdict:
    """Book, let it rage, let it settle, reconcile twice, judge."""
    by_smtp = not settings.EMAIL_ESP
    say = Progress("storm-smtp" if by_smtp else "storm")
    plan = _plan(options, by_smtp=by_smtp)
    messages = options.messages or _messages(options, by_smtp=by_smtp)
    world = make_world(users=max(20, messages // 10))
    early, late = _orders(world, messages, plan.seconds, seed=options.seed, by_smtp=by_smtp)
    say(f"{len(world.users)} people; booking {len(early)} messages by the service")
    told = book_all(early)
    _start(fleet)
    fleet.simulator.script(rate=RATE, report_rate=RATE, slow_seconds=SLOW_SECONDS)

    chaos = Chaos(fleet, plan, seed=options.seed)
    watch = Watch(frozen=lambda: set(chaos.frozen))
    traffic = Traffic(fleet, world, late, seconds=plan.seconds * 0.9, seed=options.seed)
    began = now()
    _move_to(began, early)
    watch.start()
    traffic.start()
    chaos.start()
    say(f"the storm begins: {plan.kills} kills within {plan.seconds:.0f} s")
    _until(
        lambda: chaos.is_over and not traffic.is_alive(),
        chaos,
        watch,
        say,
        seconds=plan.seconds * 3 + PATIENCE_SECONDS,
    )
    say("the storm is over")
    _until(lambda: unfinished() == 0, chaos, watch, say, seconds=PATIENCE_SECONDS)
    fleet.simulator.script(rate=0)
    fleet.simulator.wait_until_quiet(seconds=PATIENCE_SECONDS)
    doubtful = in_doubt()
    say(f"all was tried; {doubtful} in doubt. The settle delay, and two looks at the providers")
    time.sleep(settings.FOLLOWUP_SETTLE_DELAY_SECONDS + 1)
    for cycle in range(CYCLES):
        _advance_looks()
        _reconcile()
        say(f"after look {cycle + 1}: {in_doubt()} in doubt")
    _until(lambda: unfinished() == 0, chaos, watch, say, seconds=PATIENCE_SECONDS)
    fleet.simulator.wait_until_quiet(seconds=PATIENCE_SECONDS)
    watch.stop()
    told |= traffic.told
    judgement = judge(
        collect(
            records=fleet.simulator.records(),
            told=told,
            asked={order.mark for order in (*early, *late)},
            disturbed=watch.disturbed,
            # A push shows once, but is refunded when it never heard that it was taken.
            at_least_once=["email"] if by_smtp else ["push"],
            ambiguities=_held(plan),
        )
    )
    return _verdict(fleet, chaos, watch, traffic, judgement, doubtful, options)


def _messages(options: Options, *, by_smtp: bool) -> int:
    if by_smtp:
        return 150 if options.short else 1_500
    return 400 if options.short else 10_000


def _plan(options: Options, *, by_smtp: bool) -> Plan:
    if options.kills is not None:
        kills = options.kills
    elif by_smtp:
        kills = 6 if options.short else 40
    else:
        kills = 16 if options.short else 200
    messages = options.messages or _messages(options, by_smtp=by_smtp)
    large = kills // 20
    return Plan(
        seconds=max(20.0, kills * (2.0 if options.short else 3.0), messages / 16),
        kills=kills,
        database_restarts=max(1, large),
        redis_faults=max(3, large),
        freezes=max(2, large),
        # Past the lease, and back before the settle delay has passed: a longer one is not promised for.
        freeze_seconds=settings.FOLLOWUP_LEASE_SECONDS + 3.0,
        closed_doors=max(1, large),
        doors=("smtp", "twilio", "fcm") if by_smtp else ("twilio", "fcm", "resend"),
    )


def _orders(
    world: World, messages: int, seconds: float, *, seed: int, by_smtp: bool
) -> tuple[list[Order], list[Order]]:
    """All messages, over channels, people and time: those booked before, and those during the storm."""
    draw = random.Random(f"{seed}:orders")
    channels = ("email",) if by_smtp else CHANNELS
    base = now() + timedelta(hours=1)
    orders = [
        Order(
            mark=mark_of(number),
            user=world.users[number // len(channels) % len(world.users)],
            template=world.template(channels[number % len(channels)], draw=draw),
            at=base + timedelta(seconds=draw.uniform(0, seconds * 0.9)),
        )
        for number in range(messages)
    ]
    draw.shuffle(orders)
    late = int(messages * BY_HTTP)
    return orders[late:], orders[:late]


def _start(fleet: Fleet) -> None:
    fleet.start_web()
    for number in (1, 2, 3):
        fleet.start_worker(f"worker{number}")
    fleet.start_worker("worker4", clock=SKEW_SECONDS)
    for number in (1, 2, 3):
        fleet.start_beat(f"beat{number}")
    fleet.wait_until_ready()


def _move_to(moment: object, early: list[Order]) -> None:
    """Booked for an hour later, so that booking could take as long as it liked: now the times count."""
    base = min(order.at for order in early)
    change(
        "UPDATE follow_up_schedules SET due_at = due_at - (%s::timestamptz - %s::timestamptz),"
        " scheduled_at = scheduled_at - (%s::timestamptz - %s::timestamptz)"
        " WHERE due_at > now() + interval '30 minutes'",
        base,
        moment,
        base,
        moment,
    )


def _until(done: Callable[[], bool], chaos: Chaos, watch: Watch, say: Progress, *, seconds: float) -> None:
    """Keep the storm going until something is done, or for too long: then the verdict shows what is not.

    Raises what the watch died of.
    """
    deadline, said = time.monotonic() + seconds, time.monotonic()
    while not done() and time.monotonic() < deadline:
        chaos.step()
        if watch.failure:
            raise watch.failure
        if time.monotonic() - said > SAY_EVERY_SECONDS:
            said = time.monotonic()
            say(f"{_listed(watch.states)}; {chaos.done.total()} faults of {chaos.planned}")
        time.sleep(0.05)


def _held(plan: Plan) -> int:
    """The most messages that what is killed, frozen or cut off can have had in its hands."""
    return THREADS * (plan.kills + plan.freezes + plan.database_restarts)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _reconcile() -> None:
    """One cycle: every attempt that has been in doubt for long enough is looked at once."""
    ((start,),) = rows("SELECT now()")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _unlooked(start):
        app.send_task("followups.tasks.reconcile", queue="default")
        time.sleep(1)
        if time.monotonic() > deadline:
            raise TimeoutError("The reconciler doesn't get through.")


def _unlooked(start: object) -> int:
    ((count,),) = rows(
        "SELECT count(*) FROM follow_up_attempts WHERE state = 'in_doubt'"
        " AND (checked_at IS NULL OR checked_at < %s)"
        " AND gate_at < now() - make_interval(secs => %s)",
        start,
        settings.FOLLOWUP_SETTLE_DELAY_SECONDS,
    )
    return int(count)


def _advance_looks() -> None:
    """The clock between two looks, advanced."""
    change(
        "UPDATE follow_up_attempts SET checked_at = checked_at - %s WHERE state = 'in_doubt'",
        timedelta(seconds=settings.FOLLOWUP_LOOK_INTERVAL_SECONDS + 1),
    )


def _verdict(
    fleet: Fleet,
    chaos: Chaos,
    watch: Watch,
    traffic: Traffic,
    judgement: Judgement,
    doubtful: int,
    options: Options,
) -> Verdict:
    held = _held(chaos.plan)
    counts = fleet.simulator.counts()
    log = counts["log"]
    problems = list(judgement.problems)
    if traffic.failure:
        problems.append(f"a request failed: {traffic.failure}")
    taken = sum(count for name, count in log.items() if name.endswith(":forgery_taken"))
    if taken:
        problems.append(f"{taken} forged callbacks were taken")
    if watch.idle:
        problems.append(f"sessions slept in a transaction: {dict(watch.idle)}")
    calls, faults = counts["calls"], counts["faults"]
    notes = [f"Seed {options.seed}. Done to the system: {_listed(chaos.done)}."]
    for name in calls:
        if calls[name]:
            hurt = sum(count for fault, count in faults[name].items() if not fault.startswith("report_"))
            share = f"{calls[name]} calls, {hurt} went wrong ({hurt / calls[name]:.1%})"
            notes.append(f"{name}: {share}: {_listed(faults[name])}.")
    notes.append(f"Providers' log: {_listed(log)}.")
    notes.append(f"Answers to people: {_listed(traffic.answers)}.")
    notes.append(f"In doubt when all was tried: {doubtful}.")
    notes.append(
        f"Deliveries too many where nobody can be asked: {judgement.repeats}, of {judgement.ambiguous} that"
        f" may be: {judgement.ambiguous - held} taken without an answer, {held} held by what was broken."
    )
    idle = watch.idle.total()
    notes.append(f"Faults of the ledger: {len(judgement.ledger)}; sessions idle in a transaction: {idle}.")
    return Verdict(rows=judgement.rows, notes=notes, problems=problems)
