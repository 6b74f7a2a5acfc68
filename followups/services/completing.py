"""The machine endpoint's story: another service says a session is completed."""

from dataclasses import dataclass

from followups.models import FollowUpSchedule, SessionPlan
from followups.selectors.follow_ups import planned_for
from sessions_app.models import Session
from sessions_app.services import complete_session


@dataclass(frozen=True)
class Completion:
    """A completed session with the follow-ups planned for it; ``is_planned`` is false while that goes on."""

    session: Session
    follow_ups: list[FollowUpSchedule]
    is_planned: bool


def complete_and_plan(*, session_id: str, user_email: str, guidance_summary: str | None = None) -> Completion:
    """Complete a session of the named owner; planning follows its announcement.

    Safe to repeat: the answer is the same and nothing is charged twice. Raises ``NotFound``, ``NotAllowed``
    when the email isn't the owner's, ``Conflict`` for a failed session.
    """
    session = complete_session(
        session_id=session_id, guidance_summary=guidance_summary, owner_email=user_email
    )
    follow_ups = planned_for(session)
    # Plan and follow-ups are committed together.
    is_planned = bool(follow_ups) or SessionPlan.objects.filter(session=session).exists()
    return Completion(session, follow_ups, is_planned)
