"""The text of a description: how it is cleaned, and what makes it suspect."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 1000
"""Characters in a description; longer ones are shortened at the end of a sentence."""

_SPACES = re.compile(r"\s+")
_FENCE = re.compile(r"\A\s*```[\w-]*\s*(.*?)\s*```\s*\Z", re.DOTALL)
_BULLET = re.compile(r"\A(?:[#>]+|[-*•+]|\d{1,2}[.)])\s+(?=\S)")
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“"}
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# A flag of a region (a black flag and tag letters) is an emoji; other tag letters only hide text.
_INVISIBLE = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[\u00ad\u200b\u2060-\u2064\ufeff\U000e0000-\U000e007f]"
)
_TERMINAL = ".!?…。！？．؟۔।։፧"
_CLOSING = "\"')]}»”’」』）】"

_SUSPECT: dict[str, re.Pattern[str]] = {
    "url": re.compile(
        r"(?:https?|ftp|file)://|\bwww\.\w|\bjavascript:|\bdata:[\w+.-]+/|\bmailto:"
        r"|\b[\w-]+\.(?:com|org|io|top|xyz|ru|cn|biz|dev|app)\b",
        re.IGNORECASE,
    ),
    "personal": re.compile(r"[\w.+-]+@[\w-]+\.\w{2,}"),
    "markup": re.compile(
        r"<[a-z!/?][^<>]*>|!?\[[^\]]*\]\([^)]*\)|&(?:#\d+|#x[0-9a-f]+|lt|gt);", re.IGNORECASE
    ),
    "secret": re.compile(
        r"\b(?:sk|pk|rk|gsk)[-_][\w-]{12,}|\bAKIA[A-Z0-9]{12,}|\bgh[pousr]_\w{16,}|\bxox[abps]-[\w-]+"
        r"|\beyJ[\w-]{8,}\.[\w-]{8,}|-----BEGIN [A-Z ]+-----"
        r"|\b(?:[Pp]assword|passwd|pwd|[Ss]ecret|[Tt]oken)\s*[=:]\s*(?=\S*\d)\S{6,}",
    ),
    "instruction": re.compile(
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|directions?|above|previous"
        r"|prior|prompts?|rules|data|content|info)\b"
        r"|\bas an? (?:ai|artificial|large|language)\b|\b(?:ai|language) (?:language )?model\b"
        r"|\bsystem (?:prompt|message)\b|\byou (?:are|must) now\b|\b(?:system|user|assistant)\s*:\s"
        r"|\bI (?:cannot|can't|can not|am unable to) (?:help|assist|comply|provide|describe)\b"
        r"|\b(?:print|repeat|translate) (?:the|this|these) (?:following|above|sentence|words)\b",
        re.IGNORECASE,
    ),
    "statement": re.compile(
        r"\b(?:drop|alter|truncate) (?:table|database|schema|column)\b|\binsert into\b"
        r"|\bdelete from\b|\bunion (?:all )?select\b|\bexec(?:ute)?\s*\(|;\s*shutdown\b|\$\(",
        re.IGNORECASE,
    ),
}
"""Flag -> what raises it. A flagged draft is never applied by itself; a person looks first."""


def inspect(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text as it may be written to a database, and what is suspect about it.

    One line, no wrapping quotes or code fences, ended like a sentence, at most `MAX_LENGTH`
    characters. Letters of every script, emoji and marks stay; marks that turn the reading
    direction and invisible characters are taken out and flagged. Flags are sorted: bidi,
    instruction, invisible, markup, personal, secret, shortened, statement, url.
    Raises: ValueError for text that no database should hold: empty, or with NUL, control
    characters or lone surrogates.
    """
    _refuse_unholdable(text)
    flags: set[str] = set()
    visible = _BIDI.sub("", text)
    if visible != text:
        flags.add("bidi")
    shown = _INVISIBLE.sub(lambda match: match.group(1) or "", visible)
    if shown != visible:
        flags.add("invisible")
    line = _unwrapped(shown)
    if not any(char.isalnum() or unicodedata.category(char) == "So" for char in line):
        raise ValueError("it is empty")
    flags |= {flag for flag, pattern in _SUSPECT.items() if pattern.search(line)}
    sentence = _ended(line)
    if len(sentence) > MAX_LENGTH:
        flags.add("shortened")
        sentence = _shortened(sentence)
    return sentence, tuple(sorted(flags))


def suspects(text: str) -> tuple[str, ...]:
    """Return the flags that some text raises, whatever else is wrong with it."""
    return tuple(sorted(flag for flag, pattern in _SUSPECT.items() if pattern.search(text)))


def clean(text: str) -> str:
    """Return the text as it may be written to a database. Raises: ValueError, as `inspect`."""
    return inspect(text)[0]


def _refuse_unholdable(text: str) -> None:
    for char in text:
        category = unicodedata.category(char)
        if category == "Cs":
            raise ValueError("it holds half a surrogate pair, which is no character")
        if category == "Cc" and char not in "\t\n\v\f\r\x85":
            raise ValueError(f"it holds the control character U+{ord(char):04X}")


def _unwrapped(text: str) -> str:
    fenced = _FENCE.match(text)
    line = _SPACES.sub(" ", fenced.group(1) if fenced else text).strip()
    line = _BULLET.sub("", line).replace("**", "").strip()
    while len(line) > 1 and _QUOTES.get(line[0]) == line[-1] and line[0] not in line[1:-1]:
        line = line[1:-1].strip()
    return line


def _ended(line: str) -> str:
    """End the text like a sentence, in the full stop of its own script."""
    bare = line.rstrip(_CLOSING + " ")
    if not bare or bare[-1] in _TERMINAL or line[-1] in _TERMINAL:
        return line
    line = line.rstrip(" ,;:")
    last = line[-1:]
    return line + ("。" if "\u3040" <= last <= "\u9fff" else ".")


def _shortened(text: str) -> str:
    """Cut at the last end of a sentence that fits, else at the last space."""
    head = text[:MAX_LENGTH]
    ends = [match.end() for match in re.finditer(rf"[{_TERMINAL}](?=\s)|[。！？]", head)]
    if ends:
        return head[: ends[-1]]
    return (
        head[: MAX_LENGTH - 1].rpartition(" ")[0].rstrip(" ,;:") + "…"
        if " " in head
        else (head[: MAX_LENGTH - 1] + "…")
    )
