"""The sandbox plays a provider: what it accepted is reported delivered, then read, as real ones report."""

from datetime import timedelta

from django.utils.timezone import now

from followups.choices import ReceiptKind
from followups.models import SandboxMessage
from followups.services.receipts import Receipt, record_receipt

SCRIPT = (ReceiptKind.DELIVERED, ReceiptKind.READ)  # one a second, in this order


def play_receipts(*, batch: int = 200) -> int:
    """Report the next step of each message in the outbox; returns how many reports were made."""
    played = 0
    for step, kind in reversed(list(enumerate(SCRIPT))):
        ready = SandboxMessage.objects.filter(
            receipts_played=step, created_at__lte=now() - timedelta(seconds=step + 1)
        )
        for message in list(ready.order_by("created_at")[:batch]):
            record_receipt(
                Receipt(
                    provider="sandbox",
                    event_key=f"{message.pk}:{kind}",
                    kind=kind,
                    attempt_reference=str(message.attempt_id),
                    provider_message_id=str(message.pk),
                )
            )
            SandboxMessage.objects.filter(pk=message.pk, receipts_played=step).update(
                receipts_played=step + 1
            )
            played += 1
    return played
