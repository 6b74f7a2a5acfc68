"""The pages behind a message's unsubscribe link: out, and back again. No sign-in, no cookie, no redirect."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from followups.conf import CHANNEL_LABELS
from followups.links import (
    Unsubscription,
    come_back_path,
    link_preferences_path,
    read_come_back_token,
    read_unsubscribe_token,
)
from followups.services.unsubscribing import ONE_CLICK, PAGE, can_come_back, come_back, unsubscribe
from followups.web.wording import channel_in_a_sentence
from jyotiflow.accounts.models import User
from jyotiflow.languages import chosen_language, speaking


@method_decorator(csrf_exempt, name="dispatch")
class LinkView(View):
    """A page whose signed link is the credential.

    GET only shows it, because scanners follow links; POST acts. There's no CSRF check: mail programs have no
    cookie, and whoever holds the link may do what it says.
    """

    read_token: Callable[[str], Unsubscription | None]

    def wish_of(self, token: str) -> tuple[Unsubscription, User] | None:
        """Whom a token speaks for; ``None`` for one that is forged or of another purpose."""
        wish = type(self).read_token(token)
        user = User.objects.filter(pk=wish.user_id).first() if wish else None
        if wish is None or user is None or wish.channel not in CHANNEL_LABELS:
            return None
        return wish, user

    def page(
        self, request: HttpRequest, known: tuple[Unsubscription, User] | None, *, state: str
    ) -> HttpResponse:
        """The page in its reader's language, unless another was chosen; 404 for an unknown link."""
        template = "followups/unsubscribe.html"
        if known is None:
            return render(request, template, {"state": "invalid"}, status=404)
        wish, user = known
        offers_return = state == "done" and can_come_back(user=user, wish=wish)
        with speaking(request, chosen_language(request) or user.preferred_language):
            return render(
                request,
                template,
                {
                    "state": state,
                    "come_back_path": come_back_path(wish) if offers_return else "",
                    "preferences_path": link_preferences_path(wish),
                    "channel": channel_in_a_sentence(wish.channel),
                },
            )


class UnsubscribeView(LinkView):
    """Out of a channel: one POST is enough, as RFC 8058 has mail programs do it."""

    read_token = staticmethod(read_unsubscribe_token)

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self.page(request, self.wish_of(token), state="ask")

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        known = self.wish_of(token)
        if known:
            wish, user = known
            one_click = request.POST.get("List-Unsubscribe") == "One-Click"
            unsubscribe(user=user, wish=wish, wording=ONE_CLICK if one_click else PAGE)
        return self.page(request, known, state="done")


class ComeBackView(LinkView):
    """Back again: the button on the page that says it is done, with a token of its own."""

    read_token = staticmethod(read_come_back_token)

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self.page(request, self.wish_of(token), state="done")

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        known = self.wish_of(token)
        came_back = known is not None and come_back(wish=known[0], user=known[1])
        return self.page(request, known, state="back" if came_back else "done")
