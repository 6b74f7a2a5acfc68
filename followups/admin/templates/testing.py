"""A test of a template to one address, from its page: free, marked, limited as by the API."""

from functools import partial
from typing import Any, Final, cast
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.validators import RegexValidator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from followups.channels import get_channel
from followups.models import FollowUpTemplate
from followups.services.direct import queue_test
from followups.services.idempotency import Answer, answer_once
from followups.tasks import hand_over_direct
from jyotiflow.accounts.limits import limit_staff
from jyotiflow.accounts.models import Language, User
from jyotiflow.exceptions import DomainError

OWN_FORM: Final = {"form": "test-form"}
ONE_LINE: Final = RegexValidator(r"\A[^\x00-\x1f\x7f]+\Z", _("Use one line."))


class TestForm(forms.Form):
    """Where a test goes. ``key`` is the button's: pressed twice it sends once.

    Its fields stand inside the template's form and belong to one of their own.
    """

    __test__ = False  # no test of pytest's

    test_to = forms.CharField(
        label=_("To"), max_length=1_024, validators=[ONE_LINE], widget=forms.TextInput(OWN_FORM)
    )
    test_language = forms.ChoiceField(label=_("In"), choices=Language, widget=forms.Select(OWN_FORM))
    test_key = forms.UUIDField(widget=forms.HiddenInput(OWN_FORM))


def test_form(user: User, template: FollowUpTemplate) -> TestForm | None:
    """An empty form for whoever may send tests, to themselves unless told otherwise; ``None`` for others.

    The inbox has no addresses: ``None`` as well.
    """
    if not user.has_perm("followups.send_test") or get_channel(template.channel).needs_follow_up:
        return None
    own = {"email": user.email, "sms": user.phone, "whatsapp": user.phone}.get(template.channel, "")
    return TestForm(initial={"test_to": own, "test_language": user.preferred_language, "test_key": uuid4()})


@require_POST
@permission_required("followups.send_test", raise_exception=True)
@limit_staff
def test_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send the saved template as a test; says what came of it."""
    template = get_object_or_404(FollowUpTemplate, pk=pk)
    refusal = _send(request, template)
    if request.headers.get("HX-Request") != "true":
        level = messages.WARNING if refusal else messages.SUCCESS
        messages.add_message(request, level, refusal or str(ON_ITS_WAY))
        return redirect("admin:followups_followuptemplate_change", pk)
    context = {"refusal": refusal, "template": template, "key": uuid4()}
    return render(request, "admin/followups/followuptemplate/_tested.html", context)


ON_ITS_WAY: Final = _("The test message is on its way.")


def _send(request: HttpRequest, template: FollowUpTemplate) -> str:
    """Why it was refused; empty when it's on its way."""
    form = TestForm(request.POST)
    if not form.is_valid():
        return " ".join(str(problem) for problems in form.errors.values() for problem in problems)
    given, actor = form.cleaned_data, cast(User, request.user)

    def act() -> Answer:
        row = queue_test(template=template, to=given["test_to"], language=given["test_language"], actor=actor)
        transaction.on_commit(partial(hand_over_direct, row))
        return Answer(200, {"message_id": str(row.pk)})

    wanted: dict[str, Any] = {"path": request.path, "body": given}
    try:
        answer_once(user=actor, key=f"test:{given['test_key']}", request=wanted, act=act)
    except DomainError as refused:
        return refused.message
    return ""
