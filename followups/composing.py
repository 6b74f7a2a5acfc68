"""A follow-up and its reader become one rendered message."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from django.utils import translation
from django.utils.formats import date_format

from followups.addresses import hash_address
from followups.layouts import Words, lay_out
from followups.links import unsubscribe_url
from followups.models import FollowUpSchedule, TemplateText
from followups.rendering import (
    MAX_SUMMARY_LENGTH,
    PRIVATE_VARIABLES,
    fill_subject,
    fill_text,
    truncate,
    variables_in,
    whatsapp_variables,
    with_fallbacks,
)
from jyotiflow.accounts.models import Language, User
from sessions_app.models import Session

# UTF-16 units: what a lock screen shows (and far below FCM's 4,096 bytes), what Twilio takes.
LONGEST_SUBJECT = {"push": 120}
LONGEST_TEXT = {"push": 500, "sms": 1_600, "whatsapp": 1_600}


@dataclass(frozen=True)
class Rendered:
    """The words of one message: ``body`` is what its reader is told, ``text`` what goes out around it.

    ``html`` is for email only, the WhatsApp parts for WhatsApp only.
    """

    subject: str
    body: str
    text: str
    html: str = ""
    unsubscribe_url: str = ""
    whatsapp_content_sid: str = ""
    whatsapp_variables: Mapping[str, str] | None = None


def render_message(follow_up: FollowUpSchedule, *, is_private: bool) -> Rendered:
    """Render the pinned version for the follow-up's reader. ``is_private`` allows guidance in the text."""
    return render_for_reader(
        version=follow_up.template_version,
        channel=follow_up.channel,
        language=follow_up.language,
        user=follow_up.user,
        session=follow_up.session,
        custom=follow_up.custom_variables,
        is_private=is_private,
    )


def render_for_reader(
    *,
    version: TemplateText,
    channel: str,
    language: str,
    user: User,
    session: Session | None,
    custom: Mapping[str, str],
    is_private: bool,
) -> Rendered:
    """Render one version with one reader's values, for their own address."""
    values = values_for(user=user, session=session, language=language, custom=custom, is_private=is_private)
    return render_version(
        version=version,
        channel=channel,
        language=language,
        values=values,
        user_id=user.pk,
        address=user.email,
    )


def values_for(
    *,
    user: User,
    session: Session | None,
    language: str,
    custom: Mapping[str, str],
    is_private: bool,
) -> dict[str, str]:
    """The variables' values for one reader; a missing one is left out, so its fallback shows."""
    values = dict(custom)
    values |= {"user_name": user.name, "user_email": user.email}
    if session is not None:
        values["service_type"] = session.service_type.replace("_", " ")
        values["guidance_summary"] = truncate(session.guidance_summary, MAX_SUMMARY_LENGTH)
        if session.completed_at:
            values["session_date"] = _written(session.completed_at.astimezone(user.zone).date(), language)
    if not is_private:
        values = {name: value for name, value in values.items() if name not in PRIVATE_VARIABLES}
    return values


@lru_cache(maxsize=1_024)
def _written(day: date, language: str) -> str:
    with translation.override(language):
        return date_format(day, "j F Y")


def render_version(
    *,
    version: TemplateText,
    channel: str,
    language: str,
    values: Mapping[str, str],
    user_id: int,
    address: str,
) -> Rendered:
    """Render one text in one language for one channel; ``address`` is the one an email goes to."""
    is_tamil = language == Language.TAMIL
    subject_text = version.tamil_subject if is_tamil and version.tamil_subject else version.subject
    content = version.tamil_content if is_tamil else version.content
    filled = with_fallbacks(variables_in(subject_text, content), values, language)
    subject = fill_subject(subject_text, filled)
    body = fill_text(content, filled)
    if channel in LONGEST_TEXT:
        body = truncate(body, LONGEST_TEXT[channel])
        subject = truncate(subject, LONGEST_SUBJECT.get(channel, len(subject) + 1))
    if channel == "whatsapp":
        return Rendered(
            subject,
            body,
            body,
            whatsapp_content_sid=version.tamil_whatsapp_content_sid
            if is_tamil
            else version.whatsapp_content_sid,
            whatsapp_variables=whatsapp_variables(content, values, language),
        )
    if channel != "email":
        return Rendered(subject, body, body)
    link = unsubscribe_url(user_id=user_id, channel=channel, address_hash=hash_address(address))
    mail = lay_out(Words(content, filled, language, subject, body, link))
    return Rendered(subject, body, mail.text, html=mail.html, unsubscribe_url=link)
