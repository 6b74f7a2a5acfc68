"""Would this be refused? Every reason, before any money moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings as django_settings
from django.utils.timezone import now

from credits.exceptions import InsufficientCredits
from followups.channels import get_channel
from followups.channels.base import Intent
from followups.choices import LIVE_STATES, Origin
from followups.exceptions import LimitReached, Unreachable
from followups.models import FollowUpSchedule, FollowUpTemplate, TemplateText
from followups.selectors.recipients import Reachability, Standing, reachability, standing_of
from followups.selectors.settings import EffectiveSettings
from followups.timing import ClosedHours, conflicts
from jyotiflow.accounts.models import Language, User
from jyotiflow.exceptions import DomainError, InvalidInput
from jyotiflow.postgresql.prepared import prepared_cursor
from sessions_app.models import Session

_LIVE: Final = ", ".join(f"'{state}'" for state in LIVE_STATES)
_LIVE_TIMES: Final = f"""
    SELECT scheduled_at FROM follow_up_schedules
     WHERE user_id = %s AND scheduled_at BETWEEN %s AND %s AND status IN ({_LIVE})
       AND id IS DISTINCT FROM %s::uuid
"""  # noqa: S608  the states are ours
CLOCK_DIFFERENCE = timedelta(seconds=5)  # a client's "now" is a little past when it gets here


@dataclass(frozen=True)
class Order:
    """A follow-up somebody wants, with all that decides whether it may be sold."""

    user: User
    template: FollowUpTemplate
    scheduled_at: datetime
    origin: Origin
    session: Session | None = None


@dataclass(frozen=True)
class Findings:
    """What speaks against delivering an order, the first to be told first, and how it would be sold."""

    refusals: Sequence[DomainError]
    language: Language
    price: int


def every_refusal(order: Order, settings: EffectiveSettings) -> list[DomainError]:
    """Every reason, as of now, why an order would not be sold; none: it would be. Nothing is written.

    Whoever books holds the locks of the user and the session; whoever only asks need not.
    """
    return [*limits_on(order, settings), *examine(order, settings).refusals]


def examine(order: Order, settings: EffectiveSettings) -> Findings:
    """Look at what would keep an order from arriving, or from being paid; its limits apart.

    What is refused here would only fail at the gate at its time, if nothing changed until then.
    """
    if order.template.channel not in django_settings.FOLLOWUP_CHANNELS:
        return Findings([_channel_gone()], Language.ENGLISH, price_of(order.template, settings))
    # Read under the user's lock: a person who is erased at this moment is seen, or sees this booking.
    standing = standing_of(order.user)
    reach = reachability(user=order.user, channel=order.template.channel, preference=standing.preference)
    return judge(order, settings, standing=standing, reach=reach)


def judge(order: Order, settings: EffectiveSettings, *, standing: Standing, reach: Reachability) -> Findings:
    """As ``examine``, of what was looked up about the user already; the channel is one that is in use."""
    price = price_of(order.template, settings)
    language, objection = language_for(
        user=order.user,
        channel=order.template.channel,
        version=order.template,
        template_type=order.template.template_type,
        moment=order.scheduled_at,
        reach=reach,
    )
    refusals: list[DomainError] = []
    if not standing.is_active:
        refusals.append(_unreachable("user_inactive", "This account is closed."))
    refusals += reach.refusals
    if objection is not None:
        refusals.append(objection)
    if price > standing.balance:
        refusals.append(InsufficientCredits())
    return Findings(refusals, language, price)


def limits_on(order: Order, settings: EffectiveSettings) -> list[DomainError]:
    """The limits that what its reader asks for must keep to; plans look after their own, staff have none."""
    if order.origin not in (Origin.MANUAL, Origin.INSTANT):
        return []
    found: list[DomainError] = []
    # Whoever books has locked the session's row, so its count can't change before the insert.
    if order.session is not None and order.session.follow_up_count >= settings.max_followups_per_session:
        message = f"A session can have {settings.max_followups_per_session} follow-ups at most."
        found.append(LimitReached(message, code="max_followups_per_session"))
    if order.origin == Origin.MANUAL:
        return found + limits_on_time(user=order.user, wanted=order.scheduled_at, settings=settings)
    if _was_just_sent(order, settings):
        message = "You have just received this message for this session."
        found.append(LimitReached(message, code="min_interval"))
    return found


def closed_hours_of(*, user: User, template: FollowUpTemplate) -> ClosedHours | None:
    """Hours in which the law lets this template's messages to this user wait."""
    addresses = get_channel(template.channel).addresses(user)
    return closed_hours_at(addresses[0], user=user, template=template) if addresses else None


def closed_hours_at(address: str, *, user: User, template: FollowUpTemplate) -> ClosedHours | None:
    """The same for one address of theirs."""
    intent = Intent(template, template.template_type, user.preferred_language, address, now())
    return get_channel(template.channel).closed_hours(intent)


def intent_of(follow_up: FollowUpSchedule, reach: Reachability, moment: datetime) -> Intent:
    """A booked follow-up as its channel looks at it at a moment. ``to`` is empty for who has no address."""
    return Intent(
        version=follow_up.template_version,
        template_type=follow_up.template.template_type,
        language=follow_up.language,
        to=next(iter(reach.addresses or reach.known), ""),
        moment=moment,
        last_inbound_at=reach.last_inbound_at,
    )


def refusals_of(follow_up: FollowUpSchedule, moment: datetime | None = None) -> list[DomainError]:
    """Every reason why a booked follow-up would fail if it went out at ``moment``, or now."""
    if follow_up.channel not in django_settings.FOLLOWUP_CHANNELS:
        return [_channel_gone()]
    reach = reachability(user=follow_up.user, channel=follow_up.channel)
    refusals: list[DomainError] = [*reach.refusals]
    if not follow_up.user.is_active:
        refusals.insert(0, _unreachable("user_inactive", "This account is closed."))
    objection = get_channel(follow_up.channel).objection(intent_of(follow_up, reach, moment or now()))
    return [*refusals, objection] if objection else refusals


def price_of(template: FollowUpTemplate, settings: EffectiveSettings) -> int:
    """The price in credits: the template's own, else the default; 0 while charging is off."""
    if not settings.enable_credit_charging:
        return 0
    return settings.default_credits_cost if template.credits_cost is None else template.credits_cost


def live_times(
    user: User, start: datetime, end: datetime, *, apart_from: UUID | None = None
) -> list[datetime]:
    """The times of the user's live follow-ups in a span."""
    with prepared_cursor() as cursor:
        cursor.execute(_LIVE_TIMES, [user.pk, start, end, apart_from])
        return [moment.astimezone(UTC) for (moment,) in cursor.fetchall()]


def language_for(
    *,
    user: User,
    channel: str,
    version: TemplateText,
    template_type: str,
    moment: datetime,
    reach: Reachability,
) -> tuple[Language, Unreachable | None]:
    """The reader's language where the message may go out in it, else English; and what forbids both."""
    written = [Language.ENGLISH]
    if user.preferred_language == Language.TAMIL and version.tamil_content.strip():
        written.insert(0, Language.TAMIL)
    objections = [
        get_channel(channel).objection(
            Intent(
                version=version,
                template_type=template_type,
                language=language,
                to=next(iter(reach.addresses or reach.known), ""),
                moment=moment,
                last_inbound_at=reach.last_inbound_at,
            )
        )
        for language in written
    ]
    for language, objection in zip(written, objections, strict=True):
        if objection is None:
            return language, None
    return written[0], objections[0]


def limits_on_time(
    *,
    user: User,
    wanted: datetime,
    settings: EffectiveSettings,
    moving: UUID | None = None,
    has_interval: bool = True,
) -> list[DomainError]:
    """The limits on a time somebody names; ``moving`` is the follow-up whose new time it would be."""
    moment = now()
    if wanted < moment - CLOCK_DIFFERENCE:
        return [InvalidInput.field("scheduled_at", "Choose a time in the future.", code="past_time")]
    found: list[DomainError] = []
    if wanted > moment + timedelta(days=settings.max_interval_days):
        message = f"Choose a time within {settings.max_interval_days} days."
        found.append(LimitReached(message, code="max_interval_days", errors={"scheduled_at": [message]}))
    interval = settings.min_interval if has_interval else timedelta()
    others = live_times(user, wanted - interval, wanted + interval, apart_from=moving)
    if conflicts(wanted, others, interval):
        message = f"Leave at least {settings.min_interval_hours} hours between two follow-ups."
        found.append(LimitReached(message, code="min_interval", errors={"scheduled_at": [message]}))
    return found


def _was_just_sent(order: Order, settings: EffectiveSettings) -> bool:
    return FollowUpSchedule.objects.filter(
        session=order.session,
        template=order.template,
        origin=Origin.INSTANT,
        status__in=LIVE_STATES,
        scheduled_at__gt=now() - settings.min_interval,
    ).exists()


def _channel_gone() -> Unreachable:
    return _unreachable("channel_gone", "This channel isn't in use any more.")


def _unreachable(code: str, message: str) -> Unreachable:
    return Unreachable(message, code=code, errors={"channel": [message]})
