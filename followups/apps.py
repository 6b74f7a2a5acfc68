"""App configuration."""

from importlib import import_module

from django.apps import AppConfig


class FollowUpsConfig(AppConfig):
    name = "followups"
    verbose_name = "Follow-ups"

    def ready(self) -> None:
        """Connect the receivers and the system checks, once the models exist."""
        for module in ("receivers", "checks"):
            import_module(f"{self.name}.{module}")
