"""The `[intake]` table: where signals come from, and who lets them through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from amxwatch.settings.table import Table
from amxwatch.settings.value import (
    CanonicalScope,
    Count,
    Name,
    NonNegative,
    Positive,
    Text,
    refusal,
)

_FORBIDDEN = frozenset(" ~^:?*[\\\x7f")
"""What no git ref may hold. See: git-check-ref-format(1)."""


def _ref(text: str) -> str:
    """Accept a whole ref, which neither git nor a shell can take for anything else."""
    odd = _FORBIDDEN & set(text) or min(text) < " " or ".." in text or "@{" in text
    if odd or not text.startswith("refs/") or text.endswith(("/", ".", ".lock")):
        raise refusal('a whole ref such as "refs/heads/main" or "refs/tags/v1"')
    return text


def _pattern(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise refusal("a glob below the repository's root, such as models/**")
    return text


GitRef = Annotated[str, Field(min_length=1), AfterValidator(_ref)]
GitPattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class GitWatch(Table):
    """A git ref whose moves are signals, where files under `paths` changed with them."""

    repository: Text
    ref: GitRef = "refs/heads/main"
    paths: Annotated[tuple[GitPattern, ...], Field(min_length=1)] = ("**",)
    db_profile: Name | None = None
    scope: CanonicalScope | None = None
    priority: Literal["p0", "p1", "p2", "p3"] = "p2"


class IntakeSettings(Table):
    """How signals become work. `db_profile` and `scope` hold where a signal names none."""

    triage: Literal["auto", "human"] = "auto"
    max_open: Count = 100
    db_profile: Name | None = None
    scope: CanonicalScope = "all"
    llm_profile: Name | None = None
    review_strategy: Literal["manual", "auto"] = "manual"
    timeout_seconds: Positive = 1800.0
    folders: tuple[Text, ...] = ()
    settle_seconds: NonNegative = 2.0
    git: tuple[GitWatch, ...] = ()
