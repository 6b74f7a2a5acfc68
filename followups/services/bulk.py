"""Changing many follow-ups: each is looked at, and once confirmed changed, by the service for one.

What a batch has done is committed with it, so whoever comes after a kill, a stop or a lost task goes on with
what is left, and nothing is done twice.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings as django_settings
from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from followups.choices import BulkAction, BulkItemState, BulkState
from followups.models import BulkChange, BulkItem, FollowUpSchedule
from followups.selectors.changes import Finding, cancelling, moving, retrying
from followups.selectors.settings import EffectiveSettings, effective_settings
from followups.services.importing import book_row, look_at_row, row_booked_before
from followups.services.rescheduling import reschedule_follow_up
from followups.services.retrying import retry_follow_up
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import Conflict, DomainError, InvalidInput
from jyotiflow.failpoints import failpoint

log = structlog.get_logger(__name__)

MOST: Final = 100_000  # follow-ups of one change
AT_ONCE: Final = 50  # are done in the request that asks for it; the rest follows in the background
UNCONFIRMED_FOR: Final = timedelta(days=1)
OPEN_STATES: Final = (BulkState.CHECKING, BulkState.RUNNING)

_SELECT: Final = """
    INSERT INTO follow_up_bulk_items
           (change_id, number, follow_up_id, "order", file_key, state, credits, code, reason)
    SELECT %s, row_number() OVER (ORDER BY chosen.scheduled_at, chosen.id), chosen.id,
           '{{}}', '', 'new', 0, '', ''
      FROM ({chosen}) AS chosen
"""


@transaction.atomic
def choose(
    *,
    actor: User,
    action: BulkAction,
    follow_ups: QuerySet[FollowUpSchedule],
    move_to: datetime | None = None,
    move_by_hours: int | None = None,
) -> BulkChange:
    """Write down which follow-ups are to be changed: those that the query finds now. Nothing happens to them.

    A move names a time (aware) or a shift in hours. Raises ``InvalidInput`` for none, or more than ``MOST``.
    """
    change = BulkChange.objects.create(
        actor=actor, action=action, move_to=move_to, move_by_hours=move_by_hours
    )
    found = _write_down(change, follow_ups)
    if not 0 < found <= MOST:
        raise InvalidInput(f"Choose at least one follow-up and at most {MOST:,}.", code="too_many")
    log.info("bulk_change_chosen", change_id=change.pk, action=action, follow_ups=found)
    return change


def _write_down(change: BulkChange, follow_ups: QuerySet[FollowUpSchedule]) -> int:
    chosen = follow_ups.order_by().values_list("id", "scheduled_at")[: MOST + 1]
    try:
        sql, parameters = chosen.query.sql_with_params()
    except EmptyResultSet:  # a filter that can't match
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_SELECT.format(chosen=sql), [change.pk, *parameters])
        return cursor.rowcount


@transaction.atomic
def confirm(*, change_id: int, actor: User) -> bool:
    """Begin what was looked at; ``False`` when it was begun or stopped before, or is not looked at yet."""
    waiting = BulkChange.objects.filter(pk=change_id, state=BulkState.READY)
    began = waiting.update(state=BulkState.RUNNING, confirmed_at=now()) == 1
    if began:
        change = BulkChange.objects.get(pk=change_id)
        record_change(action=Action.RAN, of=change, label=str(change), actor=actor)
    log.info("bulk_change_confirmed", change_id=change_id, began=began)
    return began


def stop(*, change_id: int) -> bool:
    """Leave what isn't done as it is; ``False`` when it has ended before. What is done stays done."""
    going = BulkChange.objects.filter(pk=change_id, state__in=[*OPEN_STATES, BulkState.READY])
    stopped = going.update(state=BulkState.STOPPED, finished_at=now()) == 1
    log.info("bulk_change_stopped", change_id=change_id, stopped=stopped)
    return stopped


def go_on_with_all(*, seconds: float) -> None:
    """Go on with open bulk changes, the oldest first, for so long."""
    end = time.monotonic() + seconds
    for change_id in list(BulkChange.objects.filter(state__in=OPEN_STATES).values_list("pk", flat=True)):
        while time.monotonic() < end and go_on(change_id=change_id):
            pass


def go_on(*, change_id: int, limit: int = AT_ONCE) -> int:
    """Look at, or change, the next ``limit`` follow-ups of a bulk change; returns how many.

    Any number may do this at once: an item is one's by its row's lock.
    """
    state = BulkChange.objects.values_list("state", flat=True).get(pk=change_id)
    match state:
        case BulkState.CHECKING:
            done = _look(change_id, limit)
            takes, then, ended_at = BulkItemState.NEW, BulkState.READY, None
        case BulkState.RUNNING:
            done = _change(change_id, limit)
            takes, then, ended_at = BulkItemState.READY, BulkState.FINISHED, now()
        case _:
            return 0
    if done < limit and not BulkItem.objects.filter(change=change_id, state=takes).exists():
        BulkChange.objects.filter(pk=change_id, state=state).update(state=then, finished_at=ended_at)
        log.info("bulk_change_moved_on", change_id=change_id, state=then)
    return done


def forget_old() -> int:
    """Delete what nobody confirmed within a day, and what ended ``FOLLOWUP_KEEP_EVENTS_DAYS`` ago."""
    kept = timedelta(days=django_settings.FOLLOWUP_KEEP_EVENTS_DAYS)
    waits = Q(confirmed_at=None, created_at__lt=now() - UNCONFIRMED_FOR)
    return BulkChange.objects.filter(waits | Q(finished_at__lt=now() - kept)).delete()[0]


@transaction.atomic
def _look(change_id: int, limit: int) -> int:
    fresh = BulkItem.objects.filter(change=change_id, state=BulkItemState.NEW).order_by("number")
    fresh = fresh.select_related(
        "change",
        "user",
        *(f"follow_up__{name}" for name in ("user", "session", "template", "template_version")),
    )
    items = list(fresh.select_for_update(skip_locked=True, of=("self",))[:limit])
    settings = effective_settings()
    for item in items:
        found = _LOOKS[BulkAction(item.change.action)](item, settings)
        item.credits = found.credits
        if found.scheduled_at is not None:
            item.moved_to = found.scheduled_at
        item.state = BulkItemState.READY
        if found.refusal is not None:
            _refuse(item, found.refusal)
    fields = ["state", "credits", "code", "reason", "moved_from", "moved_to"]
    BulkItem.objects.bulk_update(items, fields)
    return len(items)


def _look_at_cancelling(item: BulkItem, settings: EffectiveSettings) -> Finding:
    return cancelling(_follow_up(item), settings)


def _look_at_moving(item: BulkItem, settings: EffectiveSettings) -> Finding:
    follow_up = _follow_up(item)
    item.moved_from = follow_up.scheduled_at
    wanted = item.change.move_to or follow_up.scheduled_at + timedelta(hours=item.change.move_by_hours or 0)
    return moving(follow_up, wanted, settings, by_reader=False)


def _look_at_retrying(item: BulkItem, settings: EffectiveSettings) -> Finding:
    if FollowUpSchedule.objects.filter(retry_of=item.follow_up_id).exists():
        return Finding(_booked_anew())
    return retrying(_follow_up(item), settings)


def _change(change_id: int, limit: int) -> int:
    ready = BulkItem.objects.filter(change=change_id, state=BulkItemState.READY).order_by("number")
    ids = list(ready.values_list("pk", flat=True)[:limit])
    for item_id in ids:
        _change_one(item_id)
        failpoint("after_bulk_item")
    return len(ids)


@transaction.atomic
def _change_one(item_id: int) -> None:
    """The change and its mark are one transaction: after a kill both are there, or neither."""
    mine = BulkItem.objects.filter(pk=item_id, state=BulkItemState.READY, change__state=BulkState.RUNNING)
    item = (
        mine.select_related("change__actor", "user").select_for_update(skip_locked=True, of=("self",)).first()
    )
    if item is None:
        return
    promised = item.credits
    try:
        with transaction.atomic():
            item.state, item.done_at = BulkItemState.DONE, now()
            item.save()  # first: whoever books the same row of a file at this moment waits here
            item.credits = _CHANGES[BulkAction(item.change.action)](item)
            if item.credits < promised:
                raise Conflict("It would cost more than was shown.", code="price_changed")
            item.save(update_fields=["credits", "follow_up"])
    except DomainError as refusal:
        _refuse(item, refusal)
    except IntegrityError as error:
        if "bulk_item_file_row_booked_once" not in str(error):
            raise
        _refuse(item, row_booked_before())
    except DatabaseError:
        raise  # not the item's fault: the next run tries again
    except Exception as error:  # one that can't be changed must not hold up the others
        log.error("bulk_item_failed", change_id=item.change_id, number=item.number, exc_info=True)
        _refuse(item, Conflict(f"It could not be changed ({type(error).__name__}).", code="error"))
    if item.state == BulkItemState.REFUSED:
        item.save()


def _cancel(item: BulkItem) -> int:
    return cancel_follow_up(follow_up_id=_id(item), actor=item.change.actor).credits_refunded


def _move(item: BulkItem) -> int:
    assert item.moved_from is not None
    assert item.moved_to is not None
    moved = FollowUpSchedule.objects.filter(pk=_id(item)).exclude(scheduled_at=item.moved_from)
    if moved.exists():
        raise Conflict("It was moved meanwhile.", code="moved_meanwhile")
    reschedule_follow_up(follow_up_id=_id(item), scheduled_at=item.moved_to, actor=item.change.actor)
    return 0


def _retry(item: BulkItem) -> int:
    if FollowUpSchedule.objects.filter(retry_of=item.follow_up_id).exists():
        raise _booked_anew()
    queued = retry_follow_up(follow_up_id=_id(item), actor=item.change.actor)
    return 0 if queued.pk == item.follow_up_id else -queued.credits_charged


def _refuse(item: BulkItem, refusal: DomainError) -> None:
    item.state, item.done_at, item.credits = BulkItemState.REFUSED, None, 0
    item.code, item.reason = refusal.code[:50], refusal.message[:300]


def _follow_up(item: BulkItem) -> FollowUpSchedule:
    assert item.follow_up is not None
    return item.follow_up


def _id(item: BulkItem) -> UUID:
    assert item.follow_up_id is not None
    return item.follow_up_id


def _booked_anew() -> Conflict:
    return Conflict("It was booked anew before.", code="retried_before")


_LOOKS: Final[Mapping[BulkAction, Callable[[BulkItem, EffectiveSettings], Finding]]] = {
    BulkAction.CANCEL: _look_at_cancelling,
    BulkAction.MOVE: _look_at_moving,
    BulkAction.RETRY: _look_at_retrying,
    BulkAction.BOOK: look_at_row,
}
_CHANGES: Final[Mapping[BulkAction, Callable[[BulkItem], int]]] = {
    BulkAction.CANCEL: _cancel,
    BulkAction.MOVE: _move,
    BulkAction.RETRY: _retry,
    BulkAction.BOOK: book_row,
}
