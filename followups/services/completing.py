"""The machine endpoint's story: another service says a session is completed."""

from dataclasses import dataclass

from followups.models import FollowUpSchedule, SessionPlan
from followups.selectors.follow_ups import planned_for
from jyotiflow.exceptions import NotAllowed
from sessions_app.models import Session
from sessions_app.selectors import session_by_id
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
    session = session_by_id(session_id)
    if session.user.email.casefold() != user_email.casefold():
        raise NotAllowed("This session belongs to somebody else.", code="not_the_owner")
    session = complete_session(session_id=session_id, guidance_summary=guidance_summary)
    return Completion(session, planned_for(session), SessionPlan.objects.filter(session=session).exists())
