"""The product's Celery app with one more task, for tests that start a worker: it notes its name in Redis."""

import time

from celery_app import app
from jyotiflow.valkey import valkey


@app.task(name="tests.note")
def note(name: str, where: str, seconds: float = 0.0) -> None:
    """Push ``name`` to the list ``where``, then stay busy for so long."""
    valkey().rpush(where, name)
    time.sleep(seconds)
