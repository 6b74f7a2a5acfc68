"""Writes to the settings table."""

from collections.abc import Mapping

from django.db import transaction

from followups.conf import SETTINGS
from followups.models import FollowUpSetting
from followups.selectors.settings import effective_settings
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action
from jyotiflow.auditing.services import record_change
from jyotiflow.exceptions import Conflict, InvalidInput


@transaction.atomic
def update_settings(
    *, changes: Mapping[str, object], actor: User | None = None, seen: Mapping[str, object] | None = None
) -> None:
    """Store the given settings and leave the others alone.

    ``seen`` are values somebody had before them when they decided. Raises ``Conflict`` naming each that has
    another value by now, ``InvalidInput`` naming every unknown key and bad value; nothing is stored then.
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
    _refuse_if_changed(seen or {})
    for key, text in texts.items():
        setting = SETTINGS[key]
        before = {"value": rows[key].setting_value, "is_active": rows[key].is_active} if key in rows else {}
        row, _ = FollowUpSetting.objects.update_or_create(
            setting_key=key,
            defaults={"setting_value": text, "setting_type": setting.type, "is_active": True},
            create_defaults={
                "setting_value": text,
                "setting_type": setting.type,
                "description": str(setting.help),
            },
        )
        after = {"value": text, "is_active": True}
        record_change(action=Action.CHANGED, of=row, label=key, actor=actor, before=before, after=after)


def _refuse_if_changed(seen: Mapping[str, object]) -> None:
    current = effective_settings()
    errors = {
        key: [f"Somebody has changed this to {SETTINGS[key].format(getattr(current, key))} meanwhile."]
        for key, value in seen.items()
        if getattr(current, key) != value
    }
    if errors:
        raise Conflict(
            "Somebody has changed settings meanwhile; nothing was saved.", code="changed", errors=errors
        )


def load_default_settings() -> int:
    """Add the rows that are missing and return how many; rows an admin has are left alone."""
    before = FollowUpSetting.objects.count()
    FollowUpSetting.objects.bulk_create(
        [
            FollowUpSetting(
                setting_key=setting.key,
                setting_value=setting.format(setting.default),
                setting_type=setting.type,
                description=str(setting.help),
            )
            for setting in SETTINGS.values()
        ],
        ignore_conflicts=True,
    )
    return FollowUpSetting.objects.count() - before
