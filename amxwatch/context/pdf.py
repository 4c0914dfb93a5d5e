"""The text of a PDF, read in a process of its own: a hostile file takes nothing along with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from amxwatch.context.chunking import Piece

SECONDS = 30
"""How long one file may take."""

MEMORY = 1_000_000_000
"""Bytes that the process may take."""

MAX_PAGES = 500
MAX_CHARACTERS = 2_000_000


class PdfProblem(Exception):  # noqa: N818  the reason that a file is passed over; it ends here
    """Why a PDF cannot be read."""


def is_readable() -> bool:
    """Claim that what reads PDFs is installed."""
    return find_spec("pypdf") is not None


def pdf(path: Path) -> Iterator[Piece]:
    """Yield the text of each page. Raises: PdfProblem."""
    if not is_readable():
        raise PdfProblem("needs another package; pip install 'amxwatch[pdf]'")
    command = [sys.executable, "-I", "-c", _PROGRAM, str(path), str(MEMORY), str(MAX_PAGES)]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and program
            command, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise PdfProblem(f"took longer than {SECONDS} s") from None
    except OSError as error:
        raise PdfProblem(f"cannot be read: {error.strerror}") from None
    if done.returncode == ENCRYPTED:
        raise PdfProblem("is encrypted")
    if done.returncode:
        raise PdfProblem("is damaged, or no PDF")
    yield from _pages(done.stdout)


ENCRYPTED = 3

_PROGRAM = f"""
import json, sys
path, memory, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
except (ImportError, OSError, ValueError):
    pass
import logging
logging.disable(logging.CRITICAL)
import pypdf
reader = pypdf.PdfReader(path)
if reader.is_encrypted:
    try:
        opened = reader.decrypt("")
    except Exception:
        opened = 0
    if not opened:
        sys.exit({ENCRYPTED})
for page in reader.pages[:most]:
    print(json.dumps(page.extract_text()), flush=True)
"""
"""What the process runs. A password of no letters opens many a file that only forbids printing."""


def _pages(printed: bytes) -> Iterator[Piece]:
    room = MAX_CHARACTERS
    for number, line in enumerate(printed.splitlines(), 1):
        text = json.loads(line)[:room]
        room -= len(text)
        yield Piece(headings=(f"page {number}",), text=text, line=number)
        if room <= 0:
            return
