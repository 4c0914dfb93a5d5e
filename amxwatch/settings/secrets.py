"""Secrets: references in the config, values only where they are used, and nowhere in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from pydantic import SecretStr

from amxwatch.core.errors import MissingExtraError, UsageError

NOT_STORED = "not-stored:"
"""Stands in the ledger's copy of the config where a plain secret was; it cannot be resolved."""

SCHEMES = ("env:", "file:", "keyring:", NOT_STORED)

MASK = "***"

MAX_BYTES = 64 * 1024
"""A secret file larger than this is not a secret file."""

PASSWORD_IN_URL = re.compile(
    r"(?P<before>(?<![\w+.-])[\w+.-]+://[^\s:@/]*:)(?P<password>[^\s\"']{0,2000})@"
)
"""Up to the last @ of the word, as a password may hold @ and / unescaped: hides too much rather
than too little."""

PASSWORD_IN_PAIR = re.compile(
    r"(?P<before>\b\w*(?:password|passwd|pwd|token|secret|api_?key)\s*=\s*)"
    r"(?P<password>'(?:\\.|[^'\\])*'|[^\s&;'\"]+)",
    re.IGNORECASE,
)
"""`password=…` in the query of a URL or in a libpq connection string."""


def is_reference(text: str) -> bool:
    """Say whether this points at a secret, rather than being one."""
    return text.startswith(SCHEMES)


def is_plain(text: str) -> bool:
    """Say whether this is itself a secret: no reference, and no URL without a password."""
    if is_reference(text):
        return False
    return "://" not in text or redact(text, ()) != text


def resolve(reference: str, *, environ: Mapping[str, str], relative_to: Path) -> SecretStr:
    """Return the value that a reference points at; anything but a reference is the value itself.

    `env:NAME` is looked up in `environ`, `file:PATH` starts at `relative_to` and loses its final
    line break, `keyring:SERVICE/USER` asks the system's key ring.

    Raises: UsageError, which names the reference and never the value; MissingExtraError.
    """
    scheme, _, rest = reference.partition(":")
    match scheme:
        case "env":
            value = environ.get(rest)
            if value is None:
                raise UsageError(f"{reference}: that environment variable is not set")
        case "file":
            value = _from_file(reference, relative_to / Path(rest).expanduser())
        case "keyring":
            value = _from_keyring(reference, rest)
        case "not-stored":
            raise UsageError(
                f"{rest} was a plain secret, and the stored copy of the config keeps none:"
                " mend amxwatch.toml, or write it as env:NAME, file:PATH or keyring:SERVICE/USER"
            )
        case _:
            return SecretStr(reference)
    if not value:
        raise UsageError(f"{reference}: that secret is empty")
    return SecretStr(value)


def _from_file(reference: str, path: Path) -> str:
    try:
        if not path.is_file():
            raise UsageError(f"{reference}: there is no file {path}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such path is possible"
        raise UsageError(f"{reference}: {path} cannot be read: {why}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{reference}: {path} is larger than {MAX_BYTES // 1024} KB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{reference}: {path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _from_keyring(reference: str, place: str) -> str:
    service, slash, user = place.rpartition("/")
    if not (service and slash and user):
        raise UsageError(f"{reference}: write it as keyring:SERVICE/USER")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise MissingExtraError(reference, "keyring") from None
    try:
        value = keyring.get_password(service, user)
    except KeyringError as error:
        raise UsageError(
            f"{reference}: no key ring can be used here ({type(error).__name__}):"
            " unlock one, or use env:NAME or file:PATH"
        ) from None
    if value is None:
        raise UsageError(f"{reference}: the key ring holds no such entry")
    return value


def redact(text: str, secrets: Iterable[SecretStr | str]) -> str:
    """Return the text without any of these secrets, and without the password of any URL."""
    values: set[str] = set()
    for secret in secrets:
        values |= _spellings(secret if isinstance(secret, str) else secret.get_secret_value())
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    text = PASSWORD_IN_URL.sub(rf"\g<before>{MASK}@", text)
    return PASSWORD_IN_PAIR.sub(rf"\g<before>{MASK}", text)


def _spellings(secret: str) -> set[str]:
    """Return a secret as drivers may print it: as it is, quoted for URLs, its password alone."""
    parts = {secret}
    for found in (*PASSWORD_IN_URL.finditer(secret), *PASSWORD_IN_PAIR.finditer(secret)):
        password = found["password"].strip("'")
        parts |= {password, unquote(password)}
    return {
        form for part in parts if part for form in (part, quote(part, safe=""), quote_plus(part))
    }
