"""What Twilio's message statuses mean, in callbacks and when it's asked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from followups.channels.base import Report
from followups.channels.twilio_errors import delivery_fault
from followups.choices import ReceiptKind

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
KIND_BY_STATUS: Final[Mapping[str, ReceiptKind]] = {
    "accepted": ReceiptKind.ACCEPTED,
    "scheduled": ReceiptKind.ACCEPTED,
    "queued": ReceiptKind.ACCEPTED,
    "sending": ReceiptKind.ACCEPTED,
    "sent": ReceiptKind.ACCEPTED,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.READ,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,
}


def report_of(sid: str, status: str, code: str, occurred_at: datetime | None = None) -> Report:
    """One status of a message in our words; ``code`` is the ``ErrorCode`` of one that did not arrive."""
    kind = KIND_BY_STATUS.get(status, ReceiptKind.OTHER)
    fault = delivery_fault(code, status) if kind == ReceiptKind.FAILED else None
    return Report(
        event_key=f"{sid}:{status}",
        kind=kind,
        code=code,
        reason=fault.sentence if fault else "",
        suppress=fault.suppress if fault else None,
        occurred_at=occurred_at,
    )
