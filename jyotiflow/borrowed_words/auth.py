"""Passwords, people and groups."""

from django.utils.translation import gettext_noop, ngettext

gettext_noop("Change password")
gettext_noop("Set password")
gettext_noop("Reset password")
gettext_noop("Password change")
gettext_noop("Password change successful")
gettext_noop("Password changed successfully.")
gettext_noop("Your password was changed.")
gettext_noop("Change my password")
gettext_noop(
    "Please enter your old password, for security’s sake, and then enter your new "
    "password twice so we can verify you typed it in correctly."
)
gettext_noop("Change password: %s")
gettext_noop("Set password: %s")
gettext_noop("Enter a new password for the user <strong>%(username)s</strong>.")
gettext_noop("After you’ve created a user, you’ll be able to edit more user options.")
gettext_noop("No password set.")
gettext_noop("Invalid password format or unknown hashing algorithm.")
gettext_noop("The two password fields didn’t match.")
gettext_noop("Password confirmation")
gettext_noop("Enter the same password as before, for verification.")
gettext_noop(
    "Whether the user will be able to authenticate using a password or not. If disabled, "
    "they may still be able to authenticate using other backends, such as Single Sign-On "
    "or LDAP."
)
gettext_noop("Password-based authentication")
gettext_noop("Password-based authentication was disabled.")
gettext_noop("Enable password-based authentication")
gettext_noop("Disable password-based authentication")
gettext_noop("This action will <strong>enable</strong> password-based authentication for this user.")
gettext_noop("Enabled")
gettext_noop("Disabled")
gettext_noop("Raw passwords are not stored, so there is no way to see the user’s password.")
gettext_noop("Enable password-based authentication for this user by setting a password.")
gettext_noop("Please enter a correct %(username)s and password. Note that both fields may be case-sensitive.")
gettext_noop(
    "Please enter the correct %(username)s and password for a staff account. Note that "
    "both fields may be case-sensitive."
)
gettext_noop(
    "You are authenticated as %(username)s, but are not authorized to access this page. "
    "Would you like to login to a different account?"
)
gettext_noop("New password")
gettext_noop("New password confirmation")
gettext_noop("Old password")
gettext_noop("Your old password was entered incorrectly. Please enter it again.")
ngettext(
    "This password is too short. It must contain at least %d character.",
    "This password is too short. It must contain at least %d characters.",
    2,
)
ngettext(
    "Your password must contain at least %(min_length)d character.",
    "Your password must contain at least %(min_length)d characters.",
    2,
)
gettext_noop("The password is too similar to the %(verbose_name)s.")
gettext_noop("Your password can’t be too similar to your other personal information.")
gettext_noop("This password is too common.")
gettext_noop("Your password can’t be a commonly used password.")
gettext_noop("This password is entirely numeric.")
gettext_noop("Your password can’t be entirely numeric.")
gettext_noop("last login")
gettext_noop("superuser status")
gettext_noop("Designates that this user has all permissions without explicitly assigning them.")
gettext_noop(
    "Designates whether this user should be treated as active. Unselect this instead of deleting accounts."
)
gettext_noop("groups")
gettext_noop("group")
gettext_noop("permission")
gettext_noop("permissions")
gettext_noop("user permissions")
gettext_noop(
    "The groups this user belongs to. A user will get all permissions granted to each of their groups."
)
gettext_noop("Specific permissions for this user.")
gettext_noop("algorithm")
gettext_noop("iterations")
gettext_noop("salt")
gettext_noop("hash")
gettext_noop("content type")
