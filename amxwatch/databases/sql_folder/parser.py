"""Asks a process of its own to parse: sqlglot takes 50 MB that an idle daemon need not hold.

Blocking; one thread at a time for each `Parser`. Processes are shared: one that has nothing to
do waits for the next who asks, and ends by itself after `LINGER_SECONDS`, or when we do.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from amxwatch.core.errors import DatabaseUnavailableError
from amxwatch.databases.sql_folder.asks import Ask, Parse, Projection, Text, receive, send
from amxwatch.databases.sql_folder.edits import Reading
from amxwatch.databases.sql_folder.query import Source

LINGER_SECONDS = 20.0
"""How long a process waits for more: edits come in bursts, and starting one takes 0.4 s."""

_MOST_FILES = 2_048
_MOST_CHARACTERS = 8 * 1024 * 1024
"""Of one ask: it is in memory twice."""

_MOST_ALONE = 128
"""Files; more than that are worth a second process, where there is a second core."""


class _LostError(Exception):
    """The process has ended before it answered."""


class _Process:
    def __init__(self) -> None:
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - ourselves, with words of our own
                [sys.executable, "-m", f"{__package__}.parser_process", str(LINGER_SECONDS)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise DatabaseUnavailableError(
                f"no process could be started to parse SQL files ({error.strerror}); "
                "it will be tried again"
            ) from error
        # It ends by itself; somebody must take note, or it stays as a zombie.
        threading.Thread(target=self._popen.wait, daemon=True).start()

    @property
    def is_alive(self) -> bool:
        return self._popen.returncode is None

    def ask(self, message: Ask) -> None:
        assert self._popen.stdin is not None
        try:
            send(self._popen.stdin.fileno(), message)
        except OSError as error:
            raise _LostError from error

    def answer(self) -> object:
        assert self._popen.stdout is not None
        try:
            return receive(self._popen.stdout.fileno())
        except (OSError, EOFError) as error:
            raise _LostError from error

    def kill(self) -> None:
        """End it at once; may be called by another thread, and twice."""
        self._popen.kill()

    def close(self) -> None:
        """Close the pipes, at which it ends."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class _Idle:
    """The processes that nobody uses just now."""

    def __init__(self) -> None:
        self._waiting: list[_Process] = []
        self._lock = threading.Lock()

    def take(self) -> _Process:
        with self._lock:
            while self._waiting:
                process = self._waiting.pop()
                if process.is_alive:
                    return process
                process.close()
        return _Process()

    def give_back(self, process: _Process) -> None:
        with self._lock:
            for dead in [each for each in self._waiting if not each.is_alive]:
                dead.close()
                self._waiting.remove(dead)
            self._waiting.append(process)

    def close(self) -> None:
        with self._lock:
            for process in self._waiting:
                process.close()
            self._waiting.clear()


_idle = _Idle()
atexit.register(_idle.close)


class Parser:
    """Parses for one folder; what is asked in a `turn` can be interrupted."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._busy: set[_Process] = set()
        self._interrupted = False

    def begin(self) -> None:
        """Forget an interruption: it was of what went on before."""
        self._interrupted = False

    def interrupt(self) -> None:
        """End what goes on: it raises DatabaseUnavailableError. For another thread."""
        self._interrupted = True
        for process in tuple(self._busy):
            process.kill()

    def parse(self, texts: Sequence[Text]) -> Iterator[Reading | None]:
        """Yield what each text says, in order; None for one over which the parser itself ends.

        Raises: DatabaseUnavailableError.
        """
        if len(texts) < _MOST_ALONE or (os.cpu_count() or 1) == 1:
            yield from self._parse(texts)
            return
        half = len(texts) // 2
        with ThreadPoolExecutor(1) as beside:
            others = beside.submit(lambda: list(self._parse(texts[half:])))
            yield from self._parse(texts[:half])
            yield from others.result()

    def project(self, tree: bytes, sources: tuple[Source, ...]) -> list[tuple[str, str]]:
        """Return what a query selects from these sources. Raises: DatabaseUnavailableError."""
        try:
            (answer,) = self._ask(Projection(dialect=self._dialect, tree=tree, sources=sources))
        except _LostError as error:
            raise self._unavailable() from error
        assert isinstance(answer, list)
        return answer

    def _parse(self, texts: Sequence[Text]) -> Iterator[Reading | None]:
        for batch in _batches(texts):
            done = 0
            while done < len(batch):
                try:
                    for reading in self._ask(Parse(dialect=self._dialect, texts=batch[done:])):
                        done += 1
                        assert isinstance(reading, Reading)
                        yield reading
                except _LostError as error:
                    if self._interrupted:
                        raise self._unavailable() from error
                    # sqlglot is compiled code: what ends it twice is this very text.
                    done += 1
                    yield None

    def _ask(self, message: Ask) -> Iterator[object]:
        """Yield each part of the answer.

        Asks once more where none came: a process may have ended of old age just now.
        """
        for may_ask_again in (True, False):
            if self._interrupted:
                raise self._unavailable()
            process = _idle.take()
            self._busy.add(process)
            is_clean = has_begun = False
            try:
                process.ask(message)
                while (answer := process.answer()) is not None:
                    has_begun = True
                    yield answer
                is_clean = True
            except _LostError:
                if has_begun or not may_ask_again:
                    raise
            finally:
                self._busy.discard(process)
                if is_clean:
                    _idle.give_back(process)
                else:
                    process.kill()
                    process.close()
            if is_clean:
                return

    def _unavailable(self) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            "the process that parses SQL files has ended before it was done; it will be tried again"
        )


def _batches(texts: Sequence[Text]) -> Iterator[tuple[Text, ...]]:
    batch: list[Text] = []
    size = 0
    for text in texts:
        if batch and (len(batch) >= _MOST_FILES or size + len(text.text) > _MOST_CHARACTERS):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text.text)
    if batch:
        yield tuple(batch)
