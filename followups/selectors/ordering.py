"""What may be ordered, and when it could go: looked up alike for a quote and for a booking."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.db.models import Prefetch
from django.utils.timezone import now

from followups.exceptions import LimitReached, TemplateNotFound
from followups.models import FollowUpTemplate, TemplateVersion
from followups.rendering import MAX_VALUE_LENGTH, STANDARD_VARIABLES, is_storable
from followups.selectors.catalogue import Catalogue
from followups.selectors.refusals import CLOCK_DIFFERENCE, closed_hours_of, live_times
from followups.selectors.settings import EffectiveSettings
from followups.timing import ClosedHours, first_free
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput


def templates_on_sale(known: Catalogue) -> list[FollowUpTemplate]:
    """Active templates whose channel is in use, the oldest first, each with its newest version at hand."""
    return [template for template in _active_templates(known).values() if _is_on_sale(template)]


def template_on_sale(known: Catalogue, template_id: UUID, *, channel: str | None = None) -> FollowUpTemplate:
    """One of them. Raises ``TemplateNotFound``, or ``InvalidInput`` when it's not the channel named."""
    template = _active_templates(known).get(template_id)
    if template is None or not _is_on_sale(template):
        raise TemplateNotFound()
    if channel is not None and channel != template.channel:
        raise InvalidInput.field("channel", f"This template goes out by {template.channel}.")
    return template


def _active_templates(known: Catalogue) -> Mapping[UUID, FollowUpTemplate]:
    return known.keep("templates", _read_active_templates)


def _read_active_templates() -> dict[UUID, FollowUpTemplate]:
    newest = TemplateVersion.objects.order_by("template_id", "-number").distinct("template_id")
    active = FollowUpTemplate.objects.filter(is_active=True).order_by("created_at", "pk")
    return {each.pk: each for each in active.prefetch_related(Prefetch("versions", queryset=newest))}


def _is_on_sale(template: FollowUpTemplate) -> bool:
    return template.channel in django_settings.FOLLOWUP_CHANNELS


def serves(template: FollowUpTemplate, service_type: str) -> bool:
    """Whether a template is for this service type."""
    return not template.service_types or service_type in template.service_types


def moment_of(
    *, user: User, template: FollowUpTemplate, wanted: datetime | None, settings: EffectiveSettings
) -> datetime:
    """For when an order is: the time wanted (aware), or where the law moves it; else the first that suits.

    A wanted time in the past is returned as it is, to be refused. Raises as ``pick_time``.
    """
    moment = now()
    if wanted is None:
        earliest = moment + timedelta(hours=template.delay_hours)
        return pick_time(user=user, template=template, earliest=earliest, settings=settings)
    if wanted < moment - CLOCK_DIFFERENCE:
        return wanted
    return lawful(user, template, max(wanted, moment))


def pick_time(
    *, user: User, template: FollowUpTemplate, earliest: datetime, settings: EffectiveSettings
) -> datetime:
    """The first time from ``earliest`` on that suits the template, the user's day and their other follow-ups.

    Raises ``LimitReached`` when there is none within the horizon.
    """
    horizon = now() + timedelta(days=settings.max_interval_days)
    return first_time(
        template=template,
        zone=user.zone,
        earliest=earliest,
        horizon=horizon,
        taken=live_times(user, earliest - settings.min_interval, horizon + settings.min_interval),
        closed=closed_hours_of(user=user, template=template),
        settings=settings,
    )


def first_time(
    *,
    template: FollowUpTemplate,
    zone: ZoneInfo,
    earliest: datetime,
    horizon: datetime,
    taken: Sequence[datetime],
    closed: ClosedHours | None,
    settings: EffectiveSettings,
) -> datetime:
    """As ``pick_time``, of what was looked up already: ``taken`` are the times of the user's others."""
    moment = first_free(
        earliest=earliest,
        zone=zone,
        wall=template.local_time,
        quiet=settings.quiet_hours,
        taken=taken,
        interval=settings.min_interval,
        closed=closed,
    )
    if moment is None or moment > horizon:
        raise LimitReached("There is no free time for it within the days ahead.", code="max_interval_days")
    return moment


def lawful(user: User, template: FollowUpTemplate, moment: datetime) -> datetime:
    """The moment, or the first after it at which the law lets the message go out."""
    closed = closed_hours_of(user=user, template=template)
    return closed.end_after(moment) if closed else moment


def check_custom_variables(template: FollowUpTemplate, values: Mapping[str, object]) -> dict[str, str]:
    """The values as texts. Raises ``InvalidInput`` naming what the template doesn't take."""
    known = [name for name in template.variables if name not in STANDARD_VARIABLES]
    problems: list[str] = []
    for name, value in values.items():
        if name not in known:
            problems.append(
                f"{name[:50]} is not a variable of this template; it takes: {', '.join(known) or 'none'}."
            )
        elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
            problems.append(f"{name} must be a text or a number.")
        elif len(str(value)) > MAX_VALUE_LENGTH or not is_storable(str(value)):
            problems.append(f"{name} must be plain text of at most {MAX_VALUE_LENGTH} characters.")
    if problems:
        raise InvalidInput(problems[0], errors={"custom_variables": problems})
    return {name: str(value) for name, value in values.items()}
