"""Scheduling from a file: each row is read, quoted, and once confirmed booked by the scheduling service."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Lower

from followups.choices import BulkAction, BulkItemState
from followups.models import BulkChange, BulkItem, FollowUpTemplate
from followups.selectors.catalogue import catalogue
from followups.selectors.changes import Finding
from followups.selectors.ordering import templates_on_sale
from followups.selectors.quotes import quote
from followups.selectors.settings import EffectiveSettings
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, DomainError, InvalidInput
from jyotiflow.importing import Row, read_rows, unknown

# Whatever else a file has is a custom variable of its template.
COLUMNS: Final = ("email", "user_id", "template", "channel", "session_id", "scheduled_at")
EXAMPLE: Final[Sequence[Sequence[str]]] = (
    ("email", "template", "session_id", "scheduled_at"),
    ("reader@example.com", "Check-in", "", "2026-12-01 10:00"),
)


@transaction.atomic
def import_schedule(*, actor: User, name: str, content: bytes) -> BulkChange:
    """Write down what a CSV or XLSX file asks for, one item a row. Nothing is booked or charged.

    A row that can't be read is kept as refused, naming its column and the fix. No address is kept: a reader
    is known by their account. Raises ``InvalidInput`` for a file that is none.
    """
    rows = read_rows(name=name, content=content)
    people, templates = _people(rows), templates_on_sale(catalogue())
    change = BulkChange.objects.create(actor=actor, action=BulkAction.BOOK)
    file_hash = hashlib.sha256(content).hexdigest()
    BulkItem.objects.bulk_create(
        [_item(change, row, people, templates, f"{file_hash}:{row['row']}") for row in rows]
    )
    return change


def look_at_row(item: BulkItem, settings: EffectiveSettings) -> Finding:
    """What booking a row would cost, and what speaks against it, as of now."""
    if BulkItem.objects.filter(file_key=item.file_key, state=BulkItemState.DONE).exists():
        return Finding(row_booked_before())
    try:
        found = quote(**_arguments(item))
    except DomainError as refusal:
        return Finding(refusal)
    return Finding(
        next(iter(found.refusals), None), credits=-found.price, scheduled_at=found.departure.scheduled_at
    )


def book_row(item: BulkItem) -> int:
    """Book a row, at no more than it was shown to cost; returns the credits as a reader's gain."""
    follow_up = schedule_follow_up(**_arguments(item), agreed_price=-item.credits)
    item.follow_up = follow_up
    return -follow_up.credits_charged


def row_booked_before() -> Conflict:
    """The refusal of a row that this or another import of its file has booked."""
    return Conflict("This row of this file was booked before.", code="row_booked_before")


def forget_rows(*, user: User) -> None:
    """What files asked for a person who is being erased."""
    theirs = BulkItem.objects.filter(user=user)
    theirs.exclude(order={}).update(order={})
    theirs.filter(state__in=[BulkItemState.NEW, BulkItemState.READY]).update(
        state=BulkItemState.REFUSED, code="user_inactive", reason="This account is closed.", credits=0
    )


def _people(rows: Sequence[Row]) -> Mapping[str, User]:
    """Whoever the rows name, by email in lower case and by id, in two queries."""
    emails = {row["email"].lower() for row in rows if "email" in row}
    ids = {int(row["user_id"]) for row in rows if _is_id(row.get("user_id", ""))}
    by_email = User.objects.alias(lower=Lower("email")).filter(lower__in=emails) if emails else ()
    by_id = User.objects.filter(pk__in=ids) if ids else ()
    return {**{user.email.lower(): user for user in by_email}, **{str(user.pk): user for user in by_id}}


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def _item(
    change: BulkChange,
    row: Row,
    people: Mapping[str, User],
    templates: Sequence[FollowUpTemplate],
    file_key: str,
) -> BulkItem:
    item = BulkItem(change=change, number=int(row["row"]), file_key=file_key)
    try:
        item.user = _reader(row, people)
        item.order = _order(row, item.user, templates)
    except InvalidInput as fault:
        item.user, item.state = None, BulkItemState.REFUSED
        item.code, item.reason = "bad_row", fault.message[:300]
    return item


def _reader(row: Row, people: Mapping[str, User]) -> User:
    column = "user_id" if "user_id" in row else "email"
    who = row.get(column, "")
    if not who:
        raise _fault("email", "say who it is for, here or in user_id")
    user = people.get(str(int(who)) if column == "user_id" and _is_id(who) else who.lower())
    if user is None:
        raise _fault(column, "there is no such user")
    return user


def _order(row: Row, user: User, templates: Sequence[FollowUpTemplate]) -> dict[str, Any]:
    template = _template(row, templates)
    variables = {name: row[name] for name in unknown(row, COLUMNS)}
    for name in variables:
        if name not in template.variables:
            takes = ", ".join(template.variables) or "none"
            raise _fault(
                name[:40], f"no column is called so, and the template's variables are: {takes}"[:200]
            )
    order: dict[str, Any] = {"template_id": str(template.pk), "custom_variables": variables}
    if row.get("session_id"):
        order["session_id"] = row["session_id"]
    if row.get("scheduled_at"):
        order["scheduled_at"] = _moment(row["scheduled_at"], user).isoformat()
    return order


def _template(row: Row, templates: Sequence[FollowUpTemplate]) -> FollowUpTemplate:
    wanted, channel = row.get("template", ""), row.get("channel", "").lower()
    if not wanted:
        raise _fault("template", "give a template's name or id")
    named = [
        template
        for template in templates
        if wanted in (str(template.pk), template.key) or wanted.casefold() == template.name.casefold()
    ]
    found = [template for template in named if channel in ("", template.channel)]
    if len(found) > 1:
        raise _fault("template", "several have this name: give the channel too, or the id")
    if not found and named:
        raise _fault("channel", f"this template goes out by {named[0].channel}")
    if not found:
        raise _fault("template", "no active one has this name or id")
    return found[0]


def _moment(text: str, user: User) -> datetime:
    """ISO form; without an offset it is the reader's own time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _fault("scheduled_at", "write it as 2026-12-01 10:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=user.zone)


def _arguments(item: BulkItem) -> dict[str, Any]:
    assert item.user is not None
    asked = dict(item.order)
    if at := asked.pop("scheduled_at", None):
        asked["scheduled_at"] = datetime.fromisoformat(at)
    return {**asked, "user": item.user, "template_id": UUID(asked["template_id"])}


def _fault(column: str, fix: str) -> InvalidInput:
    return InvalidInput(f"Column {column}: {fix}.")
