"""Writes to the ledger. Every movement takes an idempotency key: a repeat moves nothing."""

import uuid
from typing import Final

from django.db import connection, transaction
from django.utils.timezone import now

from credits.exceptions import InsufficientCredits
from credits.models import CreditAccount, CreditEntry
from jyotiflow.accounts.erasure import is_named_in
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import Conflict, InvalidInput, NotFound
from jyotiflow.postgresql.locking import lock_row

BY_HAND = (CreditEntry.Kind.GRANT, CreditEntry.Kind.ADJUSTMENT)
_ACTIONS = {
    CreditEntry.Kind.GRANT: Action.GRANTED,
    CreditEntry.Kind.ADJUSTMENT: Action.ADJUSTED,
    CreditEntry.Kind.REFUND: Action.REFUNDED,
}
MAX_AMOUNT = 1_000_000  # credits in one movement: a typing error must not fill the column

# The balance and the entry that proves it, in one round trip. It looks for the key in what is committed when
# it begins, so the account must be locked by then.
_RECORD: Final = """
    WITH moved AS (
        UPDATE credit_accounts SET balance = balance + %(amount)s
         WHERE id = %(account)s AND balance + %(amount)s >= 0
           AND NOT EXISTS (SELECT FROM credit_entries WHERE idempotency_key = %(key)s)
     RETURNING id
    )
    INSERT INTO credit_entries
           (id, account_id, kind, amount, idempotency_key, refunded_entry_id, reason, actor_id, created_at)
    SELECT %(id)s, id, %(kind)s, %(amount)s, %(key)s, %(refunded)s, %(reason)s, %(actor)s, %(at)s FROM moved
"""


def lock_account(*, user: User) -> CreditAccount:
    """Lock the user's account until the transaction ends, opening it if there is none."""
    account = lock_row(CreditAccount, "user_id", user.pk)
    if account is None:
        # By id: `user=user` would leave the unsaved account on the user as its `credit_account`.
        CreditAccount.objects.bulk_create([CreditAccount(user_id=user.pk)], ignore_conflicts=True)
        account = lock_row(CreditAccount, "user_id", user.pk)
    assert account is not None, "nobody removes an account"
    return account


def grant(*, user: User, amount: int, reason: str, key: str, actor: User | None = None) -> CreditEntry:
    """Give credits. Raises ``InvalidInput`` for an amount below 1 or no reason."""
    if not 1 <= amount <= MAX_AMOUNT:
        raise InvalidInput.field("amount", f"Grant between 1 and {MAX_AMOUNT} credits.")
    return _move(user=user, kind=CreditEntry.Kind.GRANT, amount=amount, reason=reason, key=key, actor=actor)


def adjust(*, user: User, amount: int, reason: str, key: str, actor: User | None = None) -> CreditEntry:
    """Correct a balance by a signed amount. Raises ``InvalidInput`` or ``InsufficientCredits``."""
    if amount == 0 or abs(amount) > MAX_AMOUNT:
        raise InvalidInput.field("amount", f"Adjust by between 1 and {MAX_AMOUNT} credits, up or down.")
    return _move(
        user=user, kind=CreditEntry.Kind.ADJUSTMENT, amount=amount, reason=reason, key=key, actor=actor
    )


def charge(
    *, user: User, amount: int, key: str, reason: str = "", account: CreditAccount | None = None
) -> CreditEntry:
    """Take ``amount`` credits (0 or more; 0 still writes its entry).

    ``account`` is the user's, from whoever has locked it already. Raises ``InsufficientCredits`` and takes
    nothing when the balance is smaller.
    """
    if not 0 <= amount <= MAX_AMOUNT:
        raise InvalidInput.field("amount", "A price is 0 credits or more.")
    if account is not None:
        return _record(account, CreditEntry.Kind.CHARGE, -amount, reason=reason.strip(), key=key)
    return _move(user=user, kind=CreditEntry.Kind.CHARGE, amount=-amount, reason=reason, key=key)


def refund(*, charge_key: str, key: str, reason: str = "", actor: User | None = None) -> CreditEntry:
    """Give back one charge, whole and once; ``actor`` is who does it by hand, and has to say why.

    Raises ``NotFound`` when nothing was charged under that key.
    """
    charged = CreditEntry.objects.select_related("account__user").filter(idempotency_key=charge_key).first()
    if charged is None or charged.kind != CreditEntry.Kind.CHARGE:
        raise NotFound("There is no such charge.")
    return _move(
        user=charged.account.user,
        kind=CreditEntry.Kind.REFUND,
        amount=-charged.amount,
        reason=reason,
        key=key,
        actor=actor,
        refunded_entry=charged,
    )


@transaction.atomic
def _move(
    *,
    user: User,
    kind: CreditEntry.Kind,
    amount: int,
    reason: str,
    key: str,
    actor: User | None = None,
    refunded_entry: CreditEntry | None = None,
) -> CreditEntry:
    reason = reason.strip()
    is_by_hand = kind in BY_HAND or actor is not None
    if is_by_hand and not reason:
        raise InvalidInput.field("reason", "Say why.")
    if is_by_hand and is_named_in(user, reason):
        raise InvalidInput.field("reason", "Don't name the person: the ledger is kept for good.")
    return _record(
        lock_account(user=user),
        kind,
        amount,
        reason=reason,
        key=key,
        actor=actor,
        refunded_entry=refunded_entry,
    )


def _record(
    account: CreditAccount,
    kind: CreditEntry.Kind,
    amount: int,
    *,
    reason: str,
    key: str,
    actor: User | None = None,
    refunded_entry: CreditEntry | None = None,
) -> CreditEntry:
    """Move and write down; the account is locked, so that looks for its key and its balance are no race."""
    entry = CreditEntry(
        id=uuid.uuid4(),
        account=account,
        kind=kind,
        amount=amount,
        idempotency_key=key,
        refunded_entry=refunded_entry,
        reason=reason,
        actor=actor,
        created_at=now(),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "id": entry.pk,
                "account": account.pk,
                "kind": kind.value,
                "amount": amount,
                "key": key,
                "refunded": refunded_entry.pk if refunded_entry else None,
                "reason": reason,
                "actor": actor.pk if actor else None,
                "at": entry.created_at,
            },
        )
        is_new = bool(cursor.rowcount)
    if is_new:
        entry._state.adding = False
        if actor is not None:  # by hand
            record_change(
                action=_ACTIONS[kind],
                of=entry,
                label=f"user {account.user_id}",
                actor=actor,
                before={"balance": account.balance},
                after={"balance": account.balance + amount, "credits": amount, "reason": reason},
            )
        return entry
    known = CreditEntry.objects.filter(idempotency_key=key).first()
    if known is None:
        raise InsufficientCredits()
    if (known.account_id, known.kind, known.amount) != (account.pk, kind, amount):
        raise Conflict("This key was used for another movement of credits.", code="key_reused")
    return known
