"""How pages for readers write numbers, times and codes."""

import re
from datetime import datetime
from typing import Final

from django import template
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext, pgettext_lazy

from followups.models import FollowUpSchedule
from followups.rendering import truncate
from followups.web import wording

register = template.Library()

TAMIL_LETTER: Final = re.compile("[\u0b80-\u0bff]")
LONGEST_EXCERPT: Final = 220
# The part of the day that ends before this hour. English needs two words, Tamil six.
PARTS_OF_DAY: Final[tuple[tuple[int, str | Promise], ...]] = (
    (3, pgettext_lazy("0 to 3 o'clock", "am")),
    (6, pgettext_lazy("3 to 6 o'clock", "am")),
    (12, pgettext_lazy("6 to 12 o'clock", "am")),
    (16, pgettext_lazy("12 to 16 o'clock", "pm")),
    (19, pgettext_lazy("16 to 19 o'clock", "pm")),
    (24, pgettext_lazy("19 to 24 o'clock", "pm")),
)


@register.filter(expects_localtime=True)
def when(moment: datetime | None) -> str:
    """Day and time of day in the reader's zone: ``9 March 2026, 10:00 am``."""
    if moment is None:
        return ""
    part = next(word for before, word in PARTS_OF_DAY if moment.hour < before)
    clock = {"clock": date_format(moment, "g:i"), "part": part}
    time_of_day = (gettext("%(clock)s %(part)s") % clock).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{day(moment)}, {time_of_day}"


@register.filter(expects_localtime=True)
def day(moment: datetime | None) -> str:
    """The day in the reader's zone: ``9 March 2026``."""
    return date_format(moment, "j F Y") if moment else ""


@register.filter
def number(count: int) -> str:
    """A whole number with its separators."""
    return number_format(count, force_grouping=True)


@register.filter
def credits(amount: int) -> str:
    """An amount of credits: ``5 credits``."""
    return ngettext("%(amount)s credit", "%(amount)s credits", amount) % {"amount": number(amount)}


@register.filter
def language(text: str) -> str:
    """In which language a text is, by its letters, for screen readers and fonts."""
    return "ta" if TAMIL_LETTER.search(text) else "en"


@register.filter
def excerpt(text: str) -> str:
    """The beginning of a text, on one line, cut between letters."""
    return truncate(" ".join(text.split()), LONGEST_EXCERPT)


@register.filter
def reason(follow_up: FollowUpSchedule) -> str:
    """Why it failed or was cancelled, in words."""
    return wording.reason_of(follow_up)


@register.filter
def state(value: str) -> str:
    """A state in words."""
    return str(wording.STATES[value])


@register.filter
def entry(kind: str) -> str:
    """What kind of movement of credits, in words."""
    return str(wording.ENTRIES[kind])


register.filter("channel", wording.channel)
register.filter("service", wording.service)
