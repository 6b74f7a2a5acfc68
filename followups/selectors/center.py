"""What the FollowUpCenter shows: follow-ups grouped by the session they belong to."""

from dataclasses import dataclass, field
from typing import Any

from followups.choices import State
from followups.selectors.follow_ups import follow_ups_of, item_of
from jyotiflow.accounts.models import User
from sessions_app.models import Session

SHOWN = 200  # newest follow-ups; older ones are reached through the API's pages
STATUS_LABELS = {
    "en": {
        State.PENDING: "Scheduled",
        State.SENDING: "On its way",
        State.IN_DOUBT: "Being confirmed",
        State.SENT: "Sent",
        State.DELIVERED: "Delivered",
        State.READ: "Read",
        State.FAILED: "Not delivered",
        State.CANCELLED: "Cancelled",
    },
    "ta": {
        State.PENDING: "திட்டமிடப்பட்டது",
        State.SENDING: "அனுப்பப்படுகிறது",
        State.IN_DOUBT: "உறுதிசெய்யப்படுகிறது",
        State.SENT: "அனுப்பப்பட்டது",
        State.DELIVERED: "சேர்ந்தது",
        State.READ: "படிக்கப்பட்டது",
        State.FAILED: "சேரவில்லை",
        State.CANCELLED: "ரத்து செய்யப்பட்டது",
    },
}


@dataclass
class Group:
    """One session (or none) with its follow-ups, newest first."""

    session: Session | None
    items: list[dict[str, Any]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The session's service in words."""
        return self.session.service_type.replace("_", " ").capitalize() if self.session else ""


def grouped_by_session(user: User) -> list[Group]:
    """The user's newest follow-ups by session, the session with the newest first."""
    labels = STATUS_LABELS[user.preferred_language]
    groups: dict[str | None, Group] = {}
    for follow_up in follow_ups_of(user)[:SHOWN]:
        group = groups.setdefault(follow_up.session_id, Group(follow_up.session))
        group.items.append(
            {
                **item_of(follow_up),
                "status_label": labels[State(follow_up.status)],
                "can_cancel": follow_up.status == State.PENDING,
            }
        )
    return list(groups.values())
