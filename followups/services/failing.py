"""A provider took a message and reports that it did not arrive."""

from followups.choices import SENT_STATES, State
from followups.models import Attempt, FollowUpSchedule, ProviderEvent
from followups.services.withdrawing import fail_follow_up


def take_failure(event: ProviderEvent, attempt: Attempt, follow_up: FollowUpSchedule) -> None:
    """Call a locked follow-up failed, unless another try has begun: then that one decides."""
    is_claimed_anew = follow_up.status == State.SENDING  # an open attempt would have been accepted by now
    if is_claimed_anew or follow_up.attempts.filter(number__gt=attempt.number).exists():
        return
    fail_follow_up(
        follow_up=follow_up,
        code=event.code or event.kind,
        reason=event.raw.get("_reason") or "The provider could not deliver it.",
        from_states=[*SENT_STATES, State.IN_DOUBT],
    )
