"""Idempotency keys: the first answer of a request is kept for 24 hours and given again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils.timezone import now

from followups.models import IdempotentAnswer
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, InvalidInput

KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 200


@dataclass(frozen=True)
class Answer:
    """An HTTP status with its JSON body."""

    status: int
    body: dict[str, object]


def answer_once(*, user: User, key: str, request: object, act: Callable[[], Answer]) -> Answer:
    """Run ``act`` in a transaction and keep its answer under the key, or give the kept answer again.

    Parallel repeats wait for the first and get its answer. A request that is refused leaves the key unused:
    nothing happened. Raises ``Conflict`` when the key came with another request within 24 hours.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise InvalidInput.field("Idempotency-Key", f"Use 1 to {LONGEST_KEY} printable characters.")
    fingerprint = hashlib.sha256(
        json.dumps(request, cls=DjangoJSONEncoder, sort_keys=True).encode()
    ).hexdigest()
    IdempotentAnswer.objects.filter(user=user, key=key, created_at__lt=now() - KEPT_FOR).delete()
    with transaction.atomic():
        # The unique row is the lock: a parallel repeat waits here until this transaction ends.
        first, is_new = IdempotentAnswer.objects.get_or_create(
            user=user, key=key, defaults={"request_hash": fingerprint}
        )
        if is_new:
            answer = act()
            first.status = answer.status
            first.body = json.dumps(answer.body, cls=DjangoJSONEncoder)
            first.save(update_fields=["status", "body"])
        elif first.request_hash != fingerprint:
            raise Conflict(
                "This Idempotency-Key was used for another request.", code="idempotency_key_reused"
            )
        assert first.status is not None
        assert first.body is not None
        return Answer(first.status, json.loads(first.body))


def forget_old_answers() -> int:
    """Delete answers past their 24 hours; returns how many."""
    return IdempotentAnswer.objects.filter(created_at__lt=now() - KEPT_FOR).delete()[0]
