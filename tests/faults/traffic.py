"""What people do during a storm, over HTTP: book, cancel, and staff trying failed ones again."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import requests
from django.db import connection
from django.utils.timezone import now

from jyotiflow.accounts.tokens import issue_pair
from tests.faults.database import patiently, rows
from tests.faults.fleet import Fleet
from tests.faults.people import Order, World

PATIENCE_SECONDS = 120.0
SOON = timedelta(seconds=2)


class Traffic(threading.Thread):
    """Makes ``orders`` one after the other, and now and then a cancel or a retry, until all are made."""

    def __init__(self, fleet: Fleet, world: World, orders: Sequence[Order], *, seconds: float, seed: int):
        super().__init__(daemon=True)
        self.told: dict[str, str] = {}
        self.answers: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._fleet = fleet
        self._world = world
        self._orders = orders
        self._pause = seconds / max(1, len(orders))
        self._random = random.Random(f"{seed}:traffic")
        self._admin = patiently(lambda: issue_pair(world.admin).access_token)

    def run(self) -> None:
        began = time.monotonic()
        try:
            for number, order in enumerate(self._orders):
                time.sleep(max(0.0, began + number * self._pause - time.monotonic()))
                self._book(order)
                if number % 10 == 0:
                    self._cancel()
                if number % 25 == 0:
                    self._retry()
        except BaseException as error:  # the scenario reports it
            self.failure = error
        finally:
            connection.close()

    def _book(self, order: Order) -> None:
        """Ask until there is an answer, always under the same key; later, should it be too late meanwhile."""
        answer = None
        while answer is None or answer.status_code == 400:
            answer = self._post(
                "schedule",
                issue_pair(order.user).access_token,
                json={
                    "template_id": str(order.template.pk),
                    "scheduled_at": (now() + SOON).isoformat(),
                    "custom_variables": {"mark": order.mark},
                },
                headers={"Idempotency-Key": f"key-{order.mark}"},
                until=(201, 400),
            )
            if answer.status_code == 400 and answer.json().get("code") != "past_time":
                raise RuntimeError(f"A booking was refused: {answer.text[:300]}")
        self.told[order.mark] = answer.json()["followup_id"]

    def _cancel(self) -> None:
        """One of those that wait for their time; it may be too late for it."""
        found = rows(
            "SELECT id, user_id FROM follow_up_schedules WHERE status = 'pending' AND due_at > now()"
            " ORDER BY md5(id::text || %s) LIMIT 1",
            str(self._random.random()),
        )
        for follow_up, user_id in found:
            owner = next(user for user in self._world.users if user.pk == user_id)
            self._post(f"cancel/{follow_up}", issue_pair(owner).access_token, until=(200, 409))

    def _retry(self) -> None:
        found = rows(
            "SELECT id FROM follow_up_schedules WHERE status = 'failed' AND sent_at IS NULL"
            " ORDER BY md5(id::text || %s) LIMIT 1",
            str(self._random.random()),
        )
        for (follow_up,) in found:
            self._post(f"admin/schedules/{follow_up}/retry", self._admin, until=(200, 201, 409))

    def _post(
        self,
        path: str,
        token: str,
        *,
        until: tuple[int, ...],
        json: object = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        """Repeat while the web process is away. Raises ``RuntimeError`` for an answer nobody expects."""
        url = f"{self._fleet.url}/api/followup/{path}"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = requests.post(
                    url,
                    json=json,  # type: ignore[arg-type]  # plain values
                    headers={"Authorization": f"Bearer {token}", **(headers or {})},
                    timeout=15,
                )
            except requests.RequestException:
                self.answers["no answer"] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                if answer.status_code in until:
                    return answer
                if answer.status_code < 500 and answer.status_code != 429:
                    raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text[:300]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"POST {path} got no answer.")
            time.sleep(0.3)
