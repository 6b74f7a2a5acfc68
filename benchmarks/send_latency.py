"""`send-latency`: a provider that takes 100 ms to answer, by SMTP beside django-post_office, and by HTTP."""

import contextlib
from collections.abc import Iterator

from benchmarks.contenders import Contender, race
from benchmarks.ours import OurContender
from benchmarks.parts import Options, Report, say
from benchmarks.peer.contender import PostOfficeContender, words_of
from benchmarks.send import PEERS, add_runs, line, require_alike, turned
from benchmarks.setup import OURS, POST_OFFICE, PostOffice
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage, own_database
from benchmarks.world import World

DELAY = 0.1
MESSAGES = 3_000
FEWER = {"post_office_default": 6}  # a sixth of the messages: it would take a minute a round
SAME_THREADS = PostOffice(processes=OURS.processes, threads=OURS.threads, batch=5_000)


def measure(stage: Stage, options: Options) -> Report:
    """Race them all to the slow sink."""
    report, count = Report(), options.messages or MESSAGES
    with _contenders(stage, count) as (sink, racers):
        for number in range(options.rounds):
            runs = {
                racer.name: race(racer, stage, sink, count=count // FEWER.get(racer.name, 1), delay=DELAY)
                for racer in turned(racers, number)
            }
            add_runs(report, "send_latency", runs)
            say(f"  round {number + 1}: {line(runs)}")
            require_alike({name: run for name, run in runs.items() if name != "http"})
    return report


@contextlib.contextmanager
def _contenders(stage: Stage, readers: int) -> Iterator[tuple[Sink, list[Contender]]]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_database(stage, PEERS, template="template0"))
        sink = stack.enter_context(contextlib.closing(Sink(stage.ports["control"])))
        world = World(readers=readers, channels=("email", "sms"))
        say("  starting and warming up …")
        ours = stack.enter_context(contextlib.closing(OurContender(stage, world, OURS)))
        ours.workers.wait_until_ready()
        by_http = OurContender(stage, world, OURS, name="http", channel="sms", workers=ours.workers)
        stack.callback(by_http.close)
        racers: list[Contender] = [by_http, ours]
        for racer in racers:
            race(racer, stage, sink, count=min(readers, 200))
        peers = {
            "post_office_default": POST_OFFICE["post_office_default"],
            "post_office_same_threads": SAME_THREADS,
        }
        for name, setup in peers.items():
            peer = PostOfficeContender(stage, setup, name=name, database=PEERS, words=words_of(sink.last()))
            stack.callback(peer.close)
            race(peer, stage, sink, count=min(readers, 200))
            racers.append(peer)
        yield sink, racers
