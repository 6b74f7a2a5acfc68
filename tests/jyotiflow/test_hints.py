"""The hint transport: fetched by the handful, never more than prefetch allows, and given back in order."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from kombu import Connection, Consumer, Queue

from tests.faults.proxy import Mode, Proxy, running_proxy


@pytest.fixture
def valkey() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        yield client


@pytest.fixture
def prefix(valkey: redis.Redis) -> Iterator[str]:
    """Keys of one test; gone afterwards."""
    name = f"{uuid4().hex}:"
    yield name
    for key in valkey.scan_iter(f"{name}*"):
        valkey.delete(key)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    port = urlsplit(settings.REDIS_URL).port
    assert port
    with running_proxy(to=port) as running:
        yield running


def connect(prefix: str, *, port: int | None = None, **options: Any) -> Connection:
    """A connection as the settings make it, under a prefix of its own, perhaps by way of a proxy."""
    place = urlsplit(settings.REDIS_URL)
    return Connection(
        place._replace(netloc=f"127.0.0.1:{port or place.port}").geturl(),
        transport=settings.CELERY_BROKER_TRANSPORT,
        transport_options={**settings.CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": prefix, **options},
    )


class Hand:
    """A consumer that keeps what it is given, until told to acknowledge."""

    def __init__(self, connection: Connection, *queues: str, prefetch: int) -> None:
        self.messages: list[Any] = []
        self.bodies: list[int] = []
        self._connection = connection
        self.consumer = Consumer(
            connection.channel(),
            [Queue(name) for name in queues],
            on_message=self._take,
            accept=["json"],
            prefetch_count=prefetch,
        )
        self.consumer.consume()

    def _take(self, message: Any) -> None:
        self.messages.append(message)
        self.bodies.append(message.decode())

    def fill(self) -> list[int]:
        """Fetch until nothing comes; what is held now."""
        with contextlib.suppress(socket.timeout):
            while True:
                self._connection.drain_events(timeout=0.3)
        return self.bodies

    def acknowledge(self, count: int) -> None:
        for message in self.messages[:count]:
            message.ack()
        del self.messages[:count], self.bodies[:count]


def publish(connection: Any, queue: str, bodies: range) -> None:
    with connection.Producer() as producer, producer.batch():
        for body in bodies:
            producer.publish(body, routing_key=queue, serializer="json")


def test_no_more_is_fetched_than_prefetch_leaves_room_for(prefix: str, valkey: redis.Redis) -> None:
    with connect(prefix) as connection:
        publish(connection, "a", range(10))
        hand = Hand(connection, "a", prefetch=4)
        assert hand.fill() == [0, 1, 2, 3]
        assert valkey.llen(f"{prefix}a") == 6
        hand.acknowledge(2)
        assert hand.fill() == [2, 3, 4, 5]
        assert valkey.llen(f"{prefix}a") == 4


def test_one_round_trip_brings_a_handful(prefix: str, valkey: redis.Redis) -> None:
    with connect(prefix) as connection:
        publish(connection, "a", range(30))
        before = valkey.info("commandstats").get("cmdstat_blmpop", {"calls": 0})["calls"]
        hand = Hand(connection, "a", prefetch=30)
        while len(hand.messages) < 30:
            connection.drain_events(timeout=5)
        assert valkey.info("commandstats")["cmdstat_blmpop"]["calls"] - before <= 2


def test_without_a_limit_all_is_fetched(prefix: str) -> None:
    with connect(prefix) as connection:
        publish(connection, "a", range(250))
        assert len(Hand(connection, "a", prefetch=0).fill()) == 250


def test_redis_remembers_nothing_that_was_fetched(prefix: str, valkey: redis.Redis) -> None:
    with connect(prefix) as connection:
        publish(connection, "a", range(3))
        assert len(Hand(connection, "a", prefetch=3).fill()) == 3
        assert [key for key in valkey.scan_iter(f"{prefix}*") if "binding" not in key] == []


def test_a_full_queue_does_not_hold_up_the_other(prefix: str) -> None:
    with connect(prefix) as connection:
        publish(connection, "a", range(100))
        publish(connection, "b", range(1000, 1008))
        hand = Hand(connection, "a", "b", prefetch=4)
        seen = []
        for _ in range(4):
            seen += hand.fill()
            hand.acknowledge(4)
        assert len([body for body in seen if body >= 1000]) == 8


def test_what_is_held_is_given_back_in_order(prefix: str) -> None:
    with connect(prefix) as first:
        publish(first, "a", range(6))
        hand = Hand(first, "a", prefetch=4)
        assert hand.fill() == [0, 1, 2, 3]
        hand.acknowledge(1)
    with connect(prefix) as second:
        assert Hand(second, "a", prefetch=0).fill() == [1, 2, 3, 4, 5]


def test_what_a_consumer_requeues_comes_again(prefix: str) -> None:
    with connect(prefix) as connection:
        publish(connection, "a", range(1))
        hand = Hand(connection, "a", prefetch=1)
        hand.fill()
        hand.messages.pop().requeue()
        assert hand.fill() == [0, 0]


def test_the_stock_transport_reads_what_we_write_and_the_other_way_round(prefix: str) -> None:
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": prefix}
    with connect(prefix) as ours, Connection(settings.REDIS_URL, transport_options=options) as stock:
        publish(ours, "a", range(2))
        assert Hand(stock, "a", prefetch=2).fill() == [0, 1]
        publish(stock, "b", range(2))
        assert Hand(ours, "b", prefetch=2).fill() == [0, 1]


def test_a_broken_connection_is_an_error_to_reconnect_after(prefix: str, proxy: Proxy) -> None:
    connection = connect(prefix, port=proxy.port)
    publish(connection, "a", range(5))
    hand = Hand(connection, "a", prefetch=3)
    assert hand.fill() == [0, 1, 2]
    hand.acknowledge(3)
    proxy.mode = Mode.DROP
    with pytest.raises(redis.ConnectionError):
        hand.fill()
    connection.close()
    proxy.mode = Mode.PASS
    with connect(prefix, port=proxy.port) as again:
        assert Hand(again, "a", prefetch=0).fill() in ([3, 4], [4], [])  # hints may be lost with a connection


def test_a_broker_gone_silent_is_left(prefix: str, proxy: Proxy) -> None:
    connection = connect(prefix, port=proxy.port, socket_timeout=2, health_check_interval=1)
    hand = Hand(connection, "a", prefetch=3)
    hand.fill()
    proxy.mode = Mode.BLACK_HOLE
    began = time.monotonic()

    def wait() -> None:
        while time.monotonic() - began < 30:
            hand.fill()

    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        wait()
    connection.release()
    assert time.monotonic() - began < 15
