"""A mail as bytes. Python's own generator takes 800 µs for one of ours, this 40; tests compare the two."""

import binascii
from base64 import b64encode
from collections.abc import Iterator
from email.utils import formatdate, parseaddr
from functools import lru_cache
from typing import Final, TypeGuard

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.message import sanitize_address

LONGEST_LINE: Final = 900  # characters of a header's line; RFC 5322 allows 998 with the line's end
_BOUNDARY: Final = "=_jyotiflow"  # neither quoted-printable nor base64 ever has its first two characters
_WORD_BYTES: Final = 45  # of UTF-8 in an encoded word of 75 characters (RFC 2047)
_LITTLE: Final = 6  # one byte in so many outside ASCII: quoted-printable is still shorter than base64


def as_bytes(mail: EmailMessage) -> bytes:
    """The mail as it goes over the wire: CRLF, and seven bits, so that no relay on the way re-encodes it."""
    if not is_plain(mail):
        data: bytes = mail.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own class
        return data
    headers = {
        "Subject": mail.subject,
        "From": encoded(mail.from_email),
        "To": ", ".join(map(encoded, mail.to)),
        "Date": formatdate(),
        **mail.extra_headers,
        "MIME-Version": "1.0",
    }
    parts = [_part("plain", str(mail.body)), *(_part("html", str(each[0])) for each in mail.alternatives)]
    if len(parts) == 1:
        return _head(headers) + parts[0]
    headers["Content-Type"] = f'multipart/alternative; boundary="{_BOUNDARY}"'
    edge = f"--{_BOUNDARY}".encode()
    return b"".join([_head(headers), b"\r\n", *(edge + b"\r\n" + part for part in parts), edge + b"--\r\n"])


def is_plain(mail: EmailMessage) -> TypeGuard[EmailMultiAlternatives]:
    """Whether a mail is of the one kind we write ourselves: a text, perhaps with an HTML twin."""
    return (
        isinstance(mail, EmailMultiAlternatives)
        and mail.content_subtype == "plain"
        and all(each[1] == "text/html" for each in mail.alternatives)
        and not (mail.attachments or mail.cc or mail.bcc or mail.reply_to)
    )


def _head(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {_folded(name, value)}\r\n" for name, value in headers.items()).encode("ascii")


def _folded(name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError(f"The mail's {name} has a line end in it.")
    looks_encoded = name == "Subject" and "=?" in value
    if value.isascii() and len(value) < LONGEST_LINE and not looks_encoded:
        return value
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in _words(value))


def _words(value: str) -> Iterator[bytes]:
    """The text's UTF-8 in pieces for encoded words, cut between characters only."""
    word = b""
    for character in value:
        data = character.encode()
        if len(word) + len(data) > _WORD_BYTES:
            yield word
            word = b""
        word += data
    yield word


def encoded(address: str) -> str:
    """An address, perhaps with a name, as it stands in a header."""
    return address if address.isascii() and "<" not in address else _encoded(address)


def envelope(address: str) -> str:
    """An address as it stands in the SMTP conversation, without a name."""
    return _bare(address) if "<" in address or not address.isascii() else address


@lru_cache(maxsize=64)
def _encoded(address: str) -> str:
    text: str = sanitize_address(address, "utf-8")
    return text


@lru_cache(maxsize=64)
def _bare(address: str) -> str:
    return parseaddr(_encoded(address))[1]


def _part(subtype: str, text: str) -> bytes:
    data = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    if (len(data) - len(text)) * _LITTLE > len(data):
        encoding, body = "base64", b64encode(data)
        body = b"\r\n".join(body[start : start + 76] for start in range(0, len(body), 76)) + b"\r\n"
    else:
        encoding, body = "quoted-printable", binascii.b2a_qp(data).replace(b"\n", b"\r\n")
        if not body.endswith(b"\n"):
            body += b"\r\n"
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + body
