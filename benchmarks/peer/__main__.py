"""`python -m benchmarks.peer`: load mails, and send them with the peer's own command, when told to.

A line of JSON on standard input each: ``{"load": n, "mail": {…}}`` or ``{"send": processes, "lock": file}``.
A line of JSON answers when it is done.
"""

import json
import os
import sys

import django


def main() -> None:
    """Obey until there is nothing more to read."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peer.settings"
    django.setup()
    # Only now: models need Django.
    from django.core.management import call_command  # noqa: PLC0415

    from benchmarks.peer.mails import load, sent  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    _answer({})
    for line in sys.stdin:
        order = json.loads(line)
        if "load" in order:
            load(order["load"], order["mail"])
            _answer({})
        else:
            call_command("send_queued_mail", processes=order["send"], lockfile=order["lock"])
            _answer({"sent": sent()})


def _answer(value: object) -> None:
    sys.__stdout__.write(json.dumps(value) + "\n")  # type: ignore[union-attr]  # it is there
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
