"""Writes to templates. Every change of text makes a new immutable version."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from followups.linting import TEXTS, Findings, lint
from followups.models import TEXT_FIELDS, FollowUpTemplate, TemplateVersion
from followups.rendering import STANDARD_VARIABLES, clean
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput


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
    pin_version(template=template, actor=actor)
    return template, findings.warnings


def pin_version(*, template: FollowUpTemplate, actor: User | None = None) -> TemplateVersion:
    """The immutable version of the template's text as it stands, made now if the text has changed.

    Whoever changed it, and however: what is bought is the text of this moment.
    """
    text = {name: getattr(template, name) for name in TEXT_FIELDS}
    latest = template.versions.order_by("-number").first()
    if latest is not None and all(getattr(latest, name) == value for name, value in text.items()):
        return latest
    template.version = latest.number + 1 if latest else 1
    template.save(update_fields=["version"])
    return TemplateVersion.objects.create(
        template=template, number=template.version, created_by=actor, **text
    )


@transaction.atomic
def remove_template(*, template: FollowUpTemplate) -> bool:
    """Delete a template nobody used and return ``True``; archive one that is in use and return ``False``.

    Follow-ups already bought still go out.
    """
    template = FollowUpTemplate.objects.select_for_update().get(pk=template.pk)
    if template.follow_ups.exists() or template.analytics.exists():
        template.is_active = False
        template.archived_at = Now()
        template.save(update_fields=["is_active", "archived_at", "updated_at"])
        return False
    template.delete()
    return True
