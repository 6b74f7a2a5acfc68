"""A channel with a bug: it raises what it was given."""

from collections.abc import Mapping
from typing import Any

from django.utils.module_loading import import_string

from followups.channels.base import Accepted, Channel, Message
from jyotiflow.accounts.models import User


class LoudChannel(Channel):
    """Writes to the addresses of the real channel, and never gets there."""

    provider = "loud"

    def __init__(self, *, real: Mapping[str, Any]) -> None:
        self._real: Channel = import_string(real["BACKEND"])(**real.get("OPTIONS", {}))
        self.is_private = self._real.is_private

    def addresses(self, user: User) -> tuple[str, ...]:
        return self._real.addresses(user)

    def send(self, message: Message) -> Accepted:
        raise RuntimeError(f"can't reach {message.to} with {message.subject!r}: {message.text}")
