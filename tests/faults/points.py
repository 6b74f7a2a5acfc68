"""Every fail point in the code times every action: a few charged messages each, and what became of them.

Each pair has a lane of its own, many at once: a database, a Redis database, a real worker and where it takes
one a real web server, all forked with the product loaded. One of them breaks where it is told to, by a real
signal; the others recover as in production, only sooner.
"""

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import redis
from django.db import connection
from django.utils.timezone import now
from psycopg import sql

from jyotiflow.accounts.tokens import issue_pair
from jyotiflow.failpoints import NAMES
from tests.faults.facts import collect
from tests.faults.fleet import Fleet, free_port
from tests.faults.lane import Lane, use_database
from tests.faults.life import Life, Wish
from tests.faults.people import Order, World, book_all, make_world, mark_of
from tests.faults.scenario import Options, Progress, Verdict, table
from tests.faults.verdict import WORDS, judge

ACTIONS: Final = ("kill", "raise", "cut", "stop")
AT_ONCE: Final = 10
REDIS_DATABASES: Final = 4 * AT_ONCE
MARKS: Final = 10  # numbers of one lane
NOBODY: Final = "http://127.0.0.1:9"  # where reports go that nobody needs

# Places in a web process, and what is asked of it to get there.
BY_WEB: Final[Mapping[str, Wish]] = {
    "in_booking": Wish.BOOKING,
    "in_cancel": Wish.CANCEL,
    "after_receipt_stored": Wish.REPORTS,
    "in_apply_receipt": Wish.REPORTS,
}
# Places that come after doubt: one outcome is lost first.
AFTER_DOUBT: Final = frozenset({"before_look", "after_look", "in_resolve"})


def play(fleet: Fleet, options: Options) -> Verdict:
    """Play all pairs, then judge each."""
    say = Progress("points")
    world = make_world(users=2)
    fleet.prepare()
    origin = str(connection.settings_dict["NAME"])
    turn = threading.Lock()
    lives: list[Life] = []
    ends: list[Future[None]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, (point, action) in enumerate(_pairs(options)):
            while sum(not end.done() for end in ends) >= AT_ONCE:  # what is booked is due at once
                time.sleep(0.1)
            life = _make_lane(fleet, world, origin, number, point, action, turn)
            lives.append(life)
            ends.append(pool.submit(life.play))
            if number % 8 == 7:
                say(f"{number + 1} pairs begun")
    for life, end in zip(lives, ends, strict=True):
        if end.exception():
            life.problems.append(f"the scenario itself failed: {end.exception()!r}")
    say(f"{len(lives)} pairs played")
    return _verdict(fleet.simulator.records(), lives)


def _pairs(options: Options) -> list[tuple[str, str]]:
    """All of them; in a short run every point once, with an action that the seed turns."""
    if not options.short:
        return list(itertools.product(NAMES, ACTIONS))
    turned = itertools.islice(itertools.cycle(ACTIONS), options.seed % len(ACTIONS), None)
    return list(zip(NAMES, turned, strict=False))


def _make_lane(
    fleet: Fleet, world: World, origin: str, number: int, point: str, action: str, turn: threading.Lock
) -> Life:
    name = f"lane_{number}"
    _copy_database(fleet, origin, name)
    use_database(name)
    wish = BY_WEB.get(point)
    # Where one outcome is lost first, it must be that of one that can be in doubt.
    orders = _orders(world, number, others_later=20.0 if point in AFTER_DOUBT else 0.0)
    extra = Order(mark_of(number * MARKS + 9), world.users[0], world.dear["sms"], now() + timedelta(hours=2))
    told = book_all(orders)
    if wish == Wish.CANCEL:
        told |= book_all([extra])
    place = fleet.home / name
    place.mkdir()
    port = free_port() if wish else None
    return Life(
        fleet,
        Lane(
            database=name,
            redis_url=_own_redis(fleet, number),
            public_url=f"http://127.0.0.1:{port}" if port else NOBODY,
            failpoints={point: action, **({"after_call": "raise"} if point in AFTER_DOUBT else {})},
            failpoints_dir=str(place),
        ),
        point=point,
        action=action,
        wish=wish,
        port=port,
        extra=extra,
        token=issue_pair(world.users[0]).access_token,
        told=told,
        asked={order.mark for order in orders}
        | ({extra.mark} if wish in (Wish.CANCEL, Wish.BOOKING) else set()),
        turn=turn,
    )


def _copy_database(fleet: Fleet, origin: str, name: str) -> None:
    use_database(origin)  # closes what is open: a database in use can't be copied
    with psycopg.connect(fleet.postgres.url, dbname="postgres", autocommit=True) as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(origin))
        )


def _own_redis(fleet: Fleet, number: int) -> str:
    """An empty database of Valkey; those of lanes long done are used again."""
    url = urlsplit(fleet.valkey.url)._replace(path=f"/{1 + number % REDIS_DATABASES}").geturl()
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


def _orders(world: World, number: int, *, others_later: float) -> list[Order]:
    """Two where nothing may be sent twice, one of which meets the fault, and two that must not mind."""
    first, second = world.users
    soon, later = now(), now() + timedelta(seconds=others_later)
    places = [("sms", first, soon), ("sms", second, soon), ("email", first, later), ("in_app", second, later)]
    return [
        Order(mark_of(number * MARKS + place), user, world.dear[channel], at)
        for place, (channel, user, at) in enumerate(places)
    ]


def _verdict(records: Sequence[Mapping[str, Any]], lives: Sequence[Life]) -> Verdict:
    cells: defaultdict[str, dict[str, object]] = defaultdict(dict)
    total: Counter[str] = Counter()
    problems: list[str] = []
    seconds = 0.0
    for life in lives:
        use_database(life.lane.database)
        own = [record for record in records if record.get("ref") in life.asked or "ref" not in record]
        judgement = judge(collect(records=own, told=life.told, asked=life.asked, disturbed=()))
        counts = Counter({word: int(str(judgement.rows[-1][word])) for word in ("messages", *WORDS)})
        total += counts
        found = [*life.problems, *judgement.problems]
        problems += [f"{life.point} x {life.action}: {problem}" for problem in found]
        cells[life.point][life.action] = "FAILED" if found else f"{counts['ok'] + counts['refunded']} ok"
        seconds = max(seconds, life.seconds)
    asked = {mark for life in lives for mark in life.asked}
    strangers = [record for record in records if record["what"] == "accepted" and record["ref"] not in asked]
    problems += [f"{record['provider']} took {record['id']}, which nobody booked" for record in strangers]
    rows = [
        {"fail point": point, **{action: cells[point].get(action, "-") for action in ACTIONS}}
        for point in NAMES
    ]
    sums = table(
        [{"pairs": len(lives), "messages": total["messages"], **{word: total[word] for word in WORDS}}]
    )
    return Verdict(
        rows=rows,
        notes=[*sums.splitlines(), f"the longest pair took {seconds:.0f} s"],
        problems=problems,
    )
