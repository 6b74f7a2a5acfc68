"""An account's statement as its page in the admin site shows it."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from credits.models import CreditAccount, CreditEntry
from credits.selectors import StatementLine, statement_page

# The one thing this floor knows about what is charged: how its keys are written.
_FOLLOW_UP: Final = re.compile(r"followup:([0-9a-f-]{36}):\w+")


@dataclass(frozen=True)
class Row:
    """A line with the pages it leads to: of what it was for, and to refund it."""

    entry: CreditEntry
    balance_after: int
    page: str
    refund_page: str


def statement_context(request: HttpRequest, account: CreditAccount) -> dict[str, Any]:
    """The page of entries a request asks for, with links to what its reader may open."""
    page = statement_page(account, older_than=_as_uuid(request.GET.get("older_than", "")))
    may_refund = request.user.has_perm("credits.add_creditentry")
    may_look = request.user.has_perm("followups.view_followupschedule")
    given = _given_back(page.lines) if may_refund else frozenset()
    rows = [_row(line, given, may_look=may_look, may_refund=may_refund) for line in page.lines]
    return {"rows": rows, "older_than": page.older_than, "is_first": "older_than" not in request.GET}


def _given_back(lines: Sequence[StatementLine]) -> Container[str]:
    """Of the follow-ups on a page those whose charge was given back, as a refund or out of goodwill."""
    found = (_FOLLOW_UP.fullmatch(line.entry.idempotency_key) for line in lines)
    ids = [match[1] for match in found if match]
    keys = [f"followup:{each}:{what}" for each in ids for what in ("refund", "goodwill")]
    known = CreditEntry.objects.filter(idempotency_key__in=keys).values_list("idempotency_key", flat=True)
    return {key.split(":")[1] for key in known}


def _row(line: StatementLine, given_back: Container[str], *, may_look: bool, may_refund: bool) -> Row:
    entry = line.entry
    found = _FOLLOW_UP.fullmatch(entry.idempotency_key)
    page = refund_page = ""
    if found and may_look:
        page = reverse("admin:followups_followupschedule_change", args=[found[1]])
    is_open = entry.kind == CreditEntry.Kind.CHARGE and entry.amount < 0
    if found and may_refund and is_open and found[1] not in given_back:
        refund_page = f"{reverse('admin:followups_refund')}?follow_up={found[1]}"
    return Row(entry, line.balance_after, page, refund_page)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
