"""The Celery app: configured from Django settings, tasks found in the installed apps."""

import os
import sys

from celery import Celery
from celery.signals import import_modules
from django.core.management import call_command
from django.core.management.base import SystemCheckError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jyotiflow.settings")

app = Celery("jyotiflow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@import_modules.connect
def refuse_to_start_misconfigured(**_: object) -> None:
    """Stop worker and beat when a system check finds an error; it names the variable to set.

    This is their first step; beat's own signal comes after its scheduler has written to the database.
    """
    try:
        call_command("check")
    except SystemCheckError as found:
        sys.exit(str(found))
