"""The FollowUpCenter: server-rendered, working without JavaScript."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.http import require_POST, require_safe

from credits.selectors import balance_of
from followups.selectors.center import grouped_by_session
from followups.selectors.settings import effective_settings
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError


@login_required
@require_safe
def center(request: HttpRequest) -> HttpResponse:
    """The user's follow-ups, grouped by the session they belong to."""
    user = request.user
    assert isinstance(user, User)
    with translation.override(user.preferred_language):
        return render(
            request,
            "followups/center.html",
            {
                "groups": grouped_by_session(user),
                "credits": balance_of(user),
                "language": user.preferred_language,
                "refund_on_cancel": effective_settings().refund_on_cancel,
            },
        )


@login_required
@require_POST
def cancel(request: HttpRequest, follow_up_id: UUID) -> HttpResponse:
    """Cancel one's own follow-up and go back to the list."""
    assert isinstance(request.user, User)
    try:
        cancel_follow_up(follow_up_id=follow_up_id, owner=request.user)
    except DomainError as refused:
        messages.error(request, refused.message)
    return redirect("followups:center")
