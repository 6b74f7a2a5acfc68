"""Texts on their whole way: what was said arrives whole or is refused, and adds nothing."""

import email
import email.policy
import re
from email.message import EmailMessage
from functools import partial
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
import regex
from django.core.exceptions import ValidationError
from django.utils.timezone import now
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from followups.channels.base import Message
from followups.channels.email import EmailChannel
from followups.composing import Rendered, render_version
from followups.layouts import Words, lay_out, lay_out_whole
from followups.models import SandboxMessage, TemplateVersion
from followups.rendering import MAX_VALUE_LENGTH, clean, is_storable, one_line, render_text, with_fallbacks
from followups.segments import GSM_BASIC, GSM_EXTENDED, count_segments
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput

ONE = UUID(int=1)
READER = "reader@example.test"
MISCHIEF = [
    *("லட்சுமி", "ஸ்ரீ", "கொ", "க\u0bc6\u0bbe", "🕉️", "👩‍👩‍👧‍👦", "👍🏽", "🇮🇳", "e\u0301", "שלום", "مرحبا"),
    *("\u202e", "\u200f", "\u200d", "\ufeff", "\u0301", "\u2028", "\x0b", "\x1b", "\x85", "\u00a0", "\t"),
    *("\r\n", "\r", "\n\n", "\r\nBcc: all@example.test", "\r\n\r\n<b>", ",", '"', "'", "\\", "%s", "{0}"),
    *(
        "{{",
        "}}",
        "{{user_email}}",
        "{{x}}",
        "{%",
        "{#",
        "{",
        "}",
        "**",
        "*",
        "<script>",
        "</p>",
        "&lt;",
        "&",
    ),
    *("</p>", "&", '" onload="', "<!--", "]]>", "=?utf-8?q?Bcc?=", "a" * 120, " ", "."),
]
FORBIDDEN = ["\x00", "\ud83d", "\udc00"]
mischief = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(MISCHIEF)), max_size=8).map("".join)
anything = st.lists(st.one_of(mischief, st.sampled_from(FORBIDDEN)), max_size=3).map("".join)

ENGLISH = TemplateVersion(
    subject="For {{x}}, {{user_name}}", content="**Dear {{user_name}}**,\n\nyou said: [{{x}}] Be well."
)


class Reader(HTMLParser):
    """What a mail program makes of a page: its tags with their attributes, and the words one sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    def kinds(self) -> set[tuple[str, tuple[str, ...]]]:
        return {tag for tag in self.tags if tag[0] not in ("br", "p")}


def rendered_for(value: str, name: str = "Devi", channel: str = "email") -> Rendered:
    values = {"x": value, "user_name": name, "user_email": "secret@example.test"}
    return render_version(
        version=ENGLISH,
        channel=channel,
        language="en",
        values=values,
        user_id=7,
        address=READER,
    )


def mail_of(rendered: Rendered) -> EmailMessage:
    """The mail as it goes over the wire, read as a mail program reads it."""
    channel = EmailChannel(sender="JyotiFlow <followups@example.test>")
    built = channel._build(
        Message(
            attempt_id=ONE,
            follow_up_id=ONE,
            user_id=7,
            to=(READER,),
            language="en",
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            unsubscribe_url=rendered.unsubscribe_url,
        )
    )
    raw = built.message().as_bytes(linesep="\r\n")
    assert raw.isascii(), "seven bits: no relay has to encode it anew"
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322, 2.1.1"
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


PLAIN = rendered_for("plain")
HEADERS = sorted(mail_of(PLAIN).keys())
KINDS = Reader(PLAIN.html).kinds()


def can_be_seen(value: str) -> bool:
    """Whether a fallback must not take its place."""
    seen = r"[\p{L}\p{N}\p{P}\p{S}--\p{Default_Ignorable_Code_Point}]"
    return bool(regex.search(seen, clean(value), regex.V1))


@given(mischief, mischief)
@example("\r\nBcc: all@example.test", "\n.\n")
@example("=?utf-8?q?Bcc?=", "\u202eabc")
@example("=?utf-8?q?Bcc?=", "Devi")
@example("a" * 400, "x\x0by")
def test_a_mail_holds_the_words_it_was_given_and_no_header_more(value: str, name: str) -> None:
    rendered = rendered_for(value, name)
    mail = mail_of(rendered)
    assert sorted(mail.keys()) == HEADERS
    assert mail["To"] == READER
    assert re.sub(r"[\s\u2060]", "", mail["Subject"]) == re.sub(r"[\s\u2060]", "", rendered.subject)
    text, page = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert page is not None
    assert text.get_content().split() == rendered.text.split()
    assert page.get_content().split() == rendered.html.split()
    assert "secret@example.test" not in mail.as_string()


@given(
    name=mischief,
    summary=mischief,
    between=st.sampled_from(["", "**", "\n\n", "<b>", "* ", "\ue000"]),
    language=st.sampled_from(["en", "ta"]),
)
def test_a_mail_put_together_from_pieces_is_the_one_laid_out_whole(
    name: str, summary: str, between: str, language: str
) -> None:
    content = f"Dear {{{{user_name}}}},\n\n{between}{{{{guidance_summary}}}}{between} பா\n{{{{user_name}}}}"
    values = {"user_name": clean(name), "guidance_summary": clean(summary)}
    words = Words(
        content,
        with_fallbacks(list(values), values, language),
        language,
        f"For {one_line(clean(name))} & you",
        f"Dear {clean(name)},\n\n{clean(summary)}".strip(),
        "https://x.test/u/1-email.abc_-",
    )
    assert lay_out(words) == lay_out_whole(words)


@given(mischief)
@example("<script>alert(1)</script>")
@example("*{{user_email}}* **x** &lt;b&gt;")
def test_a_value_is_raw_in_the_text_and_shown_but_inert_in_the_page(value: str) -> None:
    rendered = rendered_for(value)
    shown = clean(value).strip() if can_be_seen(value) else None
    reader = Reader(rendered.html)
    assert reader.kinds() == KINDS
    if shown is not None:
        assert f"[{shown}]" in rendered.body
        assert f"[{shown}]" in rendered.text
        assert f"[{shown}]".split()[0] in "\n".join(reader.words)
        told = " ".join(reader.words)
        assert " ".join(f"[{shown}]".split()) in told


@given(mischief, st.sampled_from(["email", "sms", "whatsapp", "push", "in_app"]))
def test_no_channel_shows_an_empty_name_or_braces_of_the_template(value: str, channel: str) -> None:
    for name in ("", " ", "\u200d", value):
        rendered = rendered_for("x", name, channel)
        for text in (rendered.subject, rendered.body, rendered.text):
            if not {"{{", "}}"} & {value[i : i + 2] for i in range(len(value))}:
                assert "{{" not in text
                assert "}}" not in text
        assert "Dear ," not in rendered.body
        assert "Dear **" not in rendered.html
    assert rendered.subject == one_line(rendered.subject)


# --- Through the tables ----------------------------------------------------------------------------------

in_one_database = hypothesis_settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.django_db
def test_a_custom_value_is_refused_at_booking_or_arrives_whole(rich_user: User, make_template: Any) -> None:
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(
        channel="email", subject="Hi", content="**You said** [{{tip}}]", variables=["tip"], credits_cost=0
    )

    @in_one_database
    @given(anything)
    @example("\x00")
    @example("a\ud83d")
    @example("க" * MAX_VALUE_LENGTH)
    @example("x" * (MAX_VALUE_LENGTH + 1))
    def book(value: str) -> None:
        SandboxMessage.objects.all().delete()
        ask = partial(
            schedule_follow_up,
            user=rich_user,
            template_id=template.pk,
            scheduled_at=now(),
            custom_variables={"tip": value},
        )
        if not (is_storable(value) and len(value) <= MAX_VALUE_LENGTH):
            with pytest.raises(InvalidInput, match="tip"):
                ask()
            return
        booked = ask()
        (claim,) = claim_due(limit=10)
        deliver(follow_up_id=claim.follow_up_id, token=claim.token)
        sent = SandboxMessage.objects.get(follow_up_id=booked.pk)
        assert Reader(sent.html).kinds() == KINDS
        if can_be_seen(value):
            assert f"[{clean(value).strip()}]" in sent.body

    book()


@pytest.mark.django_db
def test_a_template_is_refused_at_saving_or_can_be_rendered() -> None:
    texts = st.lists(
        st.one_of(anything, st.sampled_from(["{{user_name}}", "{{ session_date }}"])), max_size=5
    ).map("".join)

    @in_one_database
    @given(texts, texts, texts, texts)
    @example("Hi", "Dear {{user_name}},", "", "\ud83d")
    @example("\x00", "x", "", "")
    def save(subject: str, content: str, tamil_subject: str, tamil_content: str) -> None:
        fields = {
            "name": "Any",
            "channel": "sms",
            "subject": subject,
            "content": content,
            "tamil_subject": tamil_subject,
            "tamil_content": tamil_content,
        }
        try:
            template, _ = save_template(fields=fields)
        except (InvalidInput, ValidationError):
            return
        template.refresh_from_db()
        assert (template.subject, template.content) == (clean(subject), clean(content))
        for language in ("en", "ta"):
            for channel in ("email", "sms", "whatsapp", "push", "in_app"):
                rendered = render_version(
                    version=template.versions.get(),
                    channel=channel,
                    language=language,
                    values={},
                    user_id=7,
                    address=READER,
                )
                assert not regex.search(r"\{\{\s*(user_name|session_date)\s*\}\}", rendered.text)

    save()


# --- Segments --------------------------------------------------------------------------------------------

# One letter each: its units, and whether the plain alphabet has it.
PLAIN_LETTERS = [("a", 1, True), ("€", 2, True)]
OTHER_LETTERS = [("த", 1, False), ("கொ", 2, False), ("😀", 2, False), ("👍🏽", 4, False)]


@pytest.mark.parametrize(("letter", "units", "is_plain"), PLAIN_LETTERS + OTHER_LETTERS)
def test_a_text_of_one_letter_takes_as_many_segments_as_whole_letters_need(
    letter: str, units: int, is_plain: bool
) -> None:
    single, joined = (160, 153) if is_plain else (70, 67)
    for number in range(1, 500):
        needed = 1 if number * units <= single else -(-number // (joined // units))
        cost = count_segments(letter * number)
        assert (cost.units, cost.count) == (number * units, needed), number


@given(mischief.filter(is_storable))
def test_an_sms_counts_what_goes_out(value: str) -> None:
    text = render_text("{{x}}", {"x": value}, "en")
    cost = count_segments(text)
    assert (cost.encoding == "GSM-7") == (set(text) <= GSM_BASIC | GSM_EXTENDED)
    assert cost.count * (160 if cost.encoding == "GSM-7" else 70) >= cost.units
    assert cost.count <= cost.units
