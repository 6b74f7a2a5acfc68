"""Refunding one follow-up by hand, with a reason."""

from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from credits.models import CreditAccount
from credits.selectors import balance_of
from followups.admin.searching import as_uuid
from followups.choices import WITHDRAWN_STATES
from followups.models import FollowUpSchedule
from followups.services.refunding import most_refundable, refund_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.admin_site import admin_page
from jyotiflow.exceptions import DomainError


class RefundForm(forms.Form):
    amount = forms.IntegerField(label=_("Credits"), min_value=1)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        help_text=_("Stays in the ledger; the user sees it too. Don't name the person."),
    )


@admin_page("followups/refund/", name="followups_refund", permission="credits.add_creditentry")
def refund_page(request: HttpRequest) -> HttpResponse:
    """Asks how much and why, and gives it back. The follow-up is ``?follow_up=<id>``."""
    key = as_uuid(request.GET.get("follow_up", ""))
    found = FollowUpSchedule.objects.select_related("user", "template").filter(pk=key or uuid4()).first()
    if found is None:
        raise Http404
    if not isinstance(request.user, User):
        raise PermissionDenied
    most, refusal = 0, ""
    try:
        most = most_refundable(found)
    except DomainError as refused:
        refusal = refused.message
    is_whole = found.status in WITHDRAWN_STATES
    form = RefundForm(request.POST or None, initial={"amount": most})
    form.fields["amount"].widget.attrs |= {"max": most, "readonly": is_whole}
    if form.is_valid() and _refund(request, form, found, request.user):
        account = CreditAccount.objects.get(user=found.user)
        return redirect("admin:credits_creditaccount_change", account.pk)
    context = {
        **admin.site.each_context(request),
        "title": _("Refund a follow-up"),
        "opts": CreditAccount._meta,
        "form": form,
        "follow_up": found,
        "refusal": refusal,
        "is_whole": is_whole,
        "balance": balance_of(found.user),
    }
    return render(request, "admin/followups/refund.html", context)


def _refund(request: HttpRequest, form: RefundForm, follow_up: FollowUpSchedule, actor: User) -> bool:
    given: dict[str, Any] = form.cleaned_data
    try:
        entry = refund_follow_up(follow_up_id=follow_up.pk, actor=actor, **given)
    except DomainError as refused:
        name = next((name for name in refused.errors if name in form.fields), None)
        form.add_error(name, refused.message)
        return False
    text = ngettext("%d credit is given back.", "%d credits are given back.", entry.amount)
    messages.success(request, text % entry.amount)
    return True
