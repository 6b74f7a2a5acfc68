"""Celery: tasks are hints; a lost or doubled one is harmless."""

from typing import Any

from jyotiflow.settings.data import REDIS_URL
from jyotiflow.settings.environment import env
from jyotiflow.settings.followups import FOLLOWUP_LOOK_INTERVAL_SECONDS

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)  # where the hints go
if env.bool("HINT_TRANSPORT", default=True):
    CELERY_BROKER_TRANSPORT = "jyotiflow.hints:Transport"  # else the stock one of the URL's scheme
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,  # more than a fetch waits for messages (1 s); a broker gone silent is left
    "socket_keepalive": True,
    "health_check_interval": 10,
    "global_keyprefix": env.str("CELERY_KEY_PREFIX", default="jyotiflow:"),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any outage of the broker
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND_THREAD_SAFE = True  # there is none; else each thread would make one of its own
CELERY_TASK_ACKS_LATE = False  # redelivery is the database's job: leases, not acknowledgements
HINT_BATCH = env.int("HINT_BATCH", default=500)
CELERY_TASK_PUBLISH_RETRY = False  # what can't be published goes back to the queue's table at once
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
DJANGO_CELERY_BEAT_TZ_AWARE = True


def _every(seconds: float, task: str) -> dict[str, Any]:
    # An expired tick is dropped by the worker, so ticks don't pile up while no worker runs.
    return {"task": task, "schedule": seconds, "options": {"expires": 900, "queue": "default"}}


# The cadence is the code's; the admin keeps the on/off switch of each entry.
CELERY_BEAT_SCHEDULE = {
    "dispatch due follow-ups": _every(1, "followups.tasks.dispatch_due"),
    "rescue expired leases": _every(15, "followups.tasks.rescue_expired"),
    # Twice an interval: a look is at most half of one late.
    "resolve follow-ups in doubt": _every(
        max(1, FOLLOWUP_LOOK_INTERVAL_SECONDS / 2), "followups.tasks.reconcile"
    ),
    "ask about silent messages": _every(60, "followups.tasks.poll_silent"),
    "apply waiting receipts": _every(30, "followups.tasks.apply_waiting_receipts"),
    "play sandbox receipts": _every(1, "followups.tasks.play_sandbox_receipts"),
    "plan missed sessions": _every(60, "followups.tasks.plan_missed_sessions"),
    "cancel overdue follow-ups": _every(300, "followups.tasks.cancel_overdue"),
    "archive finished follow-ups": _every(300, "followups.tasks.archive_finished"),
    "go on with bulk changes": _every(1, "followups.tasks.go_on_with_bulk_changes"),
    "finish erasures": _every(60, "followups.tasks.finish_erasures"),
    "roll up analytics": _every(10, "followups.tasks.roll_up_analytics"),
    "pulse": _every(5, "followups.tasks.pulse"),
}
