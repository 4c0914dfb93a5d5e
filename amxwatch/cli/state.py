"""`amxwatch state`: backups of the state, and whether it is sound."""

from __future__ import annotations

from pathlib import Path

import click

from amxwatch.cli.options import yes_option
from amxwatch.cli.output import shown
from amxwatch.cli.session import leave, output, root


@click.group()
def state() -> None:
    """Back up, check and restore the state."""


@state.command()
@click.argument("target", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
def backup(target: Path) -> None:
    """Write the state and the config to a file, while all goes on.

    Into a folder that exists it goes under a name with the time. The values of secrets are left
    out; so are the catalog caches, which are rebuilt from the state.
    """
    from amxwatch.clocks.system import SystemClock
    from amxwatch.daemon.backup import make_backup

    made, out = make_backup(root(), target, SystemClock().now()), output()
    out.document(
        {
            "file": str(made.path),
            "bytes": made.size,
            "files": made.files,
            "left_out": list(made.left_out),
        }
    )
    out.say(f"{made.path} is written: {made.files} files, {made.size:,} bytes.", colour="green")
    _warn_of(made.left_out)


@state.command()
def check() -> None:
    """Read the whole state database and say whether it is sound.

    Exit status 1 where it is not.
    """
    from amxwatch.daemon.backup import check_state

    found, out = check_state(root()), output()
    out.document(
        {
            "ok": not found.problems,
            "file": str(found.path),
            "version": found.version,
            "bytes": found.size,
            "free_bytes": found.free,
            "problems": list(found.problems),
        }
    )
    if not found.problems:
        out.say(f"{found.path} is sound: {found.size:,} bytes, version {found.version}.")
    for problem in found.problems:
        out.warn(f"{found.path}: {shown(problem)}")
    if found.problems:
        out.say("Put a backup in its place: amxwatch state restore FILE")
    leave(1 if found.problems else 0)


@state.command()
@click.argument("file", type=click.Path(path_type=Path))
@yes_option
def restore(file: Path, yes: bool) -> None:
    """Put a backup in place. What stood there is moved aside, not deleted.

    No daemon may run meanwhile.
    """
    from amxwatch.cli.terminal import confirm
    from amxwatch.clocks.system import SystemClock
    from amxwatch.daemon.backup import restore_backup

    folder, out = root(), output()
    if not confirm(f"Replace the state and the config in {folder}?", yes=yes):
        out.say("Nothing was replaced.")
        return
    done = restore_backup(folder, file, SystemClock().now())
    out.document(
        {
            "folder": str(done.folder),
            "made_at": done.made_at,
            "files": done.files,
            "set_aside": str(done.set_aside) if done.set_aside else None,
            "left_out": list(done.left_out),
        }
    )
    out.say(f"{done.folder} is as it was at {done.made_at}.", colour="green")
    if done.set_aside:
        out.say(f"What stood there is in {done.set_aside}")
    _warn_of(done.left_out)


def _warn_of(left_out: tuple[str, ...]) -> None:
    if left_out:
        output().warn(
            f"warning: not in the backup, as it is or holds a secret: {', '.join(left_out)};"
            " put it back by hand after a restore, best as env:NAME or file:PATH"
        )
