"""Score drafts against the gold sets: `python -m tests.quality`, the table of docs/quality.md.

    --llm NAME        also score this llm profile (again for more), of --config-dir's install
    --config-dir DIR  the install (else AMXWATCH_CONFIG_DIR, else ~/.amxwatch)
    --tables N        only the first N tables of each set: for models that are slow or cost money
    --write           put the table into docs/quality.md

The sets are in AMXWATCH_CASES (default ../shared/cases).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import anyio

from amxwatch.clocks.system import SystemClock
from amxwatch.core.draft import Band
from amxwatch.daemon.wiring import open_install
from amxwatch.ports.provider import Provider
from amxwatch.providers import ProviderSpec, make
from amxwatch.settings.schema import LlmProfile
from tests.quality.gold import GoldSet, gold_sets
from tests.quality.score import MEASURES, Sheet, bare_names, drafts, sheet

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "quality.md"
BEGIN, END = "<!-- quality -->", "<!-- /quality -->"
RULES = LlmProfile(name="builtin", provider="builtin", model="rules")
FEW = 5
"""Fewer short forms than this say nothing of a drafter."""


def main(arguments: Sequence[str]) -> int:
    """Score, print, and perhaps write the page."""
    options = _parsed(arguments)
    folder = Path(os.environ.get("AMXWATCH_CASES") or ROOT.parent / "shared" / "cases") / "gold"
    sets = gold_sets(folder)
    if not sets:
        print(f"no gold sets at {folder}: set AMXWATCH_CASES to the folder of cases")
        return 2
    sheets = anyio.run(_score, sets, options)
    command = " ".join(["python -m tests.quality", *(_shown(arguments))])
    text = "\n".join([_head(command), "", *_scores(sheets), "", *_bands(sheets)])
    print(text)
    if options.write:
        _write(text)
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.quality")
    parser.add_argument("--llm", action="append", default=[])
    parser.add_argument("--config-dir", type=Path)
    parser.add_argument("--tables", type=int)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args(arguments)


def _shown(arguments: Iterable[str]) -> list[str]:
    return [each for each in arguments if not each.startswith("/") and each != "--write"]


async def _score(sets: Sequence[GoldSet], options: argparse.Namespace) -> list[Sheet]:
    sheets = []
    rules = make(ProviderSpec(provider="builtin", model="rules"), clock=SystemClock())
    for gold in sets:
        sheets.append(sheet(gold, "bare name", bare_names(gold)))
        sheets.append(await _scored(gold, rules, RULES, None))
    if options.llm:
        async with open_install(options.config_dir) as install:
            for name in options.llm:
                profile = install.settings.llm_profile(name)
                provider = install.provider(profile.name)
                sheets += [await _scored(gold, provider, profile, options.tables) for gold in sets]
    return sheets


async def _scored(
    gold: GoldSet, provider: Provider, profile: LlmProfile, most_tables: int | None
) -> Sheet:
    made = await drafts(gold, provider, profile, most_tables)
    asked = {table.ref for table in gold.catalog.tables[:most_tables]}
    return sheet(
        gold,
        profile.name,
        {ref: draft.text for ref, draft in made.items()},
        {ref: draft.band for ref, draft in made.items()},
        [ref for ref in gold.wanted if ref.owner in asked],
    )


def _head(command: str) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("amxwatch", "rapidfuzz"))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with Python {platform.python_version()},"
        f" {packages}: `{command}`."
    )


def _scores(sheets: Sequence[Sheet]) -> list[str]:
    lines = [
        f"| set | drafter | texts | {' | '.join(MEASURES)} | short forms written out |",
        f"| --- | --- | ---: |{' ---: |' * len(MEASURES)} ---: |",
    ]
    for one in sorted(sheets, key=lambda one: one.name):
        hits, total = one.expansions
        share = f"{hits} of {total}" if total >= FEW else "–"
        scores = " | ".join(f"{one.scores[name]:.3f}" for name in MEASURES)
        lines.append(f"| {one.name} | {one.drafter} | {one.objects} | {scores} | {share} |")
    return lines


def _bands(sheets: Sequence[Sheet]) -> list[str]:
    lines = [
        f"| set | drafter | {' | '.join(f'{band}: drafts, chrF' for band in Band)} |",
        f"| --- | --- |{' ---: |' * len(Band)}",
    ]
    for one in sorted(sheets, key=lambda one: one.name):
        if one.bands:
            cells = (one.bands.get(band) for band in Band)
            shown = [f"{cell[0]}, {cell[1]:.3f}" if cell else "–" for cell in cells]
            lines.append(f"| {one.name} | {one.drafter} | {' | '.join(shown)} |")
    return lines


def _write(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    PAGE.write_text(pattern.sub(f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
