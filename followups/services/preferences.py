"""Changing one's wishes. They hold for what is booked, too: the gate looks at them at the message's time."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final

import structlog
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from followups.choices import ConsentDoor, State
from followups.conf import channel_choices
from followups.models import Attempt, FollowUpSchedule, RecipientPreference
from followups.selectors.preferences import Preferences, preferences_of
from followups.selectors.recipients import reachability
from followups.selectors.refusals import language_for
from followups.services.consent import choose_channels, lock_preference
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import update_profile
from jyotiflow.exceptions import InvalidInput

log = structlog.get_logger(__name__)

PROFILE: Final = ("preferred_language", "timezone", "phone")
WISHES: Final = ("channels", "quiet_hours", "paused_until")
LONGEST_PAUSE: Final = timedelta(days=366)  # who wants longer switches the channels off
REACH_BACK: Final = frozenset({"preferred_language", "timezone", "quiet_hours", "paused_until"})
WAITS_BY_WISH: Final = ("paused", "quiet_hours")  # the gate's words for what waits because its reader asked


@transaction.atomic
def update_preferences(
    *,
    user: User,
    changes: Mapping[str, Any],
    wording: str,
    door: ConsentDoor = ConsentDoor.PREFERENCES,
) -> Preferences:
    """Change the wishes that are given and leave the others; returns all as they now are.

    ``changes`` are fields of ``Preferences``; of ``channels`` those named. ``wording`` is the version of the
    page, or the door, that a consent event of each channel switched on or off tells of.

    Raises ``InvalidInput`` naming each bad field, and then stores nothing.
    """
    _check(changes)
    # Locked first: follow-up, user, wishes is the order in which everybody takes them.
    waiting = _lock_waiting(user) if REACH_BACK & changes.keys() else []
    person = update_profile(user=user, changes={name: changes[name] for name in PROFILE if name in changes})
    preference = lock_preference(person)
    if {"quiet_hours", "paused_until"} & changes.keys():
        _keep_hours(preference, changes)
    if "channels" in changes:
        off = _channels_off(preference, changes["channels"])
        choose_channels(user=person, channels_off=off, door=door, wording=wording)
    if "preferred_language" in changes:
        _retell(person, waiting)
    _look_again(waiting)
    log.info("preferences_changed", user_id=person.pk, wishes=sorted(changes))
    return preferences_of(person)


def _check(changes: Mapping[str, Any]) -> None:
    errors = {name: ["There is no such wish."] for name in changes if name not in (*PROFILE, *WISHES)}
    known = dict(channel_choices())
    unknown = [name for name in changes.get("channels", ()) if name not in known]
    if unknown:
        errors["channels"] = [f"There is no channel {name[:20]}; use {', '.join(known)}." for name in unknown]
    pause: datetime | None = changes.get("paused_until")
    if pause is not None and pause > now() + LONGEST_PAUSE:
        days = LONGEST_PAUSE.days
        errors["paused_until"] = [f"Pause for {days} days at most; for longer, switch the channels off."]
    if errors:
        raise InvalidInput(next(iter(errors.values()))[0], errors=errors)


def _lock_waiting(user: User) -> list[FollowUpSchedule]:
    # No key of theirs changes: an in-app message that refers to one may be written meanwhile.
    waiting = FollowUpSchedule.objects.select_for_update(of=("self",), no_key=True).filter(
        user=user, status=State.PENDING, channel__in=django_settings.FOLLOWUP_CHANNELS
    )
    return list(waiting.select_related("template", "template_version").order_by("pk"))


def _keep_hours(preference: RecipientPreference, changes: Mapping[str, Any]) -> None:
    if "quiet_hours" in changes:
        hours: tuple[time, time] | None = changes["quiet_hours"]
        preference.quiet_start, preference.quiet_end = hours or (None, None)
    if "paused_until" in changes:
        preference.paused_until = changes["paused_until"]
    preference.save(update_fields=["quiet_start", "quiet_end", "paused_until", "updated_at"])


def _channels_off(preference: RecipientPreference, switches: Mapping[str, bool]) -> list[str]:
    stay = [name for name in preference.channels_off if name not in switches]
    return stay + [name for name, is_on in switches.items() if not is_on]


def _retell(person: User, waiting: list[FollowUpSchedule]) -> None:
    """Tell what waits in the language now wanted, where its text may go out in it.

    What a provider was given before reads as it did: under one idempotency key it must.
    """
    tried = set(Attempt.objects.filter(follow_up__in=waiting).values_list("follow_up_id", flat=True))
    reach = {name: reachability(user=person, channel=name) for name in {each.channel for each in waiting}}
    for follow_up in waiting:
        if follow_up.wanted_language == person.preferred_language or follow_up.pk in tried:
            continue
        follow_up.wanted_language = person.preferred_language
        follow_up.language, _ = language_for(
            user=person,
            channel=follow_up.channel,
            version=follow_up.template_version,
            template_type=follow_up.template.template_type,
            moment=follow_up.scheduled_at,
            reach=reach[follow_up.channel],
        )
        follow_up.save(update_fields=["language", "wanted_language", "updated_at"])


def _look_again(waiting: list[FollowUpSchedule]) -> None:
    """Let the gate decide anew, at the promised time or now, about what waits because of an earlier wish."""
    held = [follow_up.pk for follow_up in waiting if follow_up.failure_code in WAITS_BY_WISH]
    FollowUpSchedule.objects.filter(pk__in=held).update(due_at=F("scheduled_at"), updated_at=now())
