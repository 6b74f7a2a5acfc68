"""Writes to templates. Every change of text makes a new immutable version."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from followups.linting import TEXTS, Findings, lint
from followups.models import TEXT_FIELDS, FollowUpTemplate, TemplateVersion
from followups.rendering import STANDARD_VARIABLES, clean
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import fields_of, record_change
from jyotiflow.exceptions import InvalidInput

# What a change of is written down; the version and the times follow from it.
AUDITED = (
    *("name", "tamil_name", "description", "template_type", "channel", *TEXT_FIELDS),
    *("credits_cost", "is_active", "archived_at"),
    *("service_types", "sequence_order", "delay_hours", "local_time"),
)


def check_template(template: FollowUpTemplate, *, declared: Sequence[str] | None) -> Findings:
    """Lint a template as it would be saved."""
    return lint(
        channel=template.channel,
        texts={name: getattr(template, name) for name in TEXTS},
        declared=declared,
    )


@transaction.atomic
def save_template(
    *, fields: Mapping[str, Any], template: FollowUpTemplate | None = None, actor: User | None = None
) -> tuple[FollowUpTemplate, Sequence[str]]:
    """Create a template, or change the given fields of one; returns it with the warnings about its text.

    Raises ``InvalidInput`` naming each bad field and stores nothing. Follow-ups bought before keep the
    version they were bought with.
    """
    if template is not None:
        template = FollowUpTemplate.objects.select_for_update().get(pk=template.pk)
    before = fields_of(template, AUDITED) if template else None
    known = template.variables if template else []
    template = template or FollowUpTemplate()
    declared = fields.get("variables")
    if declared is None and known:
        declared = [name for name in known if name not in STANDARD_VARIABLES]
    for name, value in fields.items():
        if name != "variables":
            setattr(template, name, clean(value) if name in TEXTS else value)
    findings = check_template(template, declared=declared)
    if findings.errors:
        raise InvalidInput("The template's text is not valid.", errors=findings.errors)
    template.variables = list(findings.variables)
    template.full_clean()
    template.save()
    template.version = pin_version(template=template, actor=actor).number
    _record_save(template, before, actor)
    return template, findings.warnings


def _record_save(template: FollowUpTemplate, before: Mapping[str, object] | None, actor: User | None) -> None:
    after = fields_of(template, AUDITED)
    action = Action.CHANGED
    if before is None:
        action, after = Action.CREATED, {name: value for name, value in after.items() if value}
    elif before["archived_at"] and not template.archived_at:
        action = Action.RESTORED
    record_change(action=action, of=template, label=template.name, actor=actor, before=before, after=after)


def pin_version(*, template: FollowUpTemplate, actor: User | None = None) -> TemplateVersion:
    """The immutable version of the template's text as it stands, made now if the text has changed.

    Whoever changed it, and however: what is bought is the text of this moment.
    """
    latest = _version_of_text(template)
    if latest is not None:
        return latest
    # Somebody may be saving or pinning it this moment: the lock lets one go first, and its text counts.
    locked = FollowUpTemplate.objects.select_for_update().get(pk=template.pk)
    latest = _version_of_text(locked)
    if latest is None:
        newest = locked.versions.order_by("-number").first()
        locked.version = newest.number + 1 if newest else 1
        locked.save(update_fields=["version"])
        text = {name: getattr(locked, name) for name in TEXT_FIELDS}
        latest = TemplateVersion.objects.create(
            template=locked, number=locked.version, created_by=actor, **text
        )
    return latest


def _version_of_text(template: FollowUpTemplate) -> TemplateVersion | None:
    """The newest version, if it's the template's text as it stands."""
    newest = template.versions.first()  # the newest comes first, and may be at hand
    if newest is None or any(getattr(newest, name) != getattr(template, name) for name in TEXT_FIELDS):
        return None
    return newest


def restore_version(*, version: TemplateVersion, actor: User) -> tuple[FollowUpTemplate, Sequence[str]]:
    """Give a template the text of an earlier version again, as a new version; with the warnings about it.

    Name, price and times stay. Raises ``InvalidInput`` where that text may not be saved any more.
    """
    text = {name: getattr(version, name) for name in TEXT_FIELDS}
    text["variables"] = [name for name in version.variables if name not in STANDARD_VARIABLES]
    return save_template(fields=text, template=version.template, actor=actor)


@transaction.atomic
def remove_template(*, template: FollowUpTemplate, actor: User | None = None) -> bool:
    """Delete a template nobody used and return ``True``; archive one that is in use and return ``False``.

    Follow-ups already bought still go out.
    """
    template = FollowUpTemplate.objects.select_for_update().get(pk=template.pk)
    before = fields_of(template, AUDITED)
    if template.follow_ups.exists() or template.analytics.exists():
        template.is_active = False
        template.archived_at = Now()
        template.save(update_fields=["is_active", "archived_at", "updated_at"])
        template.refresh_from_db(fields=["archived_at"])
        after = fields_of(template, AUDITED)
        record_change(
            action=Action.ARCHIVED, of=template, label=template.name, actor=actor, before=before, after=after
        )
        return False
    kept = {name: value for name, value in before.items() if value}
    record_change(action=Action.DELETED, of=template, label=template.name, actor=actor, before=kept)
    template.delete()
    return True
