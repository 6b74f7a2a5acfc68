"""Message templates and their immutable versions."""

import uuid

import pgtrigger
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from followups.choices import DltCategory, TemplateType
from followups.conf import channel_choices
from followups.models.stamps import bumps_catalogue


class TemplateText(models.Model):
    """What a message says, in both languages: shared by a template and each version of it."""

    subject = models.CharField(max_length=200)
    tamil_subject = models.CharField(max_length=200, blank=True, default="", db_default="")
    content = models.TextField()
    tamil_content = models.TextField(blank=True, default="", db_default="")
    variables = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text=_("Names used in the text; those beyond the five standard ones are custom."),
    )
    whatsapp_content_sid = models.CharField(
        max_length=34,
        blank=True,
        default="",
        db_default="",
        help_text=_("Twilio's id of the approved English WhatsApp template (HX…)."),
    )
    tamil_whatsapp_content_sid = models.CharField(
        max_length=34,
        blank=True,
        default="",
        db_default="",
        help_text=_("Twilio's id of the approved Tamil WhatsApp template (HX…)."),
    )
    dlt_template_id = models.CharField(
        max_length=30,
        blank=True,
        default="",
        db_default="",
        help_text=_("Registered id of the English SMS text in India."),
    )
    tamil_dlt_template_id = models.CharField(
        max_length=30,
        blank=True,
        default="",
        db_default="",
        help_text=_("Registered id of the Tamil SMS text in India."),
    )
    dlt_category = models.CharField(
        max_length=20,
        choices=DltCategory,
        blank=True,
        default="",
        db_default="",
        help_text=_("As what it is registered in India. Empty: promotional for an offer, else service."),
    )

    class Meta:
        abstract = True


TEXT_FIELDS: tuple[str, ...] = tuple(field.name for field in TemplateText._meta.local_fields)


class FollowUpTemplate(TemplateText):
    """A message one may send: on one channel, in English and Tamil, at a price in credits."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(
        max_length=100,
        null=True,
        blank=True,
        unique=True,
        editable=False,
        help_text=_("Set for starter templates."),
    )
    name = models.CharField(max_length=100)
    tamil_name = models.CharField(max_length=100, blank=True, default="", db_default="")
    description = models.TextField(blank=True, default="", db_default="")
    template_type = models.CharField(
        max_length=50, choices=TemplateType, default=TemplateType.SESSION_FOLLOWUP
    )
    channel = models.CharField(max_length=20, choices=channel_choices)
    credits_cost = models.IntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("Credits. Empty: the price set in the settings."),
    )
    is_active = models.BooleanField(_("active"), default=True, db_default=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    service_types = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text=_("Service types it is for; none means all."),
    )
    sequence_order = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text=_("Place in the automatic sequence after a session; empty: not automatic."),
    )
    delay_hours = models.PositiveIntegerField(
        default=24,
        db_default=24,
        validators=[MaxValueValidator(24 * 90)],
        help_text=_("Least hours after the session."),
    )
    local_time = models.TimeField(
        null=True, blank=True, help_text=_("Time of day in the user's zone; empty: exactly after the delay.")
    )
    version = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "follow_up_templates"
        verbose_name = _("follow-up template")
        ordering = ["name", "id"]
        indexes = [
            models.Index(
                fields=["sequence_order"],
                name="template_automatic_sequence",
                condition=models.Q(is_active=True, sequence_order__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(credits_cost__isnull=True) | models.Q(credits_cost__gte=0),
                name="template_price_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(archived_at__isnull=True) | models.Q(is_active=False),
                name="template_archived_is_inactive",
            ),
        ]
        triggers = [bumps_catalogue("template_change_is_seen")]

    def __str__(self) -> str:
        return self.name


class TemplateVersion(TemplateText):
    """A template's text as it was at one moment. What waits keeps it, unless staff apply a newer one."""

    template = models.ForeignKey(FollowUpTemplate, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        db_table = "follow_up_template_versions"
        ordering = ["template", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="template_version_number_unique")
        ]
        triggers = [
            pgtrigger.Protect(
                name="template_version_immutable",
                operation=pgtrigger.UpdateOf("template_id", "number", *TEXT_FIELDS),
            )
        ]

    def __str__(self) -> str:
        return f"Version {self.number}"
