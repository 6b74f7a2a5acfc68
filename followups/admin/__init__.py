"""The admin site of the follow-ups: templates, schedules, deliveries, people, figures, settings."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from followups.admin import (
    analytics,
    bulk,
    channels,
    consent,
    dashboard,
    deliveries,
    direct,
    error_rules,
    idempotency,
    people,
    plans,
    recipients,
    refunds,
    schedules,
    setting_panel,
    settings,
    simulate,
    templates,
)

__all__ = [
    "analytics",
    "bulk",
    "channels",
    "consent",
    "dashboard",
    "deliveries",
    "direct",
    "error_rules",
    "idempotency",
    "people",
    "plans",
    "recipients",
    "refunds",
    "schedules",
    "setting_panel",
    "settings",
    "simulate",
    "templates",
]

admin.site.site_header = _("JyotiFlow Follow-ups")
admin.site.site_title = _("JyotiFlow Follow-ups")
admin.site.index_title = _("Administration")
admin.site.enable_nav_sidebar = False  # the lists need the width; the index page is one click away
