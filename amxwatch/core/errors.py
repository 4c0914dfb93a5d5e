"""Every error that amxwatch raises on purpose.

AmxwatchError
├── UsageError                 the call is wrong: one line, exit status 2
│   ├── ConfigError            a file is wrong: file, line, key, found, allowed
│   ├── ScopeError             a scope does not parse, or names what does not exist
│   ├── TriggerError           a cron line, date, zone or interval is wrong
│   ├── SignalError            a dropped file, a report or a git ref cannot be taken as work
│   └── MissingExtraError      an optional package is not installed
├── DatabaseError              the source database answered with an error
│   ├── DatabaseUnavailableError   down, locked, or unreachable: try again later
│   │   └── LoginRefusedError          the user or the password is refused: a person mends it
│   ├── HeldError                  seems to be another database than before: a person decides
│   └── StatementRefusedError      one statement was refused (rights, missing object)
├── ProviderError              the language model did not deliver
│   ├── ProviderUnavailableError   rate limit, overload, time-out: try again later
│   ├── ProviderRefusedError       quota, model name, request: trying again cannot help
│   │   ├── KeyRefusedError            the API key is refused: a person mends it
│   │   └── RequestRefusedError        this one request is refused; others may be answered
│   └── ReplyError                 an answer came, but none of it can be used
├── StoreError                 our own state
│   ├── StoreBusyError             another process holds the lock: try again
│   ├── StoreFullError             the disk is full: goes on by itself once there is room
│   ├── CacheBrokenError           the catalog cache must be rebuilt from the ledger
│   ├── DeltaDamagedError          one snapshot cannot be read from the ledger
│   ├── FencedError                another process has taken this run over
│   └── NotFoundError              no such run, draft, schedule or snapshot
├── NotifyError                a target of alerts could not be told
│   ├── NotifyUnavailableError     down, slow or busy: try again later
│   └── NotifyRefusedError         it answered no, or cannot be used as it is configured
├── ServiceError               the operating system's service manager did not do it
├── TransitionError            a move that the state machine does not know
├── RunBlockedError            the run waits for a person: category and recovery action
├── RunReleasedError           the run gives itself back to the queue
└── RunCancelledError          the run was asked to stop
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


class AmxwatchError(Exception):
    """What happened, where, and how to mend it, in one line.

    `transient` says whether trying again later can help; `exit_status` is what the command
    line leaves with.
    """

    transient = False
    exit_status = 1


class UsageError(AmxwatchError):
    """The call is wrong; nothing was done."""

    exit_status = 2


@dataclass(frozen=True, kw_only=True)
class ConfigProblem:
    """One thing that is wrong in one file. `line` counts from 1; 0 means the whole file."""

    file: str
    line: int
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        return f"{where}:{key} found {self.found}; allowed: {self.allowed}"


class ConfigError(UsageError):
    """One or more files are wrong; the last good config stays in force."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class ScopeError(UsageError):
    """A scope does not parse, or names something that does not exist."""


class TriggerError(UsageError):
    """A cron line, a date, a zone or an interval is wrong."""


class SignalError(UsageError):
    """A dropped file, a report or a git ref cannot be taken as work."""


class MissingExtraError(UsageError):
    """An optional package is not installed: one of our extras, or a `package` of others."""

    def __init__(self, what: str, extra: str, *, package: str = "") -> None:
        wanted = f"amxwatch[{extra}]" if extra else package
        super().__init__(
            f"{what} needs an optional package; install it with: pip install '{wanted}'"
        )


class DatabaseError(AmxwatchError):
    """The source database answered with an error."""


class DatabaseUnavailableError(DatabaseError):
    """The database is down, locked or unreachable."""

    transient = True


class LoginRefusedError(DatabaseUnavailableError):
    """The database refused the user or the password; a person has to mend that."""

    transient = False


class HeldError(DatabaseError):
    """The source answers, but seems to be another database than before; a person decides."""


class StatementRefusedError(DatabaseError):
    """One statement was refused; others may still succeed."""


class ProviderError(AmxwatchError):
    """The language model did not deliver."""


class ProviderUnavailableError(ProviderError):
    """Rate limit, overload or time-out. `retry_after` is what the server asked for."""

    transient = True

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ProviderRefusedError(ProviderError):
    """Key, quota, model name or request: trying again cannot help."""


class KeyRefusedError(ProviderRefusedError):
    """The model's endpoint refused the API key; a person has to mend that."""


class RequestRefusedError(ProviderRefusedError):
    """One request cannot be answered (too long, say); others may be."""


class ReplyError(ProviderError):
    """An answer came (and is paid for), but none of it can be used."""


class StoreError(AmxwatchError):
    """Our own state could not be read or written."""


class StoreBusyError(StoreError):
    """Another process holds the lock."""

    transient = True


class StoreFullError(StoreError):
    """There is no room for what is to be kept; nothing that was kept is lost."""

    transient = True


class CacheBrokenError(StoreError):
    """The catalog cache is lost or damaged; it is rebuilt from the ledger."""


class DeltaDamagedError(StoreError):
    """One snapshot's delta cannot be read from the ledger; those before it can."""


class FencedError(StoreError):
    """Another process has taken this run over; whatever this one writes is refused."""


class NotFoundError(StoreError):
    """No such run, draft, schedule, snapshot or object."""

    exit_status = 2


class NotifyError(AmxwatchError):
    """A target of alerts could not be told."""


class NotifyUnavailableError(NotifyError):
    """The target is down, slow or busy."""

    transient = True


class NotifyRefusedError(NotifyError):
    """The target answered no, or cannot be used as it is configured."""


class ServiceError(AmxwatchError):
    """The operating system has no service manager for us, or it did not do as asked."""


class TransitionError(AmxwatchError):
    """A move that the state machine does not know; nothing was changed."""


class RunBlockedError(AmxwatchError):
    """The run waits for a person.

    `category` is `budget`, `limit`, `flood`, `unpriced` or `credentials`; `recovery_action` is a
    command.
    """

    def __init__(self, message: str, *, category: str, recovery_action: str) -> None:
        self.category = category
        self.recovery_action = recovery_action
        super().__init__(message)


class RunReleasedError(AmxwatchError):
    """The run gives itself back: any worker may go on with it, from `not_before` on."""

    def __init__(self, message: str, *, not_before: datetime | None = None) -> None:
        self.not_before = not_before
        super().__init__(message)


class RunCancelledError(AmxwatchError):
    """The run was asked to stop, and did."""
