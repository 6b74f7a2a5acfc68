"""What a bulk change would do, does, has done: counted from its items."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, Q, Sum

from followups.choices import BulkItemState
from followups.models import BulkChange


@dataclass(frozen=True)
class Refused:
    """How many are not changed for one reason."""

    code: str
    reason: str
    count: int


@dataclass(frozen=True)
class Tally:
    """How a bulk change stands. Credits are whole numbers, those of readers: given back, or taken."""

    new: int
    ready: int
    done: int
    refused: int
    given_back: int
    taken: int
    refusals: Sequence[Refused]

    @property
    def total(self) -> int:
        """All its follow-ups."""
        return self.new + self.ready + self.done + self.refused

    @property
    def looked_at(self) -> int:
        """Those of which is known what would become of them."""
        return self.total - self.new


def tally_of(change: BulkChange) -> Tally:
    """Count a bulk change's items, as of now: one query over an index, however many there are."""
    rows = change.items.order_by().values("state", "code")
    rows = rows.annotate(
        count=Count("pk"),
        given_back=Sum("credits", filter=Q(credits__gt=0), default=0),
        taken=Sum("credits", filter=Q(credits__lt=0), default=0),
        why=Max("reason"),
    )
    counted = list(rows)

    def count(state: BulkItemState) -> int:
        return sum(row["count"] for row in counted if row["state"] == state)

    moving = [row for row in counted if row["state"] != BulkItemState.REFUSED]
    refused = [row for row in counted if row["state"] == BulkItemState.REFUSED]
    return Tally(
        new=count(BulkItemState.NEW),
        ready=count(BulkItemState.READY),
        done=count(BulkItemState.DONE),
        refused=count(BulkItemState.REFUSED),
        given_back=sum(row["given_back"] for row in moving),
        taken=-sum(row["taken"] for row in moving),
        refusals=sorted(
            (Refused(row["code"], row["why"], row["count"]) for row in refused),
            key=lambda each: (-each.count, each.code),
        ),
    )
