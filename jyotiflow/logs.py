"""What a log line holds: ids of its request and task; of an error its class and lines, never its text.

That may hold an address or a message.
"""

import sys
import traceback
from typing import Any

import structlog
from celery.signals import before_task_publish, task_failure, task_prerun
from django_structlog.celery.receivers import CeleryReceiver

log = structlog.get_logger(__name__)

_hand_on = CeleryReceiver().receiver_before_task_publish  # a request's ids go with the tasks it publishes
before_task_publish.connect(_hand_on)


@task_prerun.connect
def name_the_task(task_id: str, task: Any, **_: Any) -> None:
    """A task's lines have its id and those of the request that published it.

    By hand: django-structlog's own receivers also write lines of start and end, 4 % of a message's sending.
    """
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(
        task_id=task_id, **getattr(task.request, "__django_structlog__", {})
    )


def without_values(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Structlog processor: turns ``exc_info`` into ``error`` (its class) and ``traceback`` (its lines).

    Django's own lines on refused requests are made of paths and exceptions' texts: they get a new event.
    """
    if str(event.get("logger", "")).startswith("django.security"):
        event["event"] = "request_refused"
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["traceback"] = "".join(traceback.format_tb(error.__traceback__))
    return event


@task_failure.connect
def log_failed_task(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    """Celery's own line would print the exception's text."""
    log.error("task_failed", task=sender.name, task_id=task_id, exc_info=exception)
