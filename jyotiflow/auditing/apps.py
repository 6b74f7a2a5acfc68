"""App configuration."""

from django.apps import AppConfig


class AuditingConfig(AppConfig):
    name = "jyotiflow.auditing"
    label = "auditing"
    verbose_name = "Audit"
