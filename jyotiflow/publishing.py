"""Publishing many calls of one task at once: they share a prepared message and one command to the broker.

A call costs 0.02 ms of processor instead of 0.46. ``HINT_BATCH=0`` goes back to Celery's ``apply_async``.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from kombu.utils.json import dumps

from celery_app import app

_PERSISTENT: Final = {"delivery_mode": 2}


def publish(producer: Any, task: Any, calls: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Publish ``task`` for each queue and arguments in ``calls``, all in one round trip.

    Whatever the broker's client raises comes through; then nobody knows which of them it has taken. Celery's
    signals of publishing are not sent, and a task that is called eagerly must be called otherwise.
    """
    if not settings.HINT_BATCH:
        for queue, arguments in calls:
            task.apply_async(arguments, queue=queue, producer=producer, retry=False)
        return
    channel = producer.channel
    waiting: dict[str, list[str]] = defaultdict(list)
    for queue, arguments in calls:
        waiting[queue].append(_message(channel, task.name, queue, arguments))
    queues = app.amqp.queues
    for queue in waiting:
        producer.maybe_declare(queues[queue])
    with channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
        for queue, messages in waiting.items():
            pipe.lpush(queue, *messages)
        pipe.execute()


def _message(channel: Any, name: str, queue: str, arguments: tuple[str, ...]) -> str:
    """One call as kombu's Redis transport writes it."""
    headers, embedded = _prepared(name)
    task_id = str(uuid4())
    body, encoding = channel.encode_body(dumps((arguments, {}, embedded)), channel.body_encoding)
    return dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {**headers, "id": task_id, "root_id": task_id},
            "properties": {
                **_PERSISTENT,
                "body_encoding": encoding,
                "correlation_id": task_id,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_tag": task_id,
                "priority": 0,
            },
        }
    )


@cache
def _prepared(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What all messages of a task have in common: their headers, and what their body ends with."""
    message = app.amqp.as_task_v2("", name, ignore_result=True)
    headers: dict[str, Any] = {**message.headers, "argsrepr": "", "kwargsrepr": ""}
    return headers, message.body[2]
