"""What a message earns against what its provider takes."""

from dataclasses import dataclass
from decimal import Decimal

from followups.models import FollowUpTemplate
from followups.segments import Segments
from followups.selectors.refusals import price_of
from followups.selectors.settings import EffectiveSettings


@dataclass(frozen=True)
class Margin:
    """The ``credits`` of a message, what they earn and what is ``spent``, in the currency of the reports.

    ``spent`` is ``None`` where nobody has set what the provider takes.
    """

    credits: int
    earned: Decimal
    spent: Decimal | None

    @property
    def is_loss(self) -> bool:
        """Whether the message costs more than it earns."""
        return self.spent is not None and self.spent > self.earned


def margin_of(template: FollowUpTemplate, segments: Segments | None, settings: EffectiveSettings) -> Margin:
    """The margin of one message of a template, saved or not, in so many ``segments`` where it's an SMS."""
    credits = price_of(template, settings)
    each = settings.provider_cost(template.channel)
    units = segments.count if segments else 1
    return Margin(credits, credits * settings.revenue_per_credit, each * units if each else None)
