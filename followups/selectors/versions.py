"""The versions of a template: what changed between them, and which of them follow-ups wait with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Q, QuerySet

from followups.choices import State
from followups.differences import Line, differences
from followups.models import TEXT_FIELDS, FollowUpSchedule, FollowUpTemplate, TemplateText, TemplateVersion
from followups.rendering import STANDARD_VARIABLES
from jyotiflow.accounts.models import Language

ENGLISH: Final = ("subject", "content")
TAMIL: Final = ("tamil_subject", "tamil_content")
VERSIONS_LOOKED_AT: Final = 100  # back from the newest, for the age of a text
MOST_COUNTED: Final = 1_000


@dataclass(frozen=True)
class FieldChange:
    """How one field of a template's text differs between two versions."""

    field: str
    lines: Sequence[Line]

    @property
    def is_changed(self) -> bool:
        return any(line.is_changed for line in self.lines)


def compare(old: TemplateText, new: TemplateText) -> list[FieldChange]:
    """Every text field of two versions (or a version and the template), in the order of the model."""
    return [
        FieldChange(name, differences(_as_text(getattr(old, name)), _as_text(getattr(new, name))))
        for name in TEXT_FIELDS
    ]


def _as_text(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class Age:
    """The versions in which the English and the Tamil text were last changed."""

    english: int
    tamil: int

    @property
    def is_tamil_older(self) -> bool:
        return self.tamil < self.english


def age_of_texts(template: FollowUpTemplate) -> Age | None:
    """When each language was last changed; ``None`` without a Tamil text, or a version."""
    if not template.tamil_content.strip():
        return None
    rows = template.versions.order_by("-number").values("number", *ENGLISH, *TAMIL)[:VERSIONS_LOOKED_AT]
    versions = list(rows)
    if not versions:
        return None

    def since(names: Sequence[str]) -> int:
        newest = versions[0]
        number = newest["number"]
        for version in versions:
            if any(version[name] != newest[name] for name in names):
                break
            number = version["number"]
        return int(number)

    return Age(since(ENGLISH), since(TAMIL))


def waiting(template: FollowUpTemplate) -> QuerySet[FollowUpSchedule]:
    """The follow-ups of a template that are still to be sent."""
    return FollowUpSchedule.objects.filter(template=template, status=State.PENDING)


def waiting_at_most(template: FollowUpTemplate, most: int = MOST_COUNTED) -> int:
    """How many wait; ``most`` + 1 stands for any number above."""
    return waiting(template).order_by()[: most + 1].count()


def changeable(template: FollowUpTemplate, version: TemplateVersion) -> QuerySet[FollowUpSchedule]:
    """Those that wait with another version and were never handed to a provider, which gets each try alike."""
    unsent = waiting(template).filter(channel=template.channel, provider="")
    return unsent.exclude(template_version=version)


@dataclass(frozen=True)
class Reach:
    """What applying the newest ``version`` to all that wait would do.

    ``older`` are numbers of versions with how many would change, ``kept`` those that keep theirs because a
    provider was given it, or for another channel. ``without_value`` are the custom names some have no value
    for, with how many; ``in_english`` those who would be told in English for want of a Tamil text.
    """

    version: TemplateVersion
    older: Sequence[tuple[int, int]]
    kept: int
    without_value: Sequence[tuple[str, int]]
    in_english: int

    @property
    def changing(self) -> int:
        return sum(count for _, count in self.older)


def reach_of_newest(template: FollowUpTemplate) -> Reach | None:
    """Look at what applying the newest version would change; ``None`` where there is no version."""
    version = template.versions.first()
    if version is None:
        return None
    changing = changeable(template, version)
    custom = [name for name in version.variables if name not in STANDARD_VARIABLES]
    counts = {
        f"without_{number}": Count("pk", filter=~Q(custom_variables__has_key=name))
        for number, name in enumerate(custom)
    }
    if not version.tamil_content.strip():
        counts["in_english"] = Count("pk", filter=Q(language=Language.TAMIL))
    found = changing.aggregate(**counts) if counts else {}
    by_version = changing.order_by("template_version__number").values_list("template_version__number")
    older = list(by_version.annotate(count=Count("pk")))
    all_older = waiting(template).exclude(template_version=version).count()
    without = [(name, found[f"without_{number}"]) for number, name in enumerate(custom)]
    return Reach(
        version=version,
        older=older,
        kept=all_older - sum(count for _, count in older),
        without_value=[(name, count) for name, count in without if count],
        in_english=found.get("in_english", 0),
    )
