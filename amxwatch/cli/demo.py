"""`amxwatch demo`: the whole line, on a warehouse of its own."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Play the whole line on a small warehouse of its own.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Where the demo plays; it is left there to go on with.",
)
def demo(folder: Path) -> None:
    """Make a small warehouse, watch it, change its schema, and follow the change.

    Needs no database server, no key and no network; ends by itself.
    """
    import anyio

    from amxwatch.clocks.system import SystemClock
    from amxwatch.daemon.demo import play

    anyio.run(play, folder.absolute(), SystemClock(), click.echo)
