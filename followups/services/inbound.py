"""What readers write to us: kept once by its id, as the word in it; STOP and START act at once."""

from dataclasses import dataclass

import structlog
from django.db import transaction

from followups.addresses import hash_address
from followups.choices import ConsentDoor, ReplyKind, SuppressionReason
from followups.keywords import Reply
from followups.models import InboundMessage
from followups.services.consent import last_door, lift, opt_in, opt_out, suppress
from jyotiflow.accounts.models import User

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Heard:
    """What came of a message: ``is_new`` once, and the language of its sender, if we know them."""

    is_new: bool
    language: str | None = None


@transaction.atomic
def hear(*, message_id: str, channel: str, phone: str, reply: Reply) -> Heard:
    """Take one message from a phone number (E.164). A repeat of its id does nothing."""
    address_hash = hash_address(phone)
    _, is_new = InboundMessage.objects.get_or_create(
        message_id=message_id,
        defaults={
            "channel": channel,
            "address_hash": address_hash,
            "kind": reply.kind,
            "word": reply.word[:30],
        },
    )
    if not is_new:
        return Heard(is_new=False)
    users = list(User.objects.filter(phone=phone).order_by("pk"))  # one order, so that locks can't cross
    if reply.kind == ReplyKind.STOP:
        _stop(users, channel, address_hash, reply.word)
    elif reply.kind == ReplyKind.START:
        _start(users, channel, address_hash, reply.word)
    log.info("reply_heard", channel=channel, kind=reply.kind, senders=len(users))
    return Heard(is_new=True, language=users[0].preferred_language if users else None)


def _stop(users: list[User], channel: str, address_hash: str, word: str) -> None:
    """Everybody with this number opts out, and the number is stopped for whoever has it later."""
    for user in users:
        opt_out(user=user, channel=channel, door=ConsentDoor.REPLY, wording=word)
    suppress(
        channel=channel, address_hash=address_hash, reason=SuppressionReason.STOP_WORD, source=f"reply {word}"
    )


def _start(users: list[User], channel: str, address_hash: str, word: str) -> None:
    """Take back what STOP did and nothing else: not a bounce, not what somebody switched off otherwise."""
    for user in users:
        if last_door(user=user, channel=channel) == ConsentDoor.REPLY:
            opt_in(user=user, channel=channel, door=ConsentDoor.REPLY, wording=word)
    lift(channel=channel, address_hash=address_hash, door=ConsentDoor.REPLY, wording=word)
