"""The admin site's forms for users who sign in by email."""

from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm

from jyotiflow.accounts.models import User


class NewUserForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email", "name")


class UserForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"
        field_classes: dict[str, type] = {}
