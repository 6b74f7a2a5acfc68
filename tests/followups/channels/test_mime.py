"""Our own mails as bytes say what Python's generator says, for any text."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from django.core.mail import EmailMultiAlternatives
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from followups.channels.mime import as_bytes

texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cc"]),
        st.sampled_from("அன்புள்ள நலமா 🙏 =?.\n\t <>&\"'"),
    ),
    min_size=1,
    max_size=200,
)
lines = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), st.sampled_from("நலமா 🙏=?_ ")),
    max_size=200,
).map(lambda text: " ".join(text.split()))


def mail(subject: str, text: str, html: str | None = None) -> EmailMultiAlternatives:
    made = EmailMultiAlternatives(
        subject,
        text,
        "ஜோதி <followups@jyotiflow.test>",
        ["reader@example.test"],
        headers={"Message-ID": "<1@jyotiflow.test>", "List-Unsubscribe": f"<https://x.test/u/{'a' * 120}>"},
    )
    if html is not None:
        made.attach_alternative(html, "text/html")
    return made


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def said(message: EmailMessage) -> list[str]:
    parts = list(message.iter_parts()) if message.is_multipart() else [message]
    assert all(not part.defects for part in parts)
    return [str(part.get_content()).replace("\r\n", "\n").rstrip("\n") for part in parts]


@given(subject=lines, text=texts, html=st.none() | texts)
def test_any_mail_reads_as_it_was_written(subject: str, text: str, html: str | None) -> None:
    data = as_bytes(mail(subject, text, html))
    assert data.isascii()
    assert b"\n" not in data.replace(b"\r\n", b""), "bare line feeds"
    assert max(map(len, data.split(b"\r\n"))) <= 998
    message = parsed(data)
    assert message["Subject"] == subject
    wanted = [part.replace("\r", "\n") for part in (text, html) if part is not None]
    assert said(message) == [part.rstrip("\n") for part in wanted]


@hypothesis_settings(max_examples=30)
@given(subject=lines, text=texts, html=texts)
def test_it_is_the_mail_python_s_own_generator_makes(subject: str, text: str, html: str) -> None:
    ours, theirs = (
        parsed(as_bytes(mail(subject, text, html))),
        parsed(mail(subject, text, html).message().as_bytes()),
    )
    assert said(ours) == said(theirs)
    assert ours.get_content_type() == theirs.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in ours.iter_parts()] == ["text/plain", "text/html"]
    for name in ("From", "To", "Message-ID", "List-Unsubscribe"):
        assert str(ours[name]).replace(" ", "") == str(theirs[name]).replace(" ", ""), name
    assert {name.lower() for name, _ in ours.items()} == {name.lower() for name, _ in theirs.items()}


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_no_line_end_gets_into_a_header(end: str) -> None:
    spoilt = mail("Hello", "text")
    spoilt.extra_headers["Message-ID"] = f"<1>{end}Bcc: thief@example.test"
    with pytest.raises(ValueError, match="Message-ID"):
        as_bytes(spoilt)
    with pytest.raises(ValueError, match="Subject"):
        as_bytes(mail(f"Hello{end}Bcc: thief@example.test", "text"))


def test_what_is_not_ours_is_left_to_django() -> None:
    attached = mail("Hello", "text")
    attached.attach("a.txt", "content", "text/plain")
    assert b"a.txt" in as_bytes(attached)
