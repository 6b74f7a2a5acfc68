"""What an author may put into a text, with a sentence each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from followups.rendering import STANDARD_VARIABLES

_MEANINGS: Final[dict[str, str | Promise]] = {
    "user_name": _("The reader's name, or “friend”."),
    "user_email": _("The reader's email address."),
    "session_date": _("The day of the session, in the reader's time zone."),
    "service_type": _("What the session was about."),
    "guidance_summary": _("The guidance given. On SMS and push a neutral sentence takes its place."),
}
_OWN: Final = _("Your own; who schedules the message gives its value.")


@dataclass(frozen=True)
class Choice:
    """A variable to insert."""

    name: str
    meaning: str | Promise


def palette(custom: Iterable[str] = ()) -> list[Choice]:
    """The standard variables and the author's own."""
    own = [Choice(name, _OWN) for name in custom if name not in STANDARD_VARIABLES]
    return [*(Choice(name, _MEANINGS[name]) for name in STANDARD_VARIABLES), *own]
