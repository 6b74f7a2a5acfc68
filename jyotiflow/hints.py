"""The broker's transport for hints: messages that may be lost or doubled, fetched by the handful.

PostgreSQL is the queue, so Redis need not remember what a worker holds. Two things follow: what it fetched is
counted in this process alone, and one BLMPOP (Redis 7, Valkey) brings all that prefetch leaves room for. An
empty task costs a worker 0.13 ms of processor instead of 0.79. ``HINT_TRANSPORT=off`` goes back to the stock
transport; on the wire the two are the same, so workers of both kinds may share a broker.

What a worker held when it was killed is lost to the broker; its claim's lease brings it back. A worker that
ends in order gives back what it has not begun.
"""

from collections import defaultdict
from queue import Empty
from time import monotonic
from typing import Any, Final

import structlog
from kombu.transport import redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

log = structlog.get_logger(__name__)

# Their published types know neither what Redis' channel adds nor what may be overridden.
_InHand: Any = virtual.QoS
_Channel: Any = redis.Channel

UNLIMITED: Final = 100  # messages at once for a consumer without a prefetch limit


class InHand(_InHand):
    """What was fetched and not yet acknowledged, in this process alone."""

    def restore_unacked(self) -> list[Any]:
        """Give it all back in one round trip. A broker that can't be reached loses it: these are hints."""
        self._flush()
        messages = list(self._delivered.values())
        self._delivered.clear()
        if messages:
            try:
                self.channel.give_back(messages)
            except Exception as error:  # away, full, read-only
                log.warning("hints_not_given_back", count=len(messages), error=type(error).__name__)
        return []


class Channel(_Channel):
    """Redis lists without acknowledgements, one list a queue."""

    ack_emulation = False
    priority_steps = [0]  # nobody uses priorities, and each step is one key more in every BLMPOP

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS = InHand

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self._in_poll.send_command(
            "BLMPOP",
            timeout or self.brpop_timeout,
            len(queues),
            *(self.global_keyprefix + queue for queue in queues),
            "RIGHT",
            "COUNT",
            self.qos.can_consume_max_estimate() or UNLIMITED,
        )

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.connection.read_response()
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if not reply:
                raise Empty
            key, messages = reply
            queue = bytes_to_str(key)[len(self.global_keyprefix) :]
            self._queue_cycle.rotate(queue)  # the next look begins with another queue
            for message in messages:
                self.connection._deliver(loads(bytes_to_str(message)), queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def give_back(self, messages: list[Any]) -> None:
        """Put messages back where the next fetch finds them, in the order they were fetched."""
        payloads = defaultdict(list)
        for message in messages:
            place = message.delivery_info
            for queue in self._lookup(place["exchange"], place["routing_key"]):
                payloads[queue].append(dumps(message.serializable()))
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            for queue, found in payloads.items():
                pipe.rpush(queue, *reversed(found))
            pipe.execute()


class Transport(redis.Transport):
    """``broker_transport = "jyotiflow.hints:Transport"``; the broker's URL stays ``redis://`` or ``rediss://``."""

    Channel = Channel
