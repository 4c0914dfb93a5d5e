"""Formats that a column's values follow: emails, UUIDs, account numbers, dates, and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

ENOUGH = 0.9
"""The share of values that must follow a format."""

PERSONAL_FORMATS = frozenset({"email", "phone", "luhn", "iban", "ip_address"})
"""Formats whose values can point at a person."""

_CURRENCIES = frozenset(
    re.findall(
        r"\w+",
        """
        AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK
        JPY KRW KWD MAD MXN MYR NGN NOK NZD PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB
        TRY TWD UAH USD UYU VND ZAR
        """,
    )
)

_PATTERNS = {
    "email": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
    "uuid": r"\{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?",
    "url": r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+",
    "iso_datetime": r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?",
    "iso_date": r"\d{4}-\d{2}-\d{2}",
    "ip_address": r"(?:\d{1,3}\.){3}\d{1,3}",
    "hex_digest": r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}",
}


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def is_luhn(value: str) -> bool:
    """Whether a number of 13 to 19 digits ends in its Luhn check digit, as card numbers do.

    See: ISO/IEC 7812-1, annex B.
    """
    digits = re.sub(r"[ -]", "", value)
    if not (digits.isascii() and digits.isdigit() and 13 <= len(digits) <= 19):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def is_iban(value: str) -> bool:
    """Whether a text is an international account number by its check digits. See: ISO 13616."""
    text = value.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", text):
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def is_phone(value: str) -> bool:
    """Whether a text is written like a phone number, with a plus sign or separators."""
    if not re.fullmatch(r"\+?\(?\d[\d\s().\-/]{5,22}", value):
        return False
    if re.fullmatch(r"\d+\.\d+", value):
        return False
    digits = sum(char.isdigit() for char in value)
    return 7 <= digits <= 15 and (value.startswith("+") or not value.isdigit())


_CHECKS: dict[str, Callable[[str], bool]] = {
    **{name: _matches(pattern) for name, pattern in _PATTERNS.items()},
    "iban": is_iban,
    "luhn": is_luhn,
    "currency_code": lambda value: value in _CURRENCIES,
    "phone": is_phone,
}
"""Format -> whether a value follows it; a more particular one comes before a looser one."""


def formats(values: Sequence[str]) -> tuple[str, ...]:
    """Return the format that nearly all of the values follow, as a tuple of one or none."""
    for name, follows in _CHECKS.items():
        if values and sum(map(follows, values)) >= ENOUGH * len(values):
            return (name,)
    return ()
