"""The steps of one follow-up's sending, taken one by one."""

import time
from uuid import UUID

from followups.services import admission, delivery, gating
from followups.services.admission import Refusal
from followups.services.delivery import Ticket
from followups.services.gating import Begun, Passed
from followups.services.grouping import Alone


def begin(*, follow_up_id: UUID, token: UUID) -> Begun | None:
    """Begin one claim."""
    (begun,) = delivery.begin([Ticket(follow_up_id, token)])
    return begun


def pass_gate(*, follow_up_id: UUID, token: UUID) -> Passed | None:
    """Lead one begun follow-up to the gate."""
    (passed,) = gating.pass_gate([Begun(follow_up_id, token, "")])
    assert not isinstance(passed, Alone)
    return passed


def admit(channel: str) -> Refusal | None:
    """Ask for room for one call, and wait for its turn."""
    room = admission.admit(channel)
    if not room.waits:
        return room.refusal
    time.sleep(room.waits[0])
    return None
