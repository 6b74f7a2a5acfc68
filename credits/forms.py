"""The admin site's form for giving credits."""

import uuid

from django import forms

from credits.services import MAX_AMOUNT
from jyotiflow.accounts.models import User
from jyotiflow.accounts.selectors import user_by_email


class GrantForm(forms.Form):
    """Who gets how many credits, and why. ``key`` makes a double click grant once."""

    email = forms.EmailField(label="User's email")
    amount = forms.IntegerField(label="Credits", min_value=1, max_value=MAX_AMOUNT)
    reason = forms.CharField(max_length=200, help_text="Stays in the ledger; the user sees it too.")
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def clean_email(self) -> User:
        user = user_by_email(self.cleaned_data["email"])
        if user is None:
            raise forms.ValidationError("There is no user with this email.")
        return user
