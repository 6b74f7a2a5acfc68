"""Reads of the audit."""

from dataclasses import dataclass

from django.db.models import Model, QuerySet

from jyotiflow.auditing.diffs import Piece, compare
from jyotiflow.auditing.models import AuditEntry


@dataclass(frozen=True)
class FieldChange:
    """One field of an entry: what it was and what it became, as pieces that are the same or not."""

    name: str
    before: list[Piece]
    after: list[Piece]


def audit_of(model: type[Model]) -> QuerySet[AuditEntry]:
    """What was done to rows of a model, the newest first, with who did it."""
    return AuditEntry.objects.filter(kind=model._meta.label_lower).select_related("actor").order_by("-pk")


def field_changes(entry: AuditEntry) -> list[FieldChange]:
    """The entry's fields in their order, each with its difference."""
    names = dict.fromkeys([*entry.before, *entry.after])
    return [
        FieldChange(name, *compare(_in_words(entry.before.get(name)), _in_words(entry.after.get(name))))
        for name in names
    ]


def _in_words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return str(value)
