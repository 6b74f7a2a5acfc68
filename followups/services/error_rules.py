"""Writes to the error rules."""

from collections.abc import Collection
from dataclasses import fields

from django.db import transaction
from django.db.models import QuerySet

from followups.channels.verdicts import SHIPPED, Rule
from followups.choices import ErrorPhase, RuleOrigin
from followups.models import ErrorRule
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import fields_of, record_change

_FIELDS = [field.name for field in fields(Rule)]


@transaction.atomic
def load_shipped_rules() -> int:
    """Bring the rows in step with what is shipped; returns how many are new. Edited rows stay as they are."""
    before = ErrorRule.objects.count()
    for rule in SHIPPED.values():
        _same(rule).exclude(origin=RuleOrigin.EDITED).update(**_values(rule))
    ErrorRule.objects.bulk_create(
        [ErrorRule(**_values(rule)) for rule in SHIPPED.values()], ignore_conflicts=True
    )
    for row in ErrorRule.objects.filter(origin=RuleOrigin.SHIPPED):
        if (ErrorPhase(row.phase), row.provider, row.code) not in SHIPPED:
            row.delete()
    return ErrorRule.objects.count() - before


@transaction.atomic
def save_edited_rule(*, row: ErrorRule, actor: User | None = None) -> ErrorRule:
    """Store a rule somebody wrote or changed: from the next error on it goes before the shipped one."""
    known = ErrorRule.objects.select_for_update().filter(pk=row.pk).first()
    row.origin = RuleOrigin.EDITED
    row.full_clean()
    row.save()
    _record(Action.CHANGED if known else Action.CREATED, row, known, actor)
    return row


@transaction.atomic
def restore_shipped_rules(*, ids: Collection[int], actor: User | None = None) -> int:
    """Give edited rows back their shipped meaning; returns how many. Rows nobody ships stay as they are."""
    restored = 0
    for row in ErrorRule.objects.filter(pk__in=ids, origin=RuleOrigin.EDITED):
        rule = SHIPPED.get((ErrorPhase(row.phase), row.provider, row.code))
        if rule is not None:
            restored += _same(rule).update(**_values(rule))
            _record(Action.RESTORED, ErrorRule.objects.get(pk=row.pk), row, actor)
    return restored


def _record(action: Action, row: ErrorRule, before: ErrorRule | None, actor: User | None) -> None:
    record_change(
        action=action,
        of=row,
        label=f"{row.provider} {row.phase} {row.code}",
        actor=actor,
        before=fields_of(before, (*_FIELDS, "origin")) if before else None,
        after=fields_of(row, (*_FIELDS, "origin")),
    )


def _same(rule: Rule) -> QuerySet[ErrorRule]:
    return ErrorRule.objects.filter(provider=rule.provider, phase=rule.phase, code=rule.code)


def _values(rule: Rule) -> dict[str, object]:
    values = {name: getattr(rule, name) for name in _FIELDS}
    return {**values, "suppress": rule.suppress or "", "origin": RuleOrigin.SHIPPED}
