"""Planning as if: what sessions would get, or would have got, by today's templates, settings and wishes.

The rules are those of `followups.selectors.plans`; this module looks up many sessions' situations at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce
from django.utils.timezone import now

from credits.models import CreditEntry
from followups.addresses import hash_address
from followups.channels import get_channel
from followups.choices import LIVE_STATES, Origin
from followups.models import (
    FollowUpSchedule,
    InboundMessage,
    RecipientPreference,
    SessionPlan,
    Suppression,
)
from followups.selectors.catalogue import Catalogue, catalogue
from followups.selectors.plans import Situation, Step, automatic_templates, steps_of
from followups.selectors.quotes import NEVER, Departure, departure_of
from followups.selectors.recipients import NO_PREFERENCE, Reachability, Standing, reach
from followups.selectors.settings import EffectiveSettings, effective_settings
from jyotiflow.accounts.models import User
from sessions_app.models import Session

AT_ONCE: Final = 25  # sessions: what one page computes in well under 300 ms
MOST_SESSIONS: Final = 2_000  # of one simulation


@dataclass(frozen=True)
class SimulatedStep:
    """A step, and when it would leave if it were booked."""

    step: Step
    departure: Departure

    @property
    def price(self) -> int:
        return 0 if self.step.found is None or self.step.refusals else self.step.found.price


@dataclass(frozen=True)
class Outcome:
    """What one session would get, planned at ``at``. No steps: no template serves its kind of session."""

    session: Session
    at: datetime
    is_planned: bool
    steps: Sequence[SimulatedStep]

    @property
    def booked(self) -> list[SimulatedStep]:
        return [each for each in self.steps if not each.step.refusals]


@dataclass(frozen=True)
class Totals:
    """``people`` are those who would get a message; right for sessions in the order of ``completed_in``."""

    sessions: int = 0
    people: int = 0
    messages: int = 0
    credits: int = 0
    last_person: int = 0

    def plus(self, outcomes: Iterable[Outcome]) -> "Totals":
        total = self
        for outcome in outcomes:
            got, person = outcome.booked, outcome.session.user_id
            is_new = bool(got) and person != total.last_person
            total = Totals(
                sessions=total.sessions + 1,
                people=total.people + is_new,
                messages=total.messages + len(got),
                credits=total.credits + sum(each.price for each in got),
                last_person=person if got else total.last_person,
            )
        return total


def completed_in(start: datetime, end: datetime) -> QuerySet[Session]:
    """Sessions completed in a span, person by person."""
    completed = Session.objects.filter(
        status=Session.Status.COMPLETED, completed_at__gte=start, completed_at__lt=end
    )
    return completed.order_by("user_id", "completed_at", "pk")


def after(sessions: QuerySet[Session], last: Session) -> QuerySet[Session]:
    """Those that follow a session in the order of ``completed_in``."""
    later = Q(completed_at__gt=last.completed_at) | Q(completed_at=last.completed_at, pk__gt=last.pk)
    return sessions.filter(Q(user_id__gt=last.user_id) | (Q(user_id=last.user_id) & later))


def simulate(sessions: QuerySet[Session], *, at_completion: bool = False) -> list[Outcome]:
    """What each session would get. Writes nothing; asks the database as often for many as for one.

    One with a plan is looked at as of its completion, with the credits its reader had then and without what
    the plan booked; one without a plan as of now, which is how it would be planned, or ``at_completion``,
    too. What such a one would get, those after it of the same reader meet. Templates, settings, wishes and
    addresses are today's.
    """
    known = catalogue()
    settings = effective_settings(known)
    found = list(
        sessions.select_related("user__credit_account").annotate(
            is_planned=Exists(SessionPlan.objects.filter(session=OuterRef("pk"))),
            balance_then=Coalesce(_balance_at(OuterRef("completed_at")), 0),
            others=_booked_by_others(),
        )
    )
    if not settings.auto_followup_enabled:
        return [Outcome(session, now(), session.is_planned, []) for session in found]
    kinds = {session.service_type for session in found}
    channels = {each.channel for kind in kinds for each in automatic_templates(known, kind)}
    facts = _Facts(found, channels, settings, at_completion=at_completion)
    return [_outcome(session, facts, known, settings) for session in found]


def _outcome(session: Session, facts: "_Facts", known: Catalogue, settings: EffectiveSettings) -> Outcome:
    situation = facts.situation_of(session)
    steps = []
    for step in steps_of(situation, known, settings):
        departure = NEVER
        if step.order is not None:
            departure = departure_of(step.order, settings, situation.reach(step.template.channel))
        steps.append(SimulatedStep(step, departure))
    facts.note(session, steps)
    return Outcome(session, situation.at, session.is_planned, steps)  # type: ignore[attr-defined]


def _balance_at(moment: OuterRef) -> CombinedExpression:
    """Reckoned back from today's: what came later is little beside all that came before."""
    later = CreditEntry.objects.filter(account__user=OuterRef("user"), created_at__gte=moment)
    moved = Subquery(later.order_by().values("account").annotate(total=Sum("amount")).values("total"))
    return F("user__credit_account__balance") - Coalesce(moved, 0)


def _booked_by_others() -> Subquery:
    """How many live follow-ups the session had when it was completed; its plan's own came later."""
    live = FollowUpSchedule.objects.filter(
        session=OuterRef("pk"), status__in=LIVE_STATES, created_at__lt=OuterRef("completed_at")
    ).exclude(origin=Origin.AUTOMATIC)
    counted = live.order_by().values("session").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)  # type: ignore[return-value]


class _Facts:
    """What decides about many sessions, looked up at once: a handful of queries, however many there are."""

    def __init__(
        self,
        sessions: Sequence[Session],
        channels: Iterable[str],
        settings: EffectiveSettings,
        *,
        at_completion: bool,
    ) -> None:
        self.settings = settings
        self.at_completion = at_completion
        self.spent: dict[int, int] = defaultdict(int)  # by what was only simulated
        self.now = now()
        users = {session.user_id: session.user for session in sessions}
        wishes = RecipientPreference.objects.filter(user__in=users)
        self.wishes: Mapping[int, RecipientPreference] = {each.user_id: each for each in wishes}
        self._read_addresses(list(users.values()), list(channels))
        self._read_times(sessions, users)

    def _read_addresses(self, users: Sequence[User], channels: Sequence[str]) -> None:
        self.hashes: dict[tuple[int, str], dict[str, str]] = {}
        for channel in channels:
            for user_id, addresses in get_channel(channel).addresses_of(users).items():
                self.hashes[user_id, channel] = {hash_address(address): address for address in addresses}
        known = {key for hashes in self.hashes.values() for key in hashes}
        self.suppressed: dict[str, set[str]] = defaultdict(set)
        stopped = Suppression.objects.filter(channel__in=channels, address_hash__in=known)
        for channel, key in stopped.values_list("channel", "address_hash"):
            self.suppressed[channel].add(key)
        windows = [channel for channel in channels if get_channel(channel).has_reply_window]
        heard = InboundMessage.objects.filter(channel__in=windows, address_hash__in=known).order_by()
        latest = heard.values("channel", "address_hash").annotate(at=Max("received_at"))
        self.heard = {(row["channel"], row["address_hash"]): row["at"] for row in latest} if windows else {}

    def _read_times(self, sessions: Sequence[Session], users: Mapping[int, User]) -> None:
        self.times: dict[int, list[tuple[str | None, str, datetime]]] = defaultdict(list)
        if not sessions:
            return
        first = min(self.moment_of(session) for session in sessions)
        horizon = timedelta(days=self.settings.max_interval_days) + self.settings.min_interval
        live = FollowUpSchedule.objects.filter(
            user__in=users,
            status__in=LIVE_STATES,
            scheduled_at__range=(first - self.settings.min_interval, self.now + horizon),
        )
        columns = live.values_list("user_id", "session_id", "origin", "scheduled_at")
        for user_id, session_id, origin, scheduled_at in columns:
            self.times[user_id].append((session_id, origin, scheduled_at))

    def note(self, session: Session, steps: Iterable[SimulatedStep]) -> None:
        """What a session without a plan would get: the ledger and the follow-ups know nothing of it."""
        if session.is_planned:  # type: ignore[attr-defined]  # annotated
            return
        for each in steps:
            if each.step.order is not None and not each.step.refusals:
                order = each.step.order
                self.times[session.user_id].append((session.pk, order.origin, order.scheduled_at))
                self.spent[session.user_id] += each.price

    def moment_of(self, session: Session) -> datetime:
        is_past = self.at_completion or session.is_planned  # type: ignore[attr-defined]  # annotated
        return session.completed_at if is_past and session.completed_at else self.now

    def situation_of(self, session: Session) -> Situation:
        moment = self.moment_of(session)
        is_past = moment != self.now
        taken = [
            time
            for session_id, origin, time in self.times[session.user_id]
            if not (is_past and session_id == session.pk and origin == Origin.AUTOMATIC)
        ]
        others = session.others if is_past else session.follow_up_count  # type: ignore[attr-defined]
        return Situation(
            session=session,
            at=moment,
            standing=self._standing_of(session, is_past=is_past),
            room=self.settings.max_followups_per_session - others,
            taken=taken,
            reach=cache(lambda channel: self._reach(session.user_id, channel)),
        )

    def _standing_of(self, session: Session, *, is_past: bool) -> Standing:
        account = getattr(session.user, "credit_account", None)
        balance = account.balance if account else 0
        if is_past:
            balance = session.balance_then  # type: ignore[attr-defined]  # annotated
        wishes = self.wishes.get(session.user_id, NO_PREFERENCE)
        return Standing(session.user.is_active, balance - self.spent[session.user_id], wishes)

    def _reach(self, user_id: int, channel: str) -> Reachability:
        hashes = self.hashes[user_id, channel]
        times = [self.heard[channel, key] for key in hashes if (channel, key) in self.heard]
        return reach(
            channel=get_channel(channel),
            hashes=hashes,
            suppressed=self.suppressed[channel],
            preference=self.wishes.get(user_id, NO_PREFERENCE),
            last_inbound_at=max(times, default=None),
        )
