"""Addresses: the hash one is remembered by, and what is wrong with a phone number. Pure functions."""

import hmac
from typing import Final

import phonenumbers
from django.conf import settings
from phonenumbers import PhoneNumberType

from followups.exceptions import Unreachable

# Kinds of number no text reaches; what the numbering plan leaves open (as in the US) may be a mobile.
_NEVER_MOBILE: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PAGER,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)


def hash_address(address: str) -> str:
    """The salted form under which an address is remembered without keeping it."""
    normal = address.strip().lower()
    return hmac.digest(settings.FOLLOWUP_ADDRESS_SALT.encode(), normal.encode(), "sha256").hex()


def phone_fault(number: str) -> Unreachable | None:
    """Why nothing can be sent to a number at all; ``None`` for a valid one in E.164 form."""
    return None if _parse(number) else _fault("invalid_phone", "Your phone number is not valid.")


def sms_fault(number: str) -> Unreachable | None:
    """Why no SMS goes to a number: not valid, never a mobile, or in a country we don't write to."""
    parsed = _parse(number)
    if parsed is None:
        return phone_fault(number)
    if phonenumbers.number_type(parsed) in _NEVER_MOBILE:
        return _fault("not_mobile", "Your phone number can't receive SMS; please give a mobile number.")
    region = phonenumbers.region_code_for_number(parsed)
    if settings.SMS_COUNTRIES and region not in settings.SMS_COUNTRIES:
        return _fault("country_not_allowed", "We send no SMS to the country of your phone number.")
    return None


def is_indian(number: str) -> bool:
    """Whether a number in E.164 form is one of India's."""
    return number.startswith("+91")


def _parse(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_valid_number(parsed) else None


def _fault(code: str, message: str) -> Unreachable:
    return Unreachable(message, code=code, errors={"channel": [message]})
