"""Load what a new installation starts with: templates, settings, error rules, switches, staff groups."""

import json
from datetime import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from followups.models import FollowUpTemplate
from followups.services.error_rules import load_shipped_rules
from followups.services.settings import load_default_settings
from followups.services.switching import ensure_switches
from followups.services.templates import save_template
from jyotiflow.accounts.services import ensure_staff_groups

STARTERS = Path(__file__).parents[2] / "starters" / "templates.json"


class Command(BaseCommand):
    """Idempotent: what exists is left as it is, edited or not."""

    help = "Load starter templates, settings, error rules and staff groups; what was edited is left alone."

    def handle(self, *args: Any, **options: Any) -> None:
        known = set(FollowUpTemplate.objects.filter(key__isnull=False).values_list("key", flat=True))
        starters = [
            starter for starter in json.loads(STARTERS.read_text("utf-8")) if starter["key"] not in known
        ]
        for starter in starters:
            starter["local_time"] = starter["local_time"] and time.fromisoformat(starter["local_time"])
            save_template(fields=starter)
        settings = load_default_settings()
        rules = load_shipped_rules()
        ensure_switches()
        ensure_staff_groups()
        self.stdout.write(
            f"Loaded {len(starters)} templates, {settings} settings and {rules} error rules; "
            "staff groups are in place."
        )
