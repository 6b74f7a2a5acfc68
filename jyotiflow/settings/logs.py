"""Logs: one JSON line each, ids only."""

from typing import Any

import structlog

from jyotiflow.logs import without_values
from jyotiflow.settings.environment import env

_shared_processors: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                without_values,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # These print addresses, bodies or tokens at their chattier levels.
        **{
            name: {"level": "WARNING"}
            for name in ("twilio", "urllib3", "google", "firebase_admin", "httpx", "kombu", "amqp")
        },
        "celery.worker.strategy": {"level": "WARNING"},  # a line per received task: +16 % CPU a task
        "celery.app.trace": {"level": "CRITICAL"},  # prints exceptions, values and all; see jyotiflow.logs
        "django.request": {"level": "CRITICAL"},  # prints paths; every request has a line of its own anyway
        "django_celery_beat": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_processors,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
