"""`amxwatch` and `python -m amxwatch`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit status."""
    _open_missing_streams()
    try:
        from amxwatch.cli.app import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _open_missing_streams() -> None:
    """Let what is printed vanish where nobody gave us a stream: `>&-`, or pythonw.exe."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


if __name__ == "__main__":
    main()
