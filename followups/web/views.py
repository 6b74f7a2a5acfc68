"""The FollowUpCenter and the unsubscribe page: server-rendered, working without JavaScript."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from credits.selectors import balance_of
from followups.conf import CHANNEL_LABELS
from followups.links import read_unsubscribe_token
from followups.selectors.center import grouped_by_session
from followups.selectors.settings import effective_settings
from followups.services.consent import opt_out
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import DomainError


@login_required
@require_GET
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


@method_decorator(csrf_exempt, name="dispatch")
class UnsubscribeView(View):
    """The page behind a message's unsubscribe link, without sign-in.

    GET only shows it, because scanners follow links; POST acts, one click being enough (RFC 8058). There's
    no CSRF check: the signed link is the credential and mail programs have no cookie.
    """

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._page(request, token, state="ask")

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        wish = read_unsubscribe_token(token)
        user = User.objects.filter(pk=wish.user_id).first() if wish else None
        if wish and user:
            opt_out(user=user, channel=wish.channel)
        return self._page(request, token, state="done")

    def _page(self, request: HttpRequest, token: str, *, state: str) -> HttpResponse:
        wish = read_unsubscribe_token(token)
        user = User.objects.filter(pk=wish.user_id).first() if wish else None
        if wish is None or user is None or wish.channel not in CHANNEL_LABELS:
            return render(
                request, "followups/unsubscribe.html", {"language": "en", "state": "invalid"}, status=404
            )
        with translation.override(user.preferred_language):
            return render(
                request,
                "followups/unsubscribe.html",
                {
                    "language": user.preferred_language,
                    "state": state,
                    "channel_label": CHANNEL_LABELS_IN_A_SENTENCE[user.preferred_language].get(
                        wish.channel, CHANNEL_LABELS[wish.channel]
                    ),
                },
            )


CHANNEL_LABELS_IN_A_SENTENCE = {
    "en": {
        "email": "email",
        "sms": "SMS",
        "whatsapp": "WhatsApp",
        "push": "push",
        "in_app": "in-app message",
    },
    "ta": {
        "email": "மின்னஞ்சல்",
        "sms": "குறுஞ்செய்தி",
        "whatsapp": "வாட்ஸ்அப்",
        "push": "கைபேசி அறிவிப்பு",
        "in_app": "செயலிச் செய்தி",
    },
}
