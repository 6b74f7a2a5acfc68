"""The channels, one file each, found through ``FOLLOWUP_CHANNELS``."""

from functools import cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from followups.channels.base import Channel


@cache
def get_channel(name: str) -> Channel:
    """The configured backend of a channel, built once a process. Raises ``KeyError`` for an unknown name."""
    entry = settings.FOLLOWUP_CHANNELS[name]
    channel: Channel = import_string(entry["BACKEND"])(**entry.get("OPTIONS", {}))
    channel.name = name
    return channel


def _forget_backends(*, setting: str, **_: object) -> None:
    if setting == "FOLLOWUP_CHANNELS":
        get_channel.cache_clear()


setting_changed.connect(_forget_backends)
