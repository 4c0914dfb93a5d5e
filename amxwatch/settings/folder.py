"""The folder of one install: where it is, what lies where, and who may read it."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amxwatch.core.errors import UsageError

FOLDER_MODE = 0o700
FILE_MODE = 0o600

SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The parts of one install's folder."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "amxwatch.toml"

    @property
    def schedules(self) -> Path:
        """The drop-ins: one schedule a file."""
        return self.path / "schedules.d"

    @property
    def state(self) -> Path:
        return self.path / "state.db"

    @property
    def catalog(self) -> Path:
        return self.path / "catalog"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "daemon.log"

    @property
    def service_env(self) -> Path:
        """What the daemon gets as its environment where systemd starts it."""
        return self.path / "service.env"

    @property
    def shelf(self) -> Path:
        """What was read of the drop-ins where there are very many; made anew when it is gone."""
        return self.path / ".plans.db"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def edit_lock(self) -> Path:
        return self.path / ".edit.lock"

    def cache_file(self, db_profile: str) -> Path:
        """Return the catalog cache of one db profile."""
        return self.catalog / f"{slug(db_profile)}.duckdb"


def config_dir(flag: str | None, environ: Mapping[str, str]) -> Path:
    """Return the install's folder, absolute: the flag, AMXWATCH_CONFIG_DIR, else ~/.amxwatch.

    An empty variable counts as unset. Raises: UsageError.
    """
    given = flag if flag is not None else environ.get("AMXWATCH_CONFIG_DIR") or "~/.amxwatch"
    if not given or "\0" in given:
        raise UsageError("--config-dir is empty: give it a folder, or leave it out")
    try:
        path = Path(given).expanduser()
    except RuntimeError:
        raise UsageError(f"{given}: there is no such home folder; give --config-dir DIR") from None
    # Not resolve(): the folder goes by the name that it was given, symlink or not.
    return Path(os.path.normpath(path.absolute()))


def prepare(path: Path) -> Folder:
    """Make the folder and its parts, private to their owner, and return them.

    A folder that holds something else already keeps its mode; ours is made 0700 again.
    Raises: UsageError.
    """
    folder = Folder(path=path)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        if folder.config_file.exists() or folder.state.exists() or not any(path.iterdir()):
            _own(path)
        for part in (folder.schedules, folder.catalog, folder.logs, folder.exports):
            make_folder(part)
    except OSError as error:
        raise UsageError(
            f"{error.filename or path} cannot be used as config folder: {error.strerror};"
            " choose another with --config-dir DIR"
        ) from None
    return folder


def make_folder(path: Path) -> None:
    """Make one folder, readable by its owner only. One that exists is left as it is."""
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        _own(path)


def make_private(path: Path) -> None:
    """Make an empty file that only its owner can read, or tighten the one that is there."""
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, FILE_MODE))
    path.chmod(FILE_MODE)


def _own(path: Path) -> None:
    """Set the mode whatever the umask says, where it is ours to set; Windows knows none."""
    if sys.platform == "win32":
        return
    if path.stat().st_mode & 0o777 != FOLDER_MODE and path.stat().st_uid == os.geteuid():
        path.chmod(FOLDER_MODE)


def service_label(path: Path) -> str:
    """Return the name of this install's OS service, after the folder's own name.

    ~/.amxwatch is `com.amxwatch.daemon`, ~/.amxwatch-dev `com.amxwatch-dev.daemon`. Any other
    folder (elsewhere, without the dot, or of a name that is no safe file name) gets a hash of its
    whole path as a part of its own, so that no two installs share a service:
    /srv/a/.amxwatch is `com.amxwatch.HASH.daemon`.
    """
    home, parent, name = Path.home(), path.parent, path.name
    if name[:1] == "." and SAFE_NAME.fullmatch(name[1:]) and _is_same(parent, home):
        return f"com.{name[1:]}.daemon"
    plain = re.sub("[^a-z0-9_]+", "-", name.lower()).strip("-_")[:40]
    whole = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118  # no other form of it
    return f"com.{plain or 'x'}.{_short_hash(whole)}.daemon"


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def slug(name: str) -> str:
    """Return a file name for any printable name.

    A name that is a safe file name on every system stays as it is; any other is made so and
    gets a short hash, so that no two names meet in one file.
    """
    if SAFE_NAME.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:40]
    return f"{plain or 'x'}-{_short_hash(name)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
