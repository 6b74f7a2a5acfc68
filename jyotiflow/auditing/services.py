"""Writing down who changed what. Called by the services that change it, inside their transaction."""

from collections.abc import Iterable, Mapping

from django.db.models import Model

from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action, AuditEntry

Fields = Mapping[str, object]  # values as JSON has them, or as Django turns them into it
LONGEST_LABEL = 200


def record_change(
    *,
    action: Action,
    of: Model | type[Model],
    actor: User | None,
    label: str = "",
    before: Fields | None = None,
    after: Fields | None = None,
) -> AuditEntry | None:
    """Write one change down; ``None``, and nothing written, for a ``CHANGED`` that changed nothing.

    ``of`` is the row, or its model for what is about many. Only fields that differ are kept. The caller sees
    to it that neither ``label`` nor a value names a person or holds what is written to one: an entry is never
    changed, not even when a person is erased.
    """
    old, new = differing(before or {}, after or {})
    if action == Action.CHANGED and not (old or new):
        return None
    return AuditEntry.objects.create(
        action=action,
        kind=of._meta.label_lower,
        object_id="" if isinstance(of, type) else str(of.pk),
        label=label[:LONGEST_LABEL],
        actor=actor,
        before=old,
        after=new,
    )


def fields_of(row: Model, names: Iterable[str]) -> dict[str, object]:
    """The named columns of a row, to be compared later."""
    return {name: getattr(row, name) for name in names}


def differing(before: Fields, after: Fields) -> tuple[dict[str, object], dict[str, object]]:
    """The fields of both sides that are not the same on the other."""
    return (
        {name: value for name, value in before.items() if name not in after or after[name] != value},
        {name: value for name, value in after.items() if name not in before or before[name] != value},
    )
