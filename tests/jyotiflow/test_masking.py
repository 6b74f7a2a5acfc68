"""Addresses are found in a provider's words; ids, times and codes are left alone."""

import pytest

from jyotiflow.masking import without_addresses


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("The 'To' number +919840012345 is not valid.", "The 'To' number … is not valid."),
        ("whatsapp:+919840012345", "whatsapp:…"),
        ("call 98400 12345 or (98400) 12345", "call … or (…"),
        ("+1 (415) 555-0100 is blocked", "… is blocked"),
        ("<lakshmi@example.test>: user unknown", "<…>: user unknown"),
        ("லட்சுமி@எடுத்துக்காட்டு.test, gone", "…, gone"),
        ("SM0123456789012345678901234567890123", "SM0123456789012345678901234567890123"),
        ("6f1c1e3a-0000-4000-8000-123456789012", "6f1c1e3a-0000-4000-8000-123456789012"),
        ("2026-11-24T18:06:12Z 550 5.1.1 code 21211", "2026-11-24T18:06:12Z 550 5.1.1 code 21211"),
        ("", ""),
    ],
)
def test_addresses_go_and_everything_else_stays(text: str, masked: str) -> None:
    assert without_addresses(text) == masked
