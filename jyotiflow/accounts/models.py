"""People who sign in, and machines that may call."""

from __future__ import annotations

import hashlib
import re
import zoneinfo
from typing import Any, ClassVar

import phonenumbers
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower, Upper
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

# The library finds a number inside of other text, such as an address or a token; that is none.
PHONE_SHAPE = re.compile(r"\+[0-9 ().-]{1,30}")
ERASED_DOMAIN = "erased.invalid"  # RFC 2606: nothing can ever be delivered there


class Language(models.TextChoices):
    """Languages the product speaks, as BCP-47 tags."""

    ENGLISH = "en", _("English")
    TAMIL = "ta", _("Tamil")


def validate_time_zone(value: str) -> None:
    """Refuse anything but an IANA zone name such as ``Asia/Kolkata``."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError(_("Use an IANA time zone name such as Asia/Kolkata."), code="time_zone")


def e164(text: str) -> str:
    """A number as people write it, with spaces or dashes, in E.164 form; what is no number as it is."""
    number = _parsed(text) if PHONE_SHAPE.fullmatch(text) else None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if number else text


def validate_phone(value: str) -> None:
    """Refuse anything but a possible, valid number in E.164 form such as ``+919876543210``."""
    number = _parsed(value)
    if number is None or not phonenumbers.is_valid_number(number) or e164(value) != value:
        raise ValidationError(
            _("Use the international form with + and the country code, such as +919876543210."), code="phone"
        )


def _parsed(text: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None


class UserManager(BaseUserManager["User"]):
    """Creates users; an email finds its user whatever its case."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Save a user. A password of ``None`` makes one that can't sign in with a password."""
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Save a user who may do everything, admin site included."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The email is the login, unique whatever its case."""

    email = models.EmailField(_("email"), max_length=254, unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True)
    preferred_language = models.CharField(
        _("preferred language"), max_length=8, choices=Language, default=Language.ENGLISH
    )
    timezone = models.CharField(
        _("time zone"), max_length=64, default="Asia/Kolkata", validators=[validate_time_zone]
    )
    phone = models.CharField(_("phone"), max_length=16, blank=True, validators=[validate_phone])
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("May sign in to the admin site."))
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering = ["-created_at", "-id"]
        permissions = [
            ("export_personal_data", "Can export what is kept about a person"),
            ("erase_person", "Can erase a person"),
        ]
        indexes = [
            models.Index(fields=["phone"], name="user_phone", condition=~models.Q(phone="")),
            models.Index(fields=["-created_at", "-id"], name="user_newest"),
            models.Index(fields=["-created_at"], name="user_staff", condition=models.Q(is_staff=True)),
            models.Index(fields=["-created_at"], name="user_closed", condition=models.Q(is_active=False)),
            # For staff who search by a part of it: `people_like`.
            GinIndex(OpClass(Upper("email"), name="gin_trgm_ops"), name="user_email_parts"),
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="user_name_parts"),
            GinIndex(OpClass(Upper("phone"), name="gin_trgm_ops"), name="user_phone_parts"),
        ]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique_any_case",
                violation_error_message=_("A user with this email exists already."),
            ),
            models.CheckConstraint(condition=~models.Q(email=""), name="user_email_not_empty"),
            models.CheckConstraint(
                condition=models.Q(erased_at__isnull=True)
                | models.Q(
                    email__startswith="erased-",
                    email__endswith=f"@{ERASED_DOMAIN}",
                    name="",
                    phone="",
                    password__startswith="!",
                    last_login__isnull=True,
                    is_active=False,
                    is_staff=False,
                    is_superuser=False,
                ),
                name="user_erased_has_no_personal_data",
                violation_error_message=_("An erased account stays as it is."),
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    @property
    def role(self) -> str:
        """``admin`` for staff, ``user`` for everybody else: what the API calls the role."""
        return "admin" if self.is_staff else "user"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.timezone)


class MachineKey(models.Model):
    """A credential of another system. Only the SHA-256 of the secret is kept."""

    class Scope(models.TextChoices):
        SESSIONS_COMPLETE = "sessions:complete", _("Announce completed sessions")

    name = models.CharField(max_length=100, unique=True)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=50, choices=Scope)
    is_active = models.BooleanField(_("active"), default=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def hash(secret: str) -> str:
        """The stored form of a secret; plain SHA-256 suffices because the secret is 256 random bits."""
        return hashlib.sha256(secret.encode()).hexdigest()
