"""Message preferences behind the link of a message, without signing in: less than one's own page offers."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from followups.choices import ConsentDoor
from followups.links import read_preferences_token
from followups.selectors.preferences import preferences_of
from followups.services.preferences import update_preferences
from followups.web.forms import LinkPreferencesForm
from followups.web.wording import refusal
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput
from jyotiflow.languages import chosen_language, speaking

WORDING: Final = "link preferences page 1"  # raise the number with what the page says about channels


@method_decorator(csrf_exempt, name="dispatch")
class LinkPreferencesView(View):
    """The signed link is the credential; it shows no address and starts no messages again.

    There's no CSRF check and no cookie: whoever holds the link may do what it says.
    """

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._answer(request, token)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._answer(request, token, data=request.POST)

    def _answer(self, request: HttpRequest, token: str, data: object = None) -> HttpResponse:
        wish = read_preferences_token(token)
        user = User.objects.filter(pk=wish.user_id, is_active=True).first() if wish else None
        if user is None:
            return render(request, "followups/unsubscribe.html", {"state": "invalid"}, status=404)
        language = chosen_language(request) or user.preferred_language
        with speaking(request, language), timezone.override(user.zone):
            wishes = preferences_of(user)
            form = LinkPreferencesForm(data, wishes=wishes)
            is_saved = False
            if form.is_valid():
                try:
                    wishes = update_preferences(
                        user=user, changes=form.changes(), wording=WORDING, door=ConsentDoor.LINK
                    )
                    form, is_saved = LinkPreferencesForm(wishes=wishes), True
                except InvalidInput as refused:
                    form.add_error(None, refusal(refused))
            off = [name for name, is_on in wishes.channels.items() if not is_on]
            context = {"form": form, "is_saved": is_saved, "off": off}
            return render(request, "followups/link_preferences.html", context)
