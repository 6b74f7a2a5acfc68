"""Collects what `verdict.py` judges: rows and ledger of the database, acceptances of the simulator's log."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from credits.models import CreditEntry
from credits.selectors import imbalances
from followups.choices import AttemptState
from followups.models import Attempt, FollowUpSchedule, InAppMessage
from tests.faults.database import rows
from tests.faults.simulator.log import reference_in
from tests.faults.simulator.script import UNTOLD, Fault
from tests.faults.verdict import Booked, Facts, Taken


def collect(
    *,
    records: Sequence[Mapping[str, Any]],
    told: Mapping[str, str],
    asked: Collection[str],
    disturbed: Collection[str],
    at_least_once: Collection[str] = (),
    ambiguities: int = 0,
) -> Facts:
    """Everything as it stands when all has come to rest; see ``Facts`` for what is allowed."""
    return Facts(
        booked=_booked(disturbed),
        taken=[*taken_by_providers(records), *_taken_in_app()],
        acknowledged=told,
        asked=asked,
        ledger_faults=_ledger_faults(),
        at_least_once=at_least_once,
        ambiguities=ambiguities,
    )


def taken_by_providers(records: Sequence[Mapping[str, Any]]) -> list[Taken]:
    """The acceptances in the simulator's log. A push shown again under its tag is not a second one."""
    undelivered = {line["id"] for line in records if line["what"] == "undelivered"}
    return [
        Taken(
            provider=line["provider"],
            id=line["id"],
            channel=line["channel"],
            ref=line["ref"],
            follow_up=line.get("follow_up", ""),
            attempt=line.get("attempt", ""),
            is_undelivered=line["id"] in undelivered,
            is_untold=line["fault"] in (*UNTOLD, Fault.SLOW),
        )
        for line in records
        if line["what"] == "accepted"
    ]


def _taken_in_app() -> list[Taken]:
    """Our own table is the in-app provider."""
    return [
        Taken("in_app", str(row.pk), "in_app", reference_in(row.body), follow_up=str(row.follow_up_id))
        for row in InAppMessage.objects.all()
    ]


def _booked(disturbed: Collection[str]) -> list[Booked]:
    attempts: defaultdict[Any, list[str]] = defaultdict(list)
    unknown: Counter[Any] = Counter()
    for follow_up, attempt, state in Attempt.objects.values_list("follow_up_id", "pk", "state"):
        attempts[follow_up].append(str(attempt))
        unknown[follow_up] += state == AttemptState.ABANDONED
    moved: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, kind, amount in CreditEntry.objects.values_list("idempotency_key", "kind", "amount"):
        if key.startswith("followup:"):
            moved[key.split(":")[1]].append((kind, amount))
    return [
        Booked(
            id=str(row.pk),
            channel=row.channel,
            state=row.status,
            ref=row.custom_variables.get("mark", ""),
            price=row.credits_charged,
            charges=_amounts(moved[str(row.pk)], CreditEntry.Kind.CHARGE),
            refunds=_amounts(moved[str(row.pk)], CreditEntry.Kind.REFUND),
            attempts=tuple(attempts[row.pk]),
            unknown=unknown[row.pk],
            was_disturbed=str(row.pk) in disturbed or row.tries > 1 or len(attempts[row.pk]) > 1,
            is_repeat=row.retry_of_id is not None,
        )
        for row in FollowUpSchedule.objects.all()
    ]


def _amounts(moved: Sequence[tuple[str, int]], kind: str) -> tuple[int, ...]:
    return tuple(amount for found, amount in moved if found == kind)


def _ledger_faults() -> list[str]:
    faults = [f"the balance of account {found.account_id} is not its entries' sum" for found in imbalances()]
    orphans = rows(
        "SELECT count(*) FROM credit_entries WHERE idempotency_key LIKE 'followup:%%'"
        " AND split_part(idempotency_key, ':', 2) NOT IN (SELECT id::text FROM follow_up_schedules)"
    )
    if orphans[0][0]:
        faults.append(f"{orphans[0][0]} credits moved for follow-ups that don't exist")
    return faults
