"""The words of the follow-up domain: states, kinds and origins."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class TemplateType(models.TextChoices):
    """What a template is for."""

    SESSION_FOLLOWUP = "session_followup", _("Session follow-up")
    REMINDER = "reminder", _("Reminder")
    CHECK_IN = "check_in", _("Check-in")
    OFFER = "offer", _("Offer")
    SUPPORT = "support", _("Support")
    CUSTOM = "custom", _("Custom")


class State(models.TextChoices):
    """Where a follow-up is; `docs/states.md` draws the moves between them."""

    PENDING = "pending", _("Scheduled")  # bought, waiting for its time
    SENDING = "sending", _("Sending")  # claimed by a worker under a lease
    IN_DOUBT = "in_doubt", _("In doubt")  # handed over, outcome unknown: never sent again without proof
    SENT = "sent", _("Sent")  # the provider accepted it
    DELIVERED = "delivered", _("Delivered")  # it reached the device or mailbox
    READ = "read", _("Read")  # a person opened it
    FAILED = "failed", _("Failed")  # final; refunded as the settings say
    CANCELLED = "cancelled", _("Cancelled")  # withdrawn before it was sent; refunded as the settings say


class PublicStatus(models.TextChoices):
    """The six words API clients know."""

    PENDING = "pending", _("Scheduled")
    SENT = "sent", _("Sent")
    DELIVERED = "delivered", _("Delivered")
    READ = "read", _("Read")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


# An unknown outcome shows as pending: we don't claim "sent" without proof.
STATES_BY_PUBLIC_STATUS: dict[PublicStatus, tuple[State, ...]] = {
    PublicStatus.PENDING: (State.PENDING, State.SENDING, State.IN_DOUBT),
    PublicStatus.SENT: (State.SENT,),
    PublicStatus.DELIVERED: (State.DELIVERED,),
    PublicStatus.READ: (State.READ,),
    PublicStatus.FAILED: (State.FAILED,),
    PublicStatus.CANCELLED: (State.CANCELLED,),
}
PUBLIC_STATUS_BY_STATE: dict[str, PublicStatus] = {
    state: public for public, states in STATES_BY_PUBLIC_STATUS.items() for state in states
}

SENT_STATES = (State.SENT, State.DELIVERED, State.READ)
LIVE_STATES = (State.PENDING, State.SENDING, State.IN_DOUBT, *SENT_STATES)  # these count against limits
WITHDRAWN_STATES = (State.FAILED, State.CANCELLED)


class Origin(models.TextChoices):
    """Who asked for a follow-up."""

    AUTOMATIC = "automatic", _("After a session")
    MANUAL = "manual", _("Scheduled by the user")
    INSTANT = "instant", _("Sent at once by the user")
    RETRY = "retry", _("Booked anew by staff")


class AttemptState(models.TextChoices):
    """How one call to a provider ended."""

    CALLING = "calling", _("Calling")  # written before the call: the point of no return
    IN_DOUBT = "in_doubt", _("In doubt")
    ACCEPTED = "accepted", _("Accepted")
    REJECTED = "rejected", _("Rejected")
    NOT_PROCESSED = "not_processed", _("Not processed")
    ABSENT = "absent", _("Proved absent")  # the provider has never seen it
    ABANDONED = "abandoned", _("Abandoned")  # given up where repeating is harmless


OPEN_ATTEMPT_STATES = (AttemptState.CALLING, AttemptState.IN_DOUBT)


class DirectKind(models.TextChoices):
    """Why staff wrote to one address."""

    TEST = "test", _("Test of a template")
    NOTICE = "notice", _("Word from staff")


class DirectState(models.TextChoices):
    """How a direct message stands. It's called for once; nothing is tried again."""

    QUEUED = "queued", _("Queued")
    CALLING = "calling", _("Calling")  # written before the call: never called for again
    UNKNOWN = "unknown", _("Outcome unknown")
    SENT = "sent", _("Sent")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


OPEN_DIRECT_STATES = (DirectState.QUEUED, DirectState.CALLING)


class ReceiptKind(models.TextChoices):
    """What a provider reports about a message, in our words; the provider's own stay in the raw event."""

    ACCEPTED = "accepted", _("Accepted")
    DELIVERED = "delivered", _("Delivered")
    READ = "read", _("Read")
    MACHINE_OPEN = "machine_open", _("Opened by a machine")  # scanners and mail privacy proxies
    FAILED = "failed", _("Failed")
    BOUNCED = "bounced", _("Bounced")
    COMPLAINED = "complained", _("Complained")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    OTHER = "other", _("Other")


class SuppressionReason(models.TextChoices):
    """Why an address must not be written to."""

    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed by link")
    STOP_WORD = "stop_word", _("Replied STOP")
    OPT_OUT = "opt_out", _("Opted out, says the provider")  # Twilio's 21610
    BY_STAFF = "by_staff", _("Stopped by staff")
    BLOCKED = "blocked", _("Blocked by the recipient")
    INVALID = "invalid", _("Not a valid address")
    HARD_BOUNCE = "hard_bounce", _("Hard bounce")
    COMPLAINT = "complaint", _("Complaint")


class ConsentKind(models.TextChoices):
    """Which way somebody decided."""

    OPT_OUT = "opt_out", _("Opted out")
    OPT_IN = "opt_in", _("Opted in again")


class ConsentDoor(models.TextChoices):
    """How a decision about messages reached us."""

    LINK = "link", _("Unsubscribe link")
    REPLY = "reply", _("Word in a reply")
    PREFERENCES = "preferences", _("Preferences, signed in")
    PROVIDER = "provider", _("Told by the provider")
    STAFF = "staff", _("Recorded by staff")


# A later reason replaces an earlier one that is less grave, so that nobody lifts a complaint by a START.
GRAVITY: dict[str, int] = {
    SuppressionReason.UNSUBSCRIBED: 0,
    SuppressionReason.STOP_WORD: 0,
    SuppressionReason.OPT_OUT: 0,
    SuppressionReason.BY_STAFF: 1,
    SuppressionReason.BLOCKED: 2,
    SuppressionReason.INVALID: 2,
    SuppressionReason.HARD_BOUNCE: 2,
    SuppressionReason.COMPLAINT: 3,
}
# What a reader takes back by each door; whatever isn't named here only staff can lift, with a note.
LIFTED_BY: dict[ConsentDoor, tuple[SuppressionReason, ...]] = {
    ConsentDoor.LINK: (SuppressionReason.UNSUBSCRIBED,),
    ConsentDoor.PREFERENCES: (SuppressionReason.UNSUBSCRIBED,),
    ConsentDoor.REPLY: (SuppressionReason.STOP_WORD, SuppressionReason.OPT_OUT),
    ConsentDoor.STAFF: tuple(SuppressionReason),
}


class ReplyKind(models.TextChoices):
    """What a reader's message asks for."""

    STOP = "stop", _("Stop")
    START = "start", _("Start again")
    HELP = "help", _("Help")
    OTHER = "other", _("Something else")


class DltCategory(models.TextChoices):
    """As what an SMS text is registered in India."""

    PROMOTIONAL = "promotional", _("Promotional: 10:00 to 21:00 IST only")
    SERVICE = "service", _("Service")
    TRANSACTIONAL = "transactional", _("Transactional")


class SettingType(models.TextChoices):
    """How a setting's text is read."""

    BOOLEAN = "boolean", _("Yes or no")
    INTEGER = "integer", _("Whole number")
    DECIMAL = "decimal", _("Amount")
    TIME = "time", _("Time of day")


class ErrorPhase(models.TextChoices):
    """When a provider's error reaches us."""

    CALL = "call", _("Answer to a call")
    REPORT = "report", _("Report on a message it had taken")


class ErrorWord(models.TextChoices):
    """What a provider's error means to us; `docs/errors.md` says what each does."""

    LATER = "later", _("Not taken: send later")
    REJECTED = "rejected", _("Refused or failed for good")
    MISCONFIGURED = "misconfigured", _("Our account is at fault: messages wait")
    UNKNOWN = "unknown", _("Nobody knows: in doubt")
    RETRY = "retry", _("Failed for now: another attempt")
    WINDOW = "window", _("Failed at this hour: another attempt outside quiet hours")
    RECORD = "record", _("Only written down")


RETRY_WORDS = (ErrorWord.RETRY, ErrorWord.WINDOW)
WORDS_BY_PHASE: dict[ErrorPhase, tuple[ErrorWord, ...]] = {
    ErrorPhase.CALL: (ErrorWord.LATER, ErrorWord.REJECTED, ErrorWord.MISCONFIGURED, ErrorWord.UNKNOWN),
    ErrorPhase.REPORT: (ErrorWord.REJECTED, *RETRY_WORDS, ErrorWord.RECORD),
}


class RuleOrigin(models.TextChoices):
    """Where an error rule comes from."""

    SHIPPED = "shipped", _("Shipped")  # follows the product's own table
    SEEN = "seen", _("Seen, to be classified")  # decides nothing until somebody does
    EDITED = "edited", _("Edited here")  # goes before what is shipped


class BreakerState(models.TextChoices):
    """Whether a channel's provider is called."""

    CLOSED = "closed", _("Answers")
    OPEN = "open", _("Does not answer")  # not called: messages wait
    PROBING = "probing", _("Asked once more")  # one call decides


class BulkAction(models.TextChoices):
    """What staff do to many follow-ups at once."""

    CANCEL = "cancel", _("Cancel")
    MOVE = "move", _("Reschedule")
    RETRY = "retry", _("Try again")
    BOOK = "book", _("Schedule from a file")


class BulkState(models.TextChoices):
    """Where a bulk change is."""

    CHECKING = "checking", _("Being looked at")
    READY = "ready", _("Waits for a yes")
    RUNNING = "running", _("Under way")
    FINISHED = "finished", _("Finished")
    STOPPED = "stopped", _("Stopped")


class BulkItemState(models.TextChoices):
    """What becomes of one follow-up of a bulk change."""

    NEW = "new", _("Not looked at yet")
    READY = "ready", _("Will be changed")
    REFUSED = "refused", _("Stays as it is")
    DONE = "done", _("Changed")
