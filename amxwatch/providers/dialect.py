"""What one endpoint understands, learned from its refusals and kept for as long as it is used."""

from __future__ import annotations

import dataclasses
import enum
import re
from dataclasses import dataclass

from amxwatch.providers.answer import is_tight

_CEILING = re.compile(r"max_\w*tokens\b.*?(?:> |at most )(\d{2,7})\b", re.IGNORECASE | re.DOTALL)
"""How Anthropic and OpenAI name the most tokens that a model answers with."""

MOST_ROOM = 8
"""How many times the room that was reckoned a prompt may be given."""


class Form(enum.StrEnum):
    """How an endpoint is asked for JSON."""

    SCHEMA = "json_schema"
    OBJECT_WITH_SCHEMA = "json_object with schema"
    OBJECT = "json_object"
    TOOL = "tool"
    PROMPT = "prompt"
    """The schema stands in the prompt only; what comes back is mended as it is read."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """`forms` are those left to try, the one in use first; `limit` names the token limit.

    `ceiling` is the most that it may say. `several` says that the endpoint gives more than one
    sample to a request, `room` multiplies the context that a prompt is reckoned to need, where
    the wire sets one.
    """

    forms: tuple[Form, ...]
    temperature: bool = True
    logprobs: bool = False
    several: bool = False
    limit: str | None = None
    ceiling: int | None = None
    room: int | None = None

    @property
    def form(self) -> Form:
        return self.forms[0]

    def without(self, complaint: str) -> Dialect | None:
        """Return the dialect without what an endpoint complains of, or None: nothing is left.

        A complaint that names nothing we send is taken to be about the form of the answer.
        """
        said = complaint.casefold()
        if self.logprobs and "logprobs" in said:
            return dataclasses.replace(self, logprobs=False)
        if self.temperature and "temperature" in said:
            return dataclasses.replace(self, temperature=False)
        if self.several and re.search(r"['\"`]n['\"`]|\bn\b (?:is|must|should)", said):
            return dataclasses.replace(self, several=False)
        told = _CEILING.search(complaint)
        if told and self.ceiling is None:
            return dataclasses.replace(self, ceiling=max(1, int(told[1])))
        if is_tight(complaint):
            return self._roomier()
        if self.limit and re.search(r"max_(?:completion_)?tokens", said):
            swapped = {"max_completion_tokens": "max_tokens"}.get(self.limit)
            return dataclasses.replace(self, limit=swapped)
        return self.with_looser_form()

    def most(self, tokens: int) -> int:
        """Return how many tokens an answer may be allowed."""
        return tokens if self.ceiling is None else min(tokens, self.ceiling)

    def _roomier(self) -> Dialect | None:
        """Ask for more room, or leave out the limit that was counted into a full context."""
        if self.room is not None and self.room < MOST_ROOM:
            return dataclasses.replace(self, room=self.room * 2)
        return dataclasses.replace(self, limit=None) if self.limit else None

    def with_looser_form(self) -> Dialect | None:
        if len(self.forms) == 1:
            return None
        return dataclasses.replace(self, forms=self.forms[1:])
