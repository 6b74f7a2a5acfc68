"""Addresses in somebody else's words: what a provider wrote, or what staff typed."""

import re
from typing import Final

_ADDRESS: Final = re.compile(
    r"[^\s<>()\"',:;@]+@[^\s<>()\"',:;@]+"  # an email
    r"|(?<![\w+-])(?:\+\d|\d{2})(?:[ ().-]{0,2}\d){7,13}(?!\w)"  # a phone number, however it is grouped
)


def without_addresses(text: str) -> str:
    """The text with ``…`` in place of emails and phone numbers; ids of providers stay."""
    return _ADDRESS.sub("…", text)
