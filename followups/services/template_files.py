"""Templates as a file, to take them from one installation to another: written out, looked at, read in."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.dateparse import parse_time

from followups.models import TEXT_FIELDS, FollowUpTemplate
from followups.rendering import STANDARD_VARIABLES
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput

FIELDS: Final = (
    *("key", "name", "tamil_name", "description", "template_type", "channel", *TEXT_FIELDS, "variables"),
    *("credits_cost", "is_active", "service_types", "sequence_order", "delay_hours", "local_time"),
)
MOST_BYTES: Final = 1_000_000
MOST_TEMPLATES: Final = 200


@dataclass(frozen=True)
class Outcome:
    """What reading in one template does: ``faults`` say field and fix; then it is left as it is."""

    number: int
    name: str
    channel: str
    is_new: bool = False
    changed: Sequence[str] = ()
    faults: Sequence[str] = ()
    warnings: Sequence[str] = ()


def export_templates(templates: Iterable[FollowUpTemplate]) -> list[dict[str, Any]]:
    """The templates with their texts in both languages, ready for JSON; no ids, no history."""
    return [{name: _plain(name, getattr(template, name)) for name in FIELDS} for template in templates]


def read_templates(content: bytes) -> list[dict[str, Any]]:
    """The templates of a file that `export_templates` wrote. Raises ``InvalidInput`` with the fix."""
    if len(content) > MOST_BYTES:
        raise _bad(f"The file is larger than {MOST_BYTES // 1_000_000} MB.")
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _bad("This is no JSON file of templates.") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _bad("A file of templates is a list of objects.")
    if not 0 < len(found) <= MOST_TEMPLATES:
        raise _bad(f"Send at least one template and at most {MOST_TEMPLATES}.")
    return found


def import_templates(templates: Sequence[Mapping[str, Any]], *, actor: User, dry_run: bool) -> list[Outcome]:
    """Create or change each template through `save_template`; tell what became, or would become, of each.

    One is known again by its key, else by name and channel. One with a fault is left out, the others are
    saved; read in again, nothing changes any more. A dry run undoes everything it tried.
    """
    with transaction.atomic():
        outcomes = [_import(number, fields, actor) for number, fields in enumerate(templates, start=1)]
        transaction.set_rollback(dry_run)
    return outcomes


def _import(number: int, raw: Mapping[str, Any], actor: User) -> Outcome:
    name, channel = str(raw.get("name", ""))[:100], str(raw.get("channel", ""))[:20]
    unknown = sorted(set(raw) - set(FIELDS))
    if unknown:
        fault = f"{', '.join(unknown)[:100]}: no such field; it takes: {', '.join(FIELDS)}."
        return Outcome(number, name, channel, faults=[fault])
    known = _known(raw)
    try:
        with transaction.atomic():
            fields = _fields(raw)
            before = export_templates([known])[0] if known else {}
            if known and before == {**before, **{key: _plain(key, value) for key, value in fields.items()}}:
                return Outcome(number, name, channel)
            saved, warnings = save_template(fields=fields, template=known, actor=actor)
            saved.refresh_from_db()
            after = export_templates([saved])[0]
    except InvalidInput as fault:
        told = [f"{field}: {' '.join(each)}" for field, each in fault.errors.items()] or [fault.message]
        return Outcome(number, name, channel, faults=told)
    except ValidationError as fault:
        told = [f"{field}: {' '.join(each)}" for field, each in fault.message_dict.items()]
        return Outcome(number, name, channel, faults=told)
    changed = [field for field in FIELDS if after[field] != before.get(field)]
    return Outcome(number, name, channel, known is None, changed, warnings=[str(each) for each in warnings])


def _known(raw: Mapping[str, Any]) -> FollowUpTemplate | None:
    live = FollowUpTemplate.objects.filter(archived_at__isnull=True).order_by("created_at", "pk")
    if isinstance(key := raw.get("key"), str) and key:
        return FollowUpTemplate.objects.filter(key=key).first()
    return live.filter(name=raw.get("name"), channel=raw.get("channel")).first()


def _fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values as `save_template` takes them. Raises ``InvalidInput`` naming a field of no use."""
    fields = dict(raw)
    for name, value in raw.items():
        kind = _KINDS.get(name, str)
        if value is None and name in _MAY_BE_NULL:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InvalidInput.field(name, f"Give a {_CALLED[kind]}.")
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise InvalidInput.field(name, "Give a list of texts.")
    if fields.get("local_time") is not None:
        fields["local_time"] = _time(fields["local_time"])
    if "variables" in fields:
        fields["variables"] = [each for each in fields["variables"] if each not in STANDARD_VARIABLES]
    if not fields.get("key", "x"):
        fields["key"] = None
    return fields


_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("credits_cost", "sequence_order", "delay_hours"), int),
    **dict.fromkeys(("variables", "service_types"), list),
    "is_active": bool,
}
_MAY_BE_NULL: Final = ("key", "credits_cost", "sequence_order", "local_time")
_CALLED: Final[Mapping[type, str]] = {int: "whole number", list: "list", bool: "true or false", str: "text"}


def _time(text: str) -> time:
    try:
        moment = parse_time(text)
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidInput.field("local_time", "Write it as 10:00.")
    return moment


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, time):
        return value.isoformat(timespec="minutes")
    if name == "variables":
        return [each for each in value if each not in STANDARD_VARIABLES]
    return value


def _bad(message: str) -> InvalidInput:
    return InvalidInput.field("file", message)
