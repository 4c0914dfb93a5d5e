"""Git refs, asked of the git command line: read only, no hook, no network."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import CompletedProcess

import anyio

from amxwatch.core.errors import SignalError
from amxwatch.ports.signals import Touched

LIMIT_SECONDS = 30.0
"""A git that takes longer is ended."""

MAX_FILES = 200
"""How many files are named."""

SAFE = (
    "--no-pager",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.allow=never",
)
"""What keeps a repository's own config from starting programs. See: git-config(1)."""

ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}


class GitRepository:
    """Implements `ports.signals.Repository`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def commit(self, ref: str) -> str:
        done = await self._git("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
        if done.returncode:
            raise self._refused(f"{ref} cannot be read", done)
        return done.stdout.decode("ascii", "replace").strip()

    async def touched(self, before: str, after: str, paths: tuple[str, ...]) -> Touched:
        known = await self._git("cat-file", "-e", f"{before}^{{commit}}")
        if known.returncode:
            return Touched(lost=True)
        done = await self._git(
            "diff-tree",
            "-r",
            "-z",
            "--name-status",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=all",
            before,
            after,
            "--",
            *(f":(glob){path}" for path in paths),
        )
        if done.returncode:
            raise self._refused(f"{before[:12]}..{after[:12]} cannot be compared", done)
        parts = done.stdout.decode("utf-8", "replace").split("\0")
        pairs = list(zip(parts[0::2], parts[1::2], strict=False))
        files = tuple(f"{how} {path}" for how, path in pairs[:MAX_FILES])
        return Touched(files=files, total=len(pairs))

    async def _git(self, *arguments: str) -> CompletedProcess[bytes]:
        """Run git and return what it printed. Raises: SignalError."""
        if not self._folder.is_dir():
            raise SignalError(f"git repository {self._folder}: there is no such folder")
        inherited = {key: value for key, value in os.environ.items() if not _is_git(key)}
        try:
            with anyio.fail_after(LIMIT_SECONDS):
                return await anyio.run_process(
                    ["git", *SAFE, "-C", str(self._folder), *arguments],
                    env={**inherited, **ENVIRONMENT},
                    check=False,
                )
        except TimeoutError:
            raise SignalError(
                f"git repository {self._folder}: git took longer than {LIMIT_SECONDS:g} s"
            ) from None
        except OSError as error:
            raise SignalError(
                f"git repository {self._folder}: git cannot be started: {error}; install git"
            ) from error

    def _refused(self, what: str, done: CompletedProcess[bytes]) -> SignalError:
        says = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        return SignalError(f"git repository {self._folder}: {what}: {says or 'git failed'}")


def _is_git(variable: str) -> bool:
    """Git's own variables would turn it to another repository, or let programs run."""
    return variable.startswith("GIT_") and variable != "GIT_EXEC_PATH"
