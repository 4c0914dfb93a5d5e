"""One way of telling people: a web address, a program, a mailbox."""

from __future__ import annotations

from typing import Protocol

from amxwatch.core.message import Message


class Notifier(Protocol):
    """Tells one target. Holds nothing between two messages, so there is nothing to close."""

    async def send(self, message: Message) -> None:
        """Tell the target, and return once it has surely taken the message.

        Ends within the target's time limit and a few seconds, also where the other side hangs;
        when cancelled, it leaves nothing running. `message.id` goes with every try, so that a
        receiver can drop what it has seen. Whatever the other side answers beyond yes or no is
        neither obeyed nor shown.

        Raises: NotifyUnavailableError, NotifyRefusedError; no secret, and no path of a web
        address, is in their messages.
        """
