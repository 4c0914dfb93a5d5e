"""Formats that a column's values follow: emails, UUIDs, account numbers, dates, and so on.

Check digits are the business of python-stdnum.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from stdnum import iban, luhn

ENOUGH = 0.9
"""The share of values that must follow a format."""

PERSONAL_FORMATS = frozenset({"email", "phone", "luhn", "iban", "ip_address", "national_id"})
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
    "national_id": r"\d{3}-\d{2}-\d{4}",  # of the United States, which has no check digit
    "ip_address": r"(?:\d{1,3}\.){3}\d{1,3}",
    "hex_digest": r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}",
}


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def is_luhn(value: str) -> bool:
    """Whether a number of 13 to 19 digits ends in its Luhn check digit, as card numbers do."""
    digits = re.sub(r"[ -]", "", value)
    return 13 <= len(digits) <= 19 and digits.isascii() and bool(luhn.is_valid(digits))


def is_iban(value: str) -> bool:
    """Whether a text is an international account number by its check digits."""
    return bool(iban.is_valid(value))


NATIONAL = (
    *("ar.cuit", "at.vnr", "be.nn", "bg.egn", "br.cpf", "ca.sin", "ch.ssn", "cl.rut", "cn.ric"),
    *("cz.rc", "de.idnr", "dk.cpr", "ee.ik", "es.dni", "es.nie", "fi.hetu", "fr.nir", "gb.nhs"),
    *("gr.amka", "hr.oib", "ie.pps", "il.idnr", "in_.aadhaar", "it.codicefiscale", "kr.rrn"),
    *("lt.asmens", "mx.curp", "nl.bsn", "no.fodselsnummer", "pl.pesel", "ro.cnp"),
    *("se.personnummer", "si.emso", "th.pin", "tr.tckimlik", "za.idnr"),
)
"""Numbers that a state gives to each person, as the library names them."""

_NATIONAL_ROWS = 40
"""Values that are enough to tell such a number by."""

_NATIONAL_LEAST = 8
"""Values below which a check digit may fit by chance."""


def is_national_number(values: Sequence[str]) -> bool:
    """Whether nearly all values are numbers of persons in one and the same country.

    Numbers that merely count fit a check digit once in ten: enough of them must fit.
    """
    some = values[:_NATIONAL_ROWS]
    fits = [value for value in some if re.fullmatch(r"[0-9A-Za-z .+-]{8,22}", value)]
    if len(some) < _NATIONAL_LEAST or len(fits) < ENOUGH * len(some):
        return False
    return any(sum(map(_module(name).is_valid, fits)) >= ENOUGH * len(some) for name in NATIONAL)


@functools.cache
def _module(name: str) -> Any:
    return importlib.import_module(f"stdnum.{name}")


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
    return ("national_id",) if is_national_number(values) else ()
