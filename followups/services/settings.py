"""Writes to the settings table."""

from collections.abc import Mapping

from django.db import transaction

from followups.conf import SETTINGS
from followups.models import FollowUpSetting
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import InvalidInput


@transaction.atomic
def update_settings(*, changes: Mapping[str, object], actor: User | None = None) -> None:
    """Store the given settings and leave the others alone.

    Raises ``InvalidInput`` naming every unknown key and bad value, and then stores nothing.
    """
    texts, errors = {}, {}
    for key, value in changes.items():
        try:
            texts[key] = SETTINGS[key].format(value)
        except KeyError:
            errors[key] = ["There is no such setting."]
        except ValueError as error:
            errors[key] = [str(error)]
    if errors:
        raise InvalidInput("Some settings are not valid; nothing was saved.", errors=errors)
    # In one order whatever is changed, and before the stamp of all settings, which each change takes.
    rows = {
        row.setting_key: row for row in FollowUpSetting.objects.select_for_update().order_by("setting_key")
    }
    for key, text in texts.items():
        setting = SETTINGS[key]
        before = {"value": rows[key].setting_value, "is_active": rows[key].is_active} if key in rows else {}
        row, _ = FollowUpSetting.objects.update_or_create(
            setting_key=key,
            defaults={"setting_value": text, "setting_type": setting.type, "is_active": True},
            create_defaults={
                "setting_value": text,
                "setting_type": setting.type,
                "description": setting.help,
            },
        )
        after = {"value": text, "is_active": True}
        record_change(action=Action.CHANGED, of=row, label=key, actor=actor, before=before, after=after)


def load_default_settings() -> int:
    """Add the rows that are missing and return how many; rows an admin has are left alone."""
    before = FollowUpSetting.objects.count()
    FollowUpSetting.objects.bulk_create(
        [
            FollowUpSetting(
                setting_key=setting.key,
                setting_value=setting.format(setting.default),
                setting_type=setting.type,
                description=setting.help,
            )
            for setting in SETTINGS.values()
        ],
        ignore_conflicts=True,
    )
    return FollowUpSetting.objects.count() - before
