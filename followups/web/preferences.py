"""How one wants to be written to, signed in; and one's credits."""

import re
from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from credits.models import CreditEntry
from credits.selectors import balance_of, statement_of
from followups.selectors.preferences import preferences_of
from followups.selectors.recipients import reachability
from followups.selectors.settings import effective_settings
from followups.services.preferences import update_preferences
from followups.web.forms import PreferencesForm
from followups.web.readers import ReaderRequest, for_reader, show
from followups.web.wording import no_address, refusal
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput

WORDING: Final = "preferences page 1"  # raise the number with what the page says about channels
ENTRIES_A_PAGE: Final = 25


@for_reader
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: ReaderRequest) -> HttpResponse:
    """One's wishes in one form; only what was changed is stored."""
    wishes = preferences_of(request.user)
    usual = effective_settings().quiet_hours
    form = PreferencesForm(request.POST or None, wishes=wishes, usual=usual)
    if form.is_valid():
        try:
            changes = form.changes()
            update_preferences(user=request.user, changes=changes, wording=WORDING)
        except InvalidInput as refused:
            form.add_error(None, refusal(refused))
        else:
            return _saved(request, new_language=changes.get("preferred_language"))
    context = {"form": form, "faults": _faults(request.user)}
    return show(request, "preferences.html", context, section="preferences")


def _saved(request: ReaderRequest, *, new_language: str | None) -> HttpResponse:
    with translation.override(new_language or translation.get_language()):
        messages.success(request, _("Your preferences are saved."))
    answer = redirect("followups:preferences")
    if new_language:  # pages follow it, until another is chosen for them
        answer.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")
    return answer


def _faults(user: User) -> dict[str, str]:
    """By channel that is on, why nothing would arrive by it."""
    found = {}
    for channel in settings.FOLLOWUP_CHANNELS:
        reach = reachability(user=user, channel=channel)
        if reach.refusals and not reach.has_opted_out:
            found[channel] = refusal(reach.refusals[0]) if reach.known else no_address(channel)
    return found


@for_reader
@require_safe
def credits(request: ReaderRequest) -> HttpResponse:
    """The balance and what moved it, newest first."""
    page = Paginator(statement_of(request.user), ENTRIES_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "entries": [(entry, _follow_up_of(entry)) for entry in page],
        "balance": balance_of(request.user),
    }
    return show(request, "credits.html", context, section="credits")


def _follow_up_of(entry: CreditEntry) -> UUID | None:
    """The follow-up an entry is about, as its key says."""
    key = re.fullmatch(r"followup:([0-9a-f-]{36}):\w+", entry.idempotency_key)
    return UUID(key[1]) if key else None
