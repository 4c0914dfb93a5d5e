"""The process that parses: sqlglot is loaded here, and its memory is given back when it ends.

It answers on its standard output what it is asked on its standard input, and ends when nobody
has asked for a while, or when who started it has gone, however that ended.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress

from amxwatch.databases.sql_folder import grammar
from amxwatch.databases.sql_folder.asks import Parse, Projection, receive, send
from amxwatch.databases.sql_folder.queries import project
from amxwatch.databases.sql_folder.statements import read_statements

_COLLECT_EVERY = 50_000
"""Trees refer to their parents, so they are garbage in bulk; the default would look too often."""


def serve(asked: int, answered: int, linger_seconds: float) -> None:
    """Answer until nobody has asked for so long, or the other side has gone."""
    while select.select([asked], [], [], linger_seconds)[0]:
        try:
            for answer in _answers(receive(asked)):
                send(answered, answer)
            send(answered, None)
        except (EOFError, BrokenPipeError):
            return


def _answers(ask: object) -> Iterator[object]:
    if isinstance(ask, Projection):
        yield project(ask.tree, grammar.dialect_named(ask.dialect), ask.sources)
        return
    assert isinstance(ask, Parse)
    dialect = grammar.dialect_named(ask.dialect)
    for text in ask.texts:
        yield read_statements(text.text, dialect, ask.dialect, text.known)


def main() -> None:
    """Serve the standard streams; whatever else is printed goes to the errors."""
    # Ctrl-C is for who started us; we end when its end of the pipe closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(_COLLECT_EVERY, 20, 20)
    answered = os.dup(1)
    os.dup2(2, 1)
    with suppress(KeyboardInterrupt):
        serve(0, answered, float(sys.argv[1]))


if __name__ == "__main__":
    main()
