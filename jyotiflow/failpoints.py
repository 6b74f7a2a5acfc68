"""Named places around commits and outside calls where a test may break this process; else they do nothing.

``FAILPOINTS=after_gate=kill`` arms one; several are parted by commas. Each goes off once in the whole run,
whichever process reaches it first: a file named like it in ``FAILPOINTS_DIR`` records that. A system check
refuses to start with ``FAILPOINTS`` outside tests.
"""

import os
import signal
import socket
import time
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection

# Every place there is, in the order a message meets them; `tests/faults` walks through all of them.
NAMES: Final = (
    "in_booking",  # stored and charged, before the commit
    "after_claim",  # claimed and committed, before any task is published
    "after_publish",  # the broker has the task
    "after_begin",  # the worker has counted a try, before the gate
    "in_gate",  # the attempt is written, before the commit
    "after_gate",  # the point of no return is committed, before the call
    "after_call",  # the provider has answered, before the outcome is written
    "in_settle",  # the outcome is written, before the commit
    "after_settle",  # all is done
    "in_rescue",  # an expired lease is taken back, before the commit
    "before_look",  # the reconciler is about to ask a provider
    "after_look",  # the provider has told, before it is written down
    "in_resolve",  # it is written down, before the commit
    "after_receipt_stored",  # a report is stored, before it is applied
    "in_apply_receipt",  # a report is applied, before the commit
    "in_cancel",  # a follow-up is withdrawn and refunded, before the commit
)
ACTIONS: Final = ("kill", "raise", "cut", "stop", "sleep")
SLEEP_SECONDS: Final = 2.0


class FailpointHit(Exception):
    """The failure that a test ordered."""


def failpoint(name: str) -> None:
    """Do what ``FAILPOINTS`` orders for this place, once; without an order nothing."""
    action = settings.FAILPOINTS.get(name)
    if action is None or not settings.TESTING or not _is_first(name):
        return
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "cut":
            _cut_database()
        case "sleep":
            time.sleep(SLEEP_SECONDS)
        case _:
            raise FailpointHit(name)


def _is_first(name: str) -> bool:
    try:
        os.close(os.open(Path(settings.FAILPOINTS_DIR) / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def _cut_database() -> None:
    """Break this thread's connection under the client's feet, as a failing network does."""
    connection.ensure_connection()
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
