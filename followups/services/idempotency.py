"""Idempotency keys: the first answer of a request is kept for 24 hours and given again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils.timezone import now

from followups.models import IdempotentAnswer
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, InvalidInput

KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 200

# The unique row is the lock: a parallel repeat waits here until the first one's transaction ends. No row
# comes back for a key that is in use.
_TAKE_KEY: Final = """
    INSERT INTO follow_up_idempotent_answers AS kept (user_id, key, request_hash, created_at)
    VALUES (%(user)s, %(key)s, %(hash)s, %(now)s)
        ON CONFLICT (user_id, key) DO UPDATE
           SET request_hash = excluded.request_hash, created_at = excluded.created_at,
               status = NULL, body = NULL
         WHERE kept.created_at < %(forgotten)s
 RETURNING id
"""


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
    with transaction.atomic():
        if taken := _take_key(user, key, fingerprint):
            answer = act()
            body = json.dumps(answer.body, cls=DjangoJSONEncoder)
            IdempotentAnswer.objects.filter(pk=taken).update(status=answer.status, body=body)
            return Answer(answer.status, json.loads(body))
        first = IdempotentAnswer.objects.get(user=user, key=key)
        if first.request_hash != fingerprint:
            raise Conflict(
                "This Idempotency-Key was used for another request.", code="idempotency_key_reused"
            )
        assert first.status is not None
        assert first.body is not None
        return Answer(first.status, json.loads(first.body))


def _take_key(user: User, key: str, fingerprint: str) -> int | None:
    """The id of the row that is now this request's; ``None`` when the key was used within its 24 hours."""
    moment = now()
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE_KEY,
            {
                "user": user.pk,
                "key": key,
                "hash": fingerprint,
                "now": moment,
                "forgotten": moment - KEPT_FOR,
            },
        )
        row = cursor.fetchone()
    return row[0] if row else None


def forget_old_answers() -> int:
    """Delete answers past their 24 hours; returns how many."""
    return IdempotentAnswer.objects.filter(created_at__lt=now() - KEPT_FOR).delete()[0]
