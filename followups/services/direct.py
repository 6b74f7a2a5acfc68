"""Messages by staff to one address: tests of templates and single words. At most once, free, on record."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from followups.addresses import hash_address
from followups.channels import get_channel
from followups.channels.base import Accepted, Intent, Message
from followups.choices import (
    OPEN_DIRECT_STATES,
    DirectKind,
    DirectState,
    ReceiptKind,
    SuppressionReason,
    TemplateType,
)
from followups.composing import Rendered, render_version
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected, Unreachable
from followups.links import callback_url
from followups.models import (
    DirectMessage,
    FollowUpTemplate,
    ProviderEvent,
    RecipientPreference,
    SandboxMessage,
    Suppression,
)
from followups.rendering import clean, one_line
from followups.selectors.channels import is_paused
from followups.selectors.recipients import last_inbound_at
from followups.services.admission import admit, report
from followups.services.consent import suppress
from followups.services.delivery import call
from followups.services.settling import Outcome
from jyotiflow.accounts.models import Language, User, e164
from jyotiflow.exceptions import Conflict, InvalidInput

log = structlog.get_logger(__name__)

OLD_AFTER: Final = timedelta(minutes=15)  # nobody waits for a test any longer
NOBODY: Final = 0  # whose unsubscribe link leads nowhere
# The words of staff are one value of this text each: nothing in them is a variable.
NOTICE: Final = FollowUpTemplate(
    subject="{{subject}}", content="{{message}}", template_type=TemplateType.SUPPORT
)
STATE_BY_REPORT: Final = {
    ReceiptKind.ACCEPTED: DirectState.SENT,
    ReceiptKind.DELIVERED: DirectState.DELIVERED,
    ReceiptKind.READ: DirectState.DELIVERED,
    ReceiptKind.COMPLAINED: DirectState.DELIVERED,
    ReceiptKind.FAILED: DirectState.FAILED,
    ReceiptKind.BOUNCED: DirectState.FAILED,
}


@transaction.atomic
def queue_test(*, template: FollowUpTemplate, to: str, language: str, actor: User) -> DirectMessage:
    """Queue a template as a test to one address, with fallbacks for values; English where it has no Tamil.

    Raises ``InvalidInput``, ``Unreachable`` for an address that may not be written to, ``Conflict`` while
    the channel is paused.
    """
    if not template.tamil_content.strip():
        language = Language.ENGLISH
    row = DirectMessage(
        kind=DirectKind.TEST, template=template, channel=template.channel, language=language, actor=actor
    )
    return _queue(row, to)


@transaction.atomic
def queue_notice(*, channel: str, to: str, subject: str, message: str, actor: User) -> DirectMessage:
    """Queue words of staff to one address, as they stand. Raises as ``queue_test``."""
    row = DirectMessage(
        kind=DirectKind.NOTICE,
        channel=channel,
        language=Language.ENGLISH,
        subject=one_line(clean(subject)),
        body=clean(message).strip(),
        actor=actor,
    )
    return _queue(row, to)


def deliver_direct(*, message_id: UUID) -> None:
    """Call the provider for a queued message, once; one that was begun, or is old, is left alone."""
    row = DirectMessage.objects.filter(pk=message_id).select_related("template").first()
    if row is not None and _begin(row):
        finish(row, _call(row))


@transaction.atomic
def finish(row: DirectMessage, outcome: Outcome) -> None:
    """Write down how a message ended; its address is forgotten. What a report told before stands."""
    state, code, message_id = DirectState.FAILED, "", ""
    match outcome:
        case Accepted(provider_message_id=message_id, delivered=delivered):
            state = DirectState.DELIVERED if delivered else DirectState.SENT
        case OutcomeUnknown(code=code):
            state = DirectState.UNKNOWN
        case Rejected(code=code, suppress=reason) if reason:
            suppress(
                channel=row.channel,
                address_hash=row.to_hash,
                reason=reason,
                source=f"{row.provider} {code}".strip(),
            )
        case Rejected(code=code) | NotProcessed(code=code) | Misconfigured(code=code):
            pass
    own = DirectMessage.objects.filter(pk=row.pk)
    own.filter(state__in=OPEN_DIRECT_STATES).update(state=state, code=code[:50], finished_at=now(), to="")
    own.update(provider_message_id=message_id[:255])
    log.info("direct_message_finished", message_id=str(row.pk), state=state, code=code)


def give_up_old() -> int:
    """Put an end to what was never begun, or never came back; returns how many."""
    old = DirectMessage.objects.filter(state__in=OPEN_DIRECT_STATES, created_at__lt=now() - OLD_AFTER)
    end = {"finished_at": now(), "to": ""}
    given_up = old.filter(state=DirectState.QUEUED).update(state=DirectState.FAILED, code="expired", **end)
    return given_up + old.update(state=DirectState.UNKNOWN, code="worker_lost", **end)


def forget(rows: QuerySet[DirectMessage]) -> None:
    """Empty what was written to somebody who is erased; what is not begun yet isn't sent any more."""
    rows.filter(state=DirectState.QUEUED).update(
        state=DirectState.FAILED, code="erased", finished_at=now(), to=""
    )
    SandboxMessage.objects.filter(follow_up_id__in=rows.values("pk")).delete()
    rows.update(subject="", body="")


def note_report(event: ProviderEvent) -> bool:
    """Apply a provider's report to the direct message it names; ``False`` where it names none.

    Must run in a transaction. An address it calls dead is remembered, as after a follow-up.
    """
    try:
        reference = UUID(event.attempt_reference)
    except ValueError:
        return False
    named = DirectMessage.objects.select_for_update().filter(pk=reference, provider=event.provider)
    row = named.first()
    if row is None:
        return False
    state = STATE_BY_REPORT.get(ReceiptKind(event.kind))
    is_late = row.state == DirectState.DELIVERED and event.kind != ReceiptKind.BOUNCED
    if state is not None and not is_late:
        row.state, row.code, row.to = state, event.code, ""
        row.finished_at = row.finished_at or now()
        row.save(update_fields=["state", "code", "to", "finished_at"])
    if reason := event.raw.get("_suppress"):
        suppress(
            channel=row.channel,
            address_hash=row.to_hash,
            reason=SuppressionReason(reason),
            source=f"{event.provider} {event.code}".strip(),
        )
    return True


def _queue(row: DirectMessage, to: str) -> DirectMessage:
    channel = get_channel(row.channel)
    row.to = e164(to.strip())
    row.to_hash = hash_address(row.to)
    row.provider = channel.provider
    rendered = _rendered(row)
    if row.kind == DirectKind.NOTICE and rendered.body != row.body:
        raise InvalidInput.field("message", f"This is too long for one message by {row.channel}.")
    row.subject, row.body = rendered.subject, rendered.body
    _refuse(row)
    row.save(force_insert=True)
    log.info("direct_message_queued", message_id=str(row.pk), kind=row.kind, channel=row.channel)
    return row


def _refuse(row: DirectMessage) -> None:
    channel = get_channel(row.channel)
    if channel.needs_follow_up:
        raise _unreachable("no_address", "Messages of this channel have no address; look at the preview.")
    if fault := channel.address_fault(row.to):
        raise _unreachable(fault.code, fault.message)
    if Suppression.objects.filter(channel=row.channel, address_hash=row.to_hash).exists():
        raise _unreachable("suppressed", "Messages to this address are stopped on this channel.")
    whose = Q(user__email__iexact=row.to) | Q(user__phone=row.to) | Q(user__devices__token=row.to)
    if RecipientPreference.objects.filter(whose, channels_off__contains=[row.channel]).exists():
        raise _unreachable("opted_out", "Whoever has this address switched this channel off.")
    moment, text = now(), row.template or NOTICE
    intent = Intent(
        version=text,
        template_type=text.template_type,
        language=row.language,
        to=row.to,
        moment=moment,
        last_inbound_at=last_inbound_at(row.channel, [row.to_hash]) if channel.has_reply_window else None,
    )
    if objection := channel.objection(intent):
        raise _unreachable(objection.code, objection.message)
    closed = channel.closed_hours(intent)
    if closed is not None and closed.holds(moment):
        raise _unreachable("closed_hours", f"The law keeps these hours free of it, until {closed.end:%H:%M}.")
    if is_paused(row.channel):
        raise Conflict("This channel is paused.", code="channel_paused")


def _unreachable(code: str, message: str) -> Unreachable:
    return Unreachable(message, code=code, errors={"to": [message]})


def _begin(row: DirectMessage) -> bool:
    """The point of no return: whoever moves the row calls, nobody else ever."""
    queued = DirectMessage.objects.filter(pk=row.pk, state=DirectState.QUEUED)
    return bool(queued.filter(created_at__gte=now() - OLD_AFTER).update(state=DirectState.CALLING))


def _call(row: DirectMessage) -> Outcome:
    if is_paused(row.channel):
        return NotProcessed("channel_paused")
    room = admit(row.channel)
    if not room.waits:
        return NotProcessed(room.refusal.code)
    time.sleep(room.waits[0])  # its turn by the rate is a moment away
    outcome = call(get_channel(row.channel), _message(row))
    report(row.channel, outcome)
    return outcome


def _rendered(row: DirectMessage) -> Rendered:
    words = {} if row.template else {"subject": row.subject, "message": row.body}
    rendered = render_version(
        version=row.template or NOTICE,
        channel=row.channel,
        language=row.language,
        values=words,
        user_id=NOBODY,
        address=row.to,
    )
    if row.template is None:
        return replace(rendered, subject=row.subject)
    return replace(rendered, subject=f"[Test] {rendered.subject}")


def _message(row: DirectMessage) -> Message:
    rendered = _rendered(row)
    return Message(
        attempt_id=row.pk,
        follow_up_id=row.pk,
        user_id=NOBODY,
        to=(row.to,),
        language=row.language,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        callback_url=callback_url(provider=row.provider, attempt_id=row.pk),
        whatsapp_content_sid=rendered.whatsapp_content_sid,
        whatsapp_variables=rendered.whatsapp_variables or {},
        valid_for_seconds=int(OLD_AFTER.total_seconds()),
    )
