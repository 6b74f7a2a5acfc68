"""The newest version for what waits with an older one: what that would change, and then step by step."""

import time
from typing import Any, Final, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from followups.admin.searching import as_uuid
from followups.models import FollowUpTemplate
from followups.selectors.versions import reach_of_newest
from followups.services.repinning import AT_ONCE, apply_version
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError

SECONDS_A_REQUEST: Final = 2.0  # then it tells how far it is, and goes on with the next
ROWS_A_STEP: Final = AT_ONCE
PAGE: Final = "admin/followups/followuptemplate/apply.html"


@permission_required("followups.change_followuptemplate", raise_exception=True)
def apply_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shown, it tells what would change; sent, it changes as much as a request may take."""
    template = get_object_or_404(FollowUpTemplate, pk=pk)
    context = {
        **admin.site.each_context(request),
        "opts": FollowUpTemplate._meta,
        "original": template,
        "title": _("Apply the newest version to what waits"),
    }
    if request.method == "POST":
        context |= _apply(request, template)
    if not context.get("goes_on"):
        context["reach"] = reach_of_newest(template)
    return render(request, PAGE, context)


def _apply(request: HttpRequest, template: FollowUpTemplate) -> dict[str, Any]:
    """One request's share. It begins where the one before ended; leaving the page stops it there."""
    version = get_object_or_404(template.versions, number=_number(request, "version"))
    after = as_uuid(request.POST.get("after", ""))
    actor = cast(User, request.user)
    changed = before = _number(request, "changed")
    refused, end = _number(request, "refused"), time.monotonic() + SECONDS_A_REQUEST
    try:
        while True:
            step = apply_version(version=version, after=after, limit=ROWS_A_STEP, actor=actor)
            changed, refused, after = changed + step.changed, refused + step.refused, step.last
            if after is None or time.monotonic() > end:
                break
    except DomainError as stopped:
        return {"refusal": stopped.message, "changed": changed, "refused": refused}
    finally:
        if changed > before:
            _record(request, template, version.number, changed - before)
    return {
        "changed": changed,
        "refused": refused,
        "version": version,
        "goes_on": after is not None,
        "after": after,
        "is_done": after is None,
    }


def _record(request: HttpRequest, template: FollowUpTemplate, number: int, changed: int) -> None:
    """For the template's own history; the service has written it down for the audit."""
    note = ngettext(
        "Applied version %(number)d to %(count)d follow-up that waited.",
        "Applied version %(number)d to %(count)d follow-ups that waited.",
        changed,
    )
    options = admin.site.get_model_admin(FollowUpTemplate)
    options.log_change(request, template, note % {"number": number, "count": changed})


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
