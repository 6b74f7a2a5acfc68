"""Writes about what people want: opt-outs, suppressed addresses, devices. A decision leaves its event."""

from collections.abc import Iterable
from typing import Final

from django.db import transaction

from followups.addresses import hash_address
from followups.channels import get_channel
from followups.choices import GRAVITY, LIFTED_BY, ConsentDoor, ConsentKind, SuppressionReason
from followups.models import ConsentEvent, Device, Erasure, RecipientPreference, Suppression
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import NotSignedIn

# By which door a reason comes, unless said otherwise. The reasons left out are facts, nobody's decision.
DOOR_BY_REASON: Final = {
    SuppressionReason.UNSUBSCRIBED: ConsentDoor.LINK,
    SuppressionReason.STOP_WORD: ConsentDoor.REPLY,
    SuppressionReason.OPT_OUT: ConsentDoor.PROVIDER,
    SuppressionReason.BLOCKED: ConsentDoor.PROVIDER,
    SuppressionReason.COMPLAINT: ConsentDoor.PROVIDER,
    SuppressionReason.BY_STAFF: ConsentDoor.STAFF,
}


@transaction.atomic
def opt_out(
    *, user: User, channel: str, door: ConsentDoor = ConsentDoor.PREFERENCES, wording: str = ""
) -> bool:
    """Switch a channel off for a user; ``False`` when it was off already.

    What is scheduled on it is refunded when its time comes. Of an erased person nothing is remembered any
    more, and nothing is sent either.
    """
    preference = _locked_preference(user)
    if preference is None or channel in preference.channels_off:
        return False
    preference.channels_off = [*preference.channels_off, channel]
    preference.save(update_fields=["channels_off", "updated_at"])
    _record(ConsentKind.OPT_OUT, channel, door, user=user, wording=wording)
    return True


@transaction.atomic
def opt_in(*, user: User, channel: str, door: ConsentDoor, wording: str = "") -> bool:
    """Switch a channel on again for a user who wants it; ``False`` when it was on."""
    preference = _locked_preference(user)
    if preference is None or channel not in preference.channels_off:
        return False
    preference.channels_off = [name for name in preference.channels_off if name != channel]
    preference.save(update_fields=["channels_off", "updated_at"])
    _record(ConsentKind.OPT_IN, channel, door, user=user, wording=wording)
    return True


@transaction.atomic
def choose_channels(
    *,
    user: User,
    channels_off: Iterable[str],
    door: ConsentDoor,
    wording: str = "",
    actor: User | None = None,
) -> None:
    """Set which channels are off, with an event for each that changes.

    Signed in, a user so lifts what they had stopped by link too; a bounce or a complaint stays. ``actor`` is
    the member of staff who does it for them, and is written down.
    """
    preference = _locked_preference(user)
    wanted, current = list(dict.fromkeys(channels_off)), preference.channels_off if preference else []
    for channel in (name for name in wanted if name not in current):
        opt_out(user=user, channel=channel, door=door, wording=wording)
    for channel in (name for name in current if name not in wanted):
        opt_in(user=user, channel=channel, door=door, wording=wording)
        for address_hash in current_hashes(user, channel):
            lift(channel=channel, address_hash=address_hash, door=door, wording=wording)
    if actor is not None and preference is not None:
        record_change(
            action=Action.CHANGED,
            of=preference,
            label=f"user {user.pk}",
            actor=actor,
            before={"channels_off": current},
            after={"channels_off": wanted},
        )


@transaction.atomic
def suppress(
    *,
    channel: str,
    address_hash: str,
    reason: SuppressionReason,
    source: str,
    door: ConsentDoor | None = None,
    wording: str | None = None,
    actor: User | None = None,
) -> bool:
    """Stop writing to an address on a channel, whoever's it is; ``False`` when that changes nothing.

    The first reason stands, unless a later one is graver: see ``GRAVITY``. The event says ``wording``, else
    the ``source``; a note by hand may name a person and must not end up in what is never deleted.
    ``actor`` is the member of staff who does it, and is written down.
    """
    reason = SuppressionReason(reason)
    why = {"reason": reason, "source": source[:100]}
    row, is_new = Suppression.objects.get_or_create(channel=channel, address_hash=address_hash, defaults=why)
    lighter = [each for each, gravity in GRAVITY.items() if gravity < GRAVITY[reason]]
    if not (is_new or Suppression.objects.filter(pk=row.pk, reason__in=lighter).update(**why)):
        return False
    door = door or DOOR_BY_REASON.get(reason)
    if door is not None:
        _record(
            ConsentKind.OPT_OUT,
            channel,
            door,
            address_hash=address_hash,
            wording=source if wording is None else wording,
        )
    if actor is not None:
        record_change(action=Action.STOPPED, of=row, label=channel, actor=actor, after={"reason": reason})
    return True


@transaction.atomic
def lift(
    *, channel: str, address_hash: str, door: ConsentDoor, wording: str = "", actor: User | None = None
) -> bool:
    """Write to an address again, if it was stopped for what this door may take back (``LIFTED_BY``)."""
    stopped = Suppression.objects.filter(
        channel=channel, address_hash=address_hash, reason__in=LIFTED_BY.get(door, ())
    )
    row = stopped.select_for_update().first()
    if row is None:
        return False
    if actor is not None:
        before = {"reason": row.reason}
        record_change(action=Action.LIFTED, of=row, label=channel, actor=actor, before=before)
    row.delete()
    _record(ConsentKind.OPT_IN, channel, door, address_hash=address_hash, wording=wording)
    return True


def last_door(*, user: User, channel: str) -> ConsentDoor | None:
    """By which door the user's channel was switched off; ``None`` when it's on, or nobody wrote it down."""
    latest = ConsentEvent.objects.filter(user=user, channel=channel).first()
    return ConsentDoor(latest.door) if latest and latest.kind == ConsentKind.OPT_OUT else None


def current_hashes(user: User, channel: str) -> list[str]:
    """The user's addresses on a channel as they stand, hashed."""
    return [hash_address(address) for address in get_channel(channel).addresses(user)]


@transaction.atomic
def register_device(*, user: User, token: str, platform: str) -> Device:
    """Register a push token; one that was another user's (a shared phone) becomes this user's.

    Raises ``NotSignedIn`` for an account that was closed while the request was on its way.
    """
    if User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first() is None:
        raise NotSignedIn
    device, _ = Device.objects.update_or_create(token=token, defaults={"user": user, "platform": platform})
    return device


def forget_device(*, user: User, token: str) -> bool:
    """Forget a push token of the user; ``False`` when it wasn't theirs."""
    return bool(Device.objects.filter(user=user, token=token).delete()[0])


def lock_preference(user: User) -> RecipientPreference:
    """Lock the user's wishes until the transaction ends, making a row of none if there is none."""
    RecipientPreference.objects.get_or_create(user=user)
    return RecipientPreference.objects.select_for_update().get(user=user)


def _locked_preference(user: User) -> RecipientPreference | None:
    return None if Erasure.objects.filter(user=user).exists() else lock_preference(user)


def _record(
    kind: ConsentKind,
    channel: str,
    door: ConsentDoor,
    *,
    user: User | None = None,
    address_hash: str = "",
    wording: str = "",
) -> None:
    ConsentEvent.objects.create(
        kind=kind, channel=channel, door=door, user=user, address_hash=address_hash, wording=wording[:100]
    )
