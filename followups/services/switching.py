"""Pausing a channel and letting it go on: what is bought waits meanwhile, nothing is refunded."""

import structlog
from django.conf import settings
from django.db import transaction

from followups.models import ChannelSwitch
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import fields_of, record_change
from jyotiflow.exceptions import NotFound

log = structlog.get_logger(__name__)


def ensure_switches() -> int:
    """A switch for each configured channel that has none; returns how many were made."""
    known = set(ChannelSwitch.objects.values_list("channel", flat=True))
    missing = [ChannelSwitch(channel=name) for name in settings.FOLLOWUP_CHANNELS if name not in known]
    return len(ChannelSwitch.objects.bulk_create(missing, ignore_conflicts=True))


_AUDITED = ("is_paused", "reason")


@transaction.atomic
def switch_channel(*, channel: str, is_paused: bool, actor: User | None, reason: str = "") -> ChannelSwitch:
    """Pause a channel or let it go on; acts on every message that hasn't passed the gate.

    Raises ``NotFound`` for a channel that isn't configured.
    """
    if channel not in settings.FOLLOWUP_CHANNELS:
        raise NotFound(f"There is no channel {channel!r}; there are {', '.join(settings.FOLLOWUP_CHANNELS)}.")
    known = ChannelSwitch.objects.select_for_update().filter(channel=channel).first()
    switch, _ = ChannelSwitch.objects.update_or_create(
        channel=channel, defaults={"is_paused": is_paused, "reason": reason[:200], "changed_by": actor}
    )
    record_change(
        action=Action.PAUSED if is_paused else Action.RESUMED,
        of=switch,
        label=channel,
        actor=actor,
        before=fields_of(known, _AUDITED) if known else None,
        after=fields_of(switch, _AUDITED),
    )
    log.warning("channel_paused" if is_paused else "channel_resumed", channel=channel)
    return switch
