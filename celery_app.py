"""The Celery app: configured from Django settings, tasks found in the installed apps."""

import os
import sys

from celery import Celery
from celery.signals import beat_init, worker_init
from django.core.management import call_command
from django.core.management.base import SystemCheckError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jyotiflow.settings")

app = Celery("jyotiflow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_to_start_misconfigured(**_: object) -> None:
    """Stop before the first task when a system check finds an error; it names the variable to set."""
    try:
        call_command("check")
    except SystemCheckError as found:
        sys.exit(str(found))
