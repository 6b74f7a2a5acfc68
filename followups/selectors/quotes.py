"""What a follow-up would cost and say, when it would go, and all that speaks against it. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.timezone import now

from credits.selectors import balance_of
from followups.channels import get_channel
from followups.channels.base import Intent
from followups.choices import Origin
from followups.composing import render_for_reader
from followups.exceptions import LimitReached
from followups.gate import Facts, Go, Later, verdict
from followups.models import FollowUpTemplate
from followups.selectors.catalogue import catalogue
from followups.selectors.follow_ups import session_of
from followups.selectors.ordering import check_custom_variables, moment_of, template_on_sale
from followups.selectors.recipients import Reachability, reachability
from followups.selectors.refusals import Order, examine, limits_on
from followups.selectors.settings import EffectiveSettings, effective_settings
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError

MOST_WAITS = 8  # quiet hours after a pause, closed hours after those: each is passed once, a few tell


@dataclass(frozen=True)
class Departure:
    """When an order would leave, in aware times.

    ``scheduled_at`` is what would be booked, ``None`` where no time is free. ``goes_at`` is later where
    ``waits_for`` (a word of the gate) holds it, and ``None`` where it would expire before.
    """

    scheduled_at: datetime | None = None
    goes_at: datetime | None = None
    waits_for: str = ""


NEVER = Departure()


@dataclass(frozen=True)
class Quote:
    """A follow-up as it would be sold at this moment; ``price`` and ``balance`` in credits.

    ``refusals`` are all that speaks against it, what a booking would raise first; none: it would be sold.
    """

    template: FollowUpTemplate
    price: int
    balance: int
    language: str
    subject: str
    message: str
    departure: Departure
    refusals: Sequence[DomainError]


def quote(
    *,
    user: User,
    template_id: UUID,
    session_id: str | None = None,
    channel: str | None = None,
    scheduled_at: datetime | None = None,
    custom_variables: Mapping[str, object] | None = None,
) -> Quote:
    """What `schedule_follow_up` would do with the same arguments, as of now.

    Raises ``TemplateNotFound``, ``SessionNotFound`` and ``InvalidInput`` as it does; whatever else it would
    raise is among the ``refusals``, in its order.
    """
    known = catalogue()
    template = template_on_sale(known, template_id, channel=channel)
    session = session_of(user, session_id) if session_id is not None else None
    variables = check_custom_variables(template, custom_variables or {})
    settings = effective_settings(known)
    order = Order(user, template, now(), Origin.MANUAL, session)
    departure, refusals = NEVER, []
    try:
        wanted = moment_of(user=user, template=template, wanted=scheduled_at, settings=settings)
        order = replace(order, scheduled_at=wanted)
        reach = reachability(user=user, channel=template.channel)
        departure = departure_of(order, settings, reach)
        refusals += limits_on(order, settings)
    except LimitReached as no_time_is_free:
        refusals.append(no_time_is_free)
    found = examine(order, settings)
    is_private = get_channel(template.channel).is_private
    words = render_for_reader(
        version=template,
        channel=template.channel,
        language=found.language,
        user=user,
        session=session,
        custom=variables,
        is_private=is_private,
    )
    return Quote(
        template=template,
        price=found.price,
        balance=balance_of(user),
        language=found.language,
        subject=words.subject,
        message=words.body,
        departure=departure,
        refusals=[*refusals, *found.refusals],
    )


def departure_of(order: Order, settings: EffectiveSettings, reach: Reachability) -> Departure:
    """Ask the gate, from the booked time on, until it says go; whether the reader is reachable apart."""
    channel = get_channel(order.template.channel)
    to = next(iter(reach.addresses or reach.known), "")
    intent = Intent(
        order.template, order.template.template_type, order.user.preferred_language, to, order.scheduled_at
    )
    facts = Facts(
        now=order.scheduled_at,
        scheduled_at=order.scheduled_at,
        expires_at=order.scheduled_at + timedelta(days=settings.auto_cancel_after_days),
        origin=order.origin,
        zone=order.user.zone,
        default_quiet=settings.quiet_hours,
        own_quiet=reach.preference.quiet_hours,
        paused_until=reach.preference.paused_until,
        channel_is_paused=False,  # for how long, nobody knows
        user_is_active=True,
        has_opted_out=False,
        is_suppressed=False,
        is_reachable=True,
        closed=channel.closed_hours(intent) if to else None,
    )
    waits_for = ""
    for _ in range(MOST_WAITS):
        match verdict(facts):
            case Go():
                return Departure(order.scheduled_at, facts.now, waits_for)
            case Later(until=until, code=code) if until > facts.now:
                facts, waits_for = replace(facts, now=until), waits_for or code
            case _:
                break
    return Departure(order.scheduled_at, None, waits_for)
