"""What the FollowUpCenter shows: a person's follow-ups by the session they belong to, and their inbox."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from followups.choices import STATES_BY_PUBLIC_STATUS, PublicStatus, State
from followups.exceptions import FollowUpNotFound
from followups.models import FollowUpSchedule, FollowUpTemplate, InAppMessage
from followups.rendering import STANDARD_VARIABLES
from followups.selectors.catalogue import catalogue
from followups.selectors.follow_ups import Words, follow_ups_of, words_of
from followups.selectors.ordering import serves, templates_on_sale
from jyotiflow.accounts.models import Language, User
from sessions_app.models import Session
from sessions_app.selectors import sessions_of

SESSIONS_A_PAGE = 10
NEWEST = 3  # follow-ups shown of each session in the list of sessions
ITEMS_A_PAGE = 20
MOST_UNREAD = 100  # every page asks


class Shown(StrEnum):
    """Which follow-ups are asked for."""

    ALL = "all"
    SCHEDULED = "scheduled"
    DELIVERED = "delivered"


STATES_SHOWN = {
    Shown.ALL: tuple(State),
    Shown.SCHEDULED: STATES_BY_PUBLIC_STATUS[PublicStatus.PENDING],
    Shown.DELIVERED: (State.DELIVERED, State.READ),
}


@dataclass(frozen=True)
class Item:
    """A follow-up with the words it says."""

    follow_up: FollowUpSchedule
    words: Words

    @property
    def name(self) -> str:
        """What the template is called in the message's language, for a message without a subject."""
        template = self.follow_up.template
        return (self.follow_up.language == Language.TAMIL and template.tamil_name) or template.name

    @property
    def is_pending(self) -> bool:
        """Whether it can still be cancelled or moved."""
        return self.follow_up.status == State.PENDING


@dataclass(frozen=True)
class Group:
    """A session, or ``None`` for what belongs to none, with its newest follow-ups; ``total`` counts all."""

    session: Session | None
    items: Sequence[Item]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.items)


def counts_of(user: User) -> dict[str, int]:
    """How many follow-ups a person has, by what the list can show."""
    return FollowUpSchedule.objects.filter(user=user).aggregate(
        **{shown: Count("pk", filter=Q(status__in=states)) for shown, states in STATES_SHOWN.items()}
    )


def sessions_page(user: User, shown: Shown, number: str | None) -> Page[Session]:
    """One page of a person's sessions, newest first: those with such follow-ups, and with ``ALL`` also those
    that could have one. A number that is no page's leads to the nearest page.
    """
    has_some = Exists(_asked_for(FollowUpSchedule.objects.filter(session=OuterRef("pk")), shown))
    sessions = sessions_of(user)
    if shown == Shown.ALL:
        sessions = sessions.filter(Q(status=Session.Status.COMPLETED) | has_some)
    else:
        sessions = sessions.filter(has_some)
    return Paginator(sessions, SESSIONS_A_PAGE).get_page(number)


def groups_on(page: Page[Session], user: User, shown: Shown) -> list[Group]:
    """The page's sessions with their newest follow-ups; what belongs to no session ends the first page."""
    sessions = list(page)
    with_session = _asked_for(follow_ups_of(user), shown).filter(session__in=sessions)
    placed = with_session.annotate(
        place=Window(RowNumber(), partition_by="session_id", order_by=["-scheduled_at", "-id"]),
        total=Window(Count("pk"), partition_by="session_id"),
    ).filter(place__lte=NEWEST)
    found: dict[str | None, list[FollowUpSchedule]] = {session.pk: [] for session in sessions}
    totals: dict[str | None, int] = {}
    for follow_up in placed:
        found[follow_up.session_id].append(follow_up)
        totals[follow_up.session_id] = follow_up.total
    groups = [Group(each, items_of(found[each.pk]), totals.get(each.pk, 0)) for each in sessions]
    if page.number == 1:
        others = _asked_for(follow_ups_of(user), shown).filter(session=None)
        newest = items_of(others[:NEWEST])
        if newest:
            groups.append(Group(None, newest, others.count()))
    return groups


def items_page(user: User, session: Session | None, number: str | None) -> Page[FollowUpSchedule]:
    """One page of the follow-ups of one session, or of those that belong to none, newest first."""
    return Paginator(follow_ups_of(user).filter(session=session), ITEMS_A_PAGE).get_page(number)


def items_of(follow_ups: Iterable[FollowUpSchedule]) -> list[Item]:
    """Follow-ups with their words."""
    return [Item(follow_up, words_of(follow_up)) for follow_up in follow_ups]


def offered_for(session: Session) -> list[FollowUpTemplate]:
    """The messages that can be ordered for a session: those without values that only a program knows."""
    return [
        template
        for template in templates_on_sale(catalogue())
        if serves(template, session.service_type) and set(template.variables) <= set(STANDARD_VARIABLES)
    ]


def inbox_of(user: User) -> QuerySet[InAppMessage]:
    """A person's in-app messages, newest first, each with its follow-up."""
    return InAppMessage.objects.filter(user=user).select_related("follow_up").order_by("-created_at", "-pk")


def inbox_page(user: User, number: str | None) -> Page[InAppMessage]:
    """One page of the inbox."""
    return Paginator(inbox_of(user), ITEMS_A_PAGE).get_page(number)


def inbox_message_of(user: User, follow_up_id: UUID) -> InAppMessage:
    """One in-app message of a person's own. Raises ``FollowUpNotFound``."""
    message = inbox_of(user).filter(follow_up=follow_up_id).first()
    if message is None:
        raise FollowUpNotFound()
    return message


def unread_of(user: User) -> int:
    """How many in-app messages a person hasn't opened; nobody counts beyond ``MOST_UNREAD``."""
    return InAppMessage.objects.filter(user=user, follow_up__read_at=None)[:MOST_UNREAD].count()


def _asked_for(follow_ups: QuerySet[FollowUpSchedule], shown: Shown) -> QuerySet[FollowUpSchedule]:
    return follow_ups if shown == Shown.ALL else follow_ups.filter(status__in=STATES_SHOWN[shown])
