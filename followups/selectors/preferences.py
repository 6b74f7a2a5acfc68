"""A person's wishes as they see them: one answer for the API and the pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time

from followups.conf import channel_choices
from followups.selectors.recipients import preference_of
from jyotiflow.accounts.models import User


@dataclass(frozen=True)
class Preferences:
    """How somebody wants to be written to.

    ``channels`` has every configured channel, on or off. ``quiet_hours`` are one's own, from and until in the
    user's zone; ``None``: the default ones. ``paused_until`` is aware, and may have passed.
    """

    preferred_language: str
    timezone: str
    phone: str
    channels: Mapping[str, bool]
    quiet_hours: tuple[time, time] | None
    paused_until: datetime | None


def preferences_of(user: User) -> Preferences:
    """The user's wishes, read fresh."""
    person = User.objects.get(pk=user.pk)
    preference = preference_of(person)
    return Preferences(
        preferred_language=person.preferred_language,
        timezone=person.timezone,
        phone=person.phone,
        channels={name: name not in preference.channels_off for name, _ in channel_choices()},
        quiet_hours=preference.quiet_hours,
        paused_until=preference.paused_until,
    )
