"""What a completed session gets. One set of rules for planning and for simulating; nothing is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from django.utils.timezone import now

from followups.choices import Origin
from followups.exceptions import LimitReached
from followups.models import FollowUpTemplate
from followups.selectors.catalogue import Catalogue
from followups.selectors.ordering import first_time, serves, templates_on_sale
from followups.selectors.recipients import Reachability, Standing, reachability, standing_of
from followups.selectors.refusals import Findings, Order, closed_hours_at, judge, live_times
from followups.selectors.settings import EffectiveSettings
from jyotiflow.exceptions import DomainError, InvalidInput
from sessions_app.models import Session


@dataclass(frozen=True)
class Situation:
    """All that decides what a session gets, as of the moment ``at``.

    ``room`` is how many follow-ups the session may still have, ``taken`` the times of its reader's others,
    ``reach`` tells of a channel whether they can be reached there.
    """

    session: Session
    at: datetime
    standing: Standing
    room: int
    taken: Sequence[datetime]
    reach: Callable[[str], Reachability]


@dataclass(frozen=True)
class Step:
    """One template of a sequence: the order it becomes, or why not. The first refusal is the plan's."""

    template: FollowUpTemplate
    order: Order | None = None  # None: for no time
    found: Findings | None = None  # None: nobody looked
    refusals: Sequence[DomainError] = ()


def situation_of(session: Session, settings: EffectiveSettings) -> Situation:
    """How a session and its reader stand at this moment, read under the locks of whoever plans."""
    moment = now()
    standing = standing_of(session.user)
    span = settings.min_interval
    horizon = moment + timedelta(days=settings.max_interval_days)

    @cache
    def reach(channel: str) -> Reachability:
        return reachability(user=session.user, channel=channel, preference=standing.preference)

    return Situation(
        session=session,
        at=moment,
        standing=standing,
        room=settings.max_followups_per_session - session.follow_up_count,
        taken=live_times(session.user, moment - span, horizon + span),
        reach=reach,
    )


def automatic_templates(known: Catalogue, service_type: str) -> list[FollowUpTemplate]:
    """The sequence of a kind of session, in its order."""
    automatic = [each for each in templates_on_sale(known) if each.sequence_order is not None]
    automatic.sort(key=lambda template: template.sequence_order or 0)
    return [template for template in automatic if serves(template, service_type)]


def steps_of(situation: Situation, known: Catalogue, settings: EffectiveSettings) -> list[Step]:
    """What each template of the session's sequence comes to, as if those before it were booked.

    Nothing is refused to whoever books those without refusals while the situation stands.
    """
    steps = []
    for template in automatic_templates(known, situation.session.service_type):
        step = _step(template, situation, settings)
        steps.append(step)
        if step.order is not None and step.found is not None and not step.refusals:
            standing = situation.standing
            situation = replace(
                situation,
                standing=replace(standing, balance=standing.balance - step.found.price),
                room=situation.room - 1,
                taken=[*situation.taken, step.order.scheduled_at],
            )
    return steps


def _step(template: FollowUpTemplate, situation: Situation, settings: EffectiveSettings) -> Step:
    session, reach = situation.session, situation.reach(template.channel)
    user = session.user
    if situation.room <= 0:
        message = f"A session can have {settings.max_followups_per_session} follow-ups at most."
        return Step(template, refusals=[LimitReached(message, code="max_followups_per_session")])
    completed = session.completed_at or situation.at
    address = next(iter(reach.known), "")
    try:
        moment = first_time(
            template=template,
            zone=user.zone,
            earliest=max(completed + timedelta(hours=template.delay_hours), situation.at),
            horizon=situation.at + timedelta(days=settings.max_interval_days),
            taken=situation.taken,
            closed=closed_hours_at(address, user=user, template=template) if address else None,
            settings=settings,
        )
    except DomainError as no_time_is_free:
        return Step(template, refusals=[no_time_is_free])
    except (OverflowError, ValueError):  # a template no clock can serve must not end the others' planning
        message = "No time can be found for the template."
        return Step(template, refusals=[InvalidInput(message, code="invalid_template")])
    order = Order(user, template, moment, Origin.AUTOMATIC, session)
    found = judge(order, settings, standing=situation.standing, reach=reach)
    return Step(template, order, found, found.refusals)
