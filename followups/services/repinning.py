"""A template's newest version for what was bought before: on purpose, by staff, never by itself.

Claim, gate and this change lock the same row, and version and language change in one statement: whoever sends
a message reads both as they were before or both as they are after.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings as django_settings
from django.db import transaction
from django.utils.timezone import now

from followups.choices import State
from followups.models import FollowUpSchedule, FollowUpTemplate, TemplateVersion
from followups.selectors.gate import AtGate, read_at_gate
from followups.selectors.refusals import language_for
from followups.selectors.versions import changeable
from jyotiflow.accounts.models import Language, User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import Conflict

log = structlog.get_logger(__name__)

AT_ONCE: Final = 1_000  # rows locked by one transaction; a claim passes them by meanwhile


@dataclass(frozen=True)
class Step:
    """What one step came to: how many were ``changed``, how many ``refused`` the new text.

    ``last`` is the key to go on after; ``None`` when there is nothing left.
    """

    changed: int
    refused: int
    last: UUID | None


@transaction.atomic
def apply_version(
    *,
    version: TemplateVersion,
    after: UUID | None = None,
    limit: int = AT_ONCE,
    actor: User | None = None,
) -> Step:
    """Give the template's newest version to at most ``limit`` pending follow-ups that have an older one.

    The price stays: they were paid for. What was handed to a provider before keeps its text, for under one
    idempotency key each try must read the same; and so does what the channel would refuse with the new one.

    Raises ``Conflict`` when there is a newer version, or the channel isn't in use any more.
    """
    template = FollowUpTemplate.objects.get(pk=version.template_id)  # as it is now
    if version != template.versions.first():
        message = "The template was changed meanwhile: look at the newest version first."
        raise Conflict(message, code="version_outdated")
    if template.channel not in django_settings.FOLLOWUP_CHANNELS:
        raise Conflict("This channel isn't in use any more.", code="channel_gone")
    waiting = changeable(template, version).order_by("pk")
    if after is not None:
        waiting = waiting.filter(pk__gt=after)
    # No key of theirs that others refer to changes: an in-app message may be written meanwhile.
    locked = waiting.select_for_update(of=("self",), no_key=True)
    wanted = dict(locked.values_list("pk", "wanted_language")[:limit])
    told: dict[str, list[UUID]] = {}
    for one in read_at_gate(list(wanted)):
        if language := _language(one, template, version, wanted[one.follow_up_id]):
            told.setdefault(language, []).append(one.follow_up_id)
    changed = sum(
        FollowUpSchedule.objects.filter(pk__in=ids, status=State.PENDING).update(
            template_version=version, language=language, updated_at=now()
        )
        for language, ids in told.items()
    )
    if changed:
        told_after = {"applied_version": version.number, "to_waiting": changed}
        record_change(action=Action.CHANGED, of=template, label=template.name, actor=actor, after=told_after)
    log.info("version_applied", template_id=str(template.pk), version=version.number, changed=changed)
    return Step(changed, len(wanted) - changed, max(wanted) if len(wanted) == limit else None)


def _language(
    one: AtGate, template: FollowUpTemplate, version: TemplateVersion, wanted: str
) -> Language | None:
    """What it's told in with the new text; ``None`` when its channel would refuse that."""
    one.user.preferred_language = wanted
    language, objection = language_for(
        user=one.user,
        channel=one.channel.name,
        version=version,
        template_type=template.template_type,
        moment=max(one.facts.scheduled_at, one.facts.now),
        reach=one.reach,
    )
    return None if objection else language
