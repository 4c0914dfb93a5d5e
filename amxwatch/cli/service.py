"""`amxwatch service`: have the operating system keep the daemon running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from amxwatch.cli.session import output, root, writing

if TYPE_CHECKING:
    from amxwatch.cli.documents import Document
    from amxwatch.cli.session import Desk
    from amxwatch.ports.service import Service

print_option = click.option(
    "--print", "print_", is_flag=True, help="Only show the file that would be written, and where."
)


@click.group()
def service() -> None:
    """Have the operating system keep the daemon running.

    A systemd user unit, a launchd agent or a task of the Windows Task Scheduler, one for each
    config folder.
    """


@service.command()
@print_option
def install(print_: bool) -> None:
    """Write the service's file and have the system start the daemon.

    It is started now and at every log-in, and again when it dies. Doing it again renews the
    file and starts the daemon anew: after amxwatch or its Python moved, say.
    """
    install_service(print_)


@service.command()
def uninstall() -> None:
    """Stop the service and remove its file; the schedules stay."""
    uninstall_service()


@service.command()
def status() -> None:
    """Ask the system whether the service is loaded; look at its log."""
    import anyio

    anyio.run(_status)


def install_service(print_: bool) -> None:
    """Install the service of this call's folder, or only show its file."""
    if print_:
        _print()
    else:
        writing(_install)


def uninstall_service() -> None:
    """Remove the service of this call's folder; neither its config nor its state is opened."""
    import anyio

    anyio.run(_uninstall)


def _print() -> None:
    from amxwatch.daemon.os_service import os_service

    out, file = output(), os_service(root()).file
    text = file.content.decode("utf-16" if file.content[:2] in _UTF_16 else "utf-8")
    out.document({"file": str(file.path), "content": text})
    if not out.as_json:
        out.warn(f"this would be written to {file.path}")
        click.echo(text, nl=not text.endswith("\n"))


_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


async def _install(desk: Desk) -> None:
    from amxwatch.cli.output import shown
    from amxwatch.daemon.os_service import os_service

    made = os_service(desk.install.folder.path)
    await made.install()
    document = await service_document(made)
    desk.out.document(document)
    desk.out.say(f"The service is {document['status']}.", colour="green")
    desk.out.say(f"  {shown(document['file'])}")
    for line in (_unseen_variables(desk, made), await made.advice()):
        if line is not None:
            desk.out.say(f"Note: {shown(line)}", colour="yellow")


def _unseen_variables(desk: Desk, made: Service) -> str | None:
    """Say which environment variables of the config the service's daemon will not see."""
    import re

    from amxwatch.settings.reload import dump

    named = set(re.findall(r'"env:([^"\\]+)"', dump(desk.install.settings)))
    file = made.env_file
    if file is not None and file.exists():
        named -= set(
            re.findall(r"^\s*([A-Za-z_]\w*)=", file.read_text("utf-8", "replace"), re.MULTILINE)
        )
    if not named:
        return None
    names = ", ".join(sorted(named))
    where = f"in {file} (mode 0600), each as NAME=value, or " if file is not None else ""
    return (
        f"the service does not see your shell's variables; the config names {names}:"
        f" write them {where}as file:PATH or keyring:SERVICE/USER in the config"
    )


async def _uninstall() -> None:
    from amxwatch.cli.output import shown
    from amxwatch.daemon.os_service import os_service

    out, made = output(), os_service(root())
    path = made.file.path
    removed = await made.uninstall()
    out.document({"removed": removed, "status": await made.status(), "file": str(path)})
    if removed:
        out.say("The service is stopped and removed; the schedules stay.", colour="green")
        out.say("  Without it they fire only while you keep amxwatch running: amxwatch daemon")
    else:
        out.say(f"There is no service to remove: no {shown(path)}")


async def _status() -> None:
    from amxwatch.cli.output import local_text, shown
    from amxwatch.daemon.os_service import os_service

    out, made = output(), os_service(root())
    document = await service_document(made)
    advice = await made.advice() if document["status"] == "loaded" else None
    document["advice"] = advice
    out.document(document)
    out.say(f"service   {document['status']} ({shown(document['label'])})")
    out.say(f"file      {shown(document['file'])}")
    size = document["log_size_bytes"]
    written = f", {size} bytes, last written {local_text(document['log_mtime'])}"
    out.say(f"log       {shown(document['log'])}{', not there yet' if size is None else written}")
    for line in filter(None, [_remedy(document), advice]):
        out.say(f"Note: {shown(line)}", colour="yellow")


def _remedy(document: Document) -> str | None:
    """Say how to come from what is to a service that runs this amxwatch."""
    if document["status"] == "not_installed":
        return "no daemon is kept running; have one with: amxwatch service install"
    if document["status"] == "installed":
        return "its file is there, but nothing runs by it; mend with: amxwatch service install"
    if not document["is_current"]:
        return "its file is of another amxwatch; renew it with: amxwatch service install"
    return None


async def service_document(made: Service) -> Document:
    """Return what `service status --json` prints, as far as the files and the system tell."""
    from amxwatch.settings.folder import Folder, service_label

    file, log = made.file, Folder(path=root()).log
    try:
        is_current = file.path.read_bytes() == file.content
    except OSError:
        is_current = False
    return {
        "status": await made.status(),
        "label": service_label(root()),
        "file": str(file.path),
        "is_current": is_current,
        "log": str(log),
        **log_facts(log),
    }


def log_facts(log: Path) -> Document:
    """Return how long the daemon's log is and when it was last written; null without one."""
    from datetime import UTC, datetime

    from amxwatch.cli.output import moment

    try:
        found = log.stat()
    except OSError:
        return {"log_size_bytes": None, "log_mtime": None}
    return {
        "log_size_bytes": found.st_size,
        "log_mtime": moment(datetime.fromtimestamp(found.st_mtime, UTC)),
    }
