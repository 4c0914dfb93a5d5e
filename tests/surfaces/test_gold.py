"""The builtin drafter against descriptions that people wrote for real schemas.

The measure is token F1: the harmonic mean of how many words of the draft are in the person's
text, and of the person's in the draft. The baseline is the bare name, split into words.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, Column, ObjectRef, Table
from amxwatch.core.evidence import gather, surroundings
from amxwatch.core.naming import split_name
from amxwatch.core.prompt import TABLE_KEY, build
from amxwatch.core.reply import read_reply
from amxwatch.providers import ProviderSpec, make

SETS = ("adventureworks_pg", "mimic3", "wide_world_importers")


def token_f1(drafted: str, wanted: str) -> float:
    ours, theirs = (Counter(re.findall(r"\w+", text.casefold())) for text in (drafted, wanted))
    same = (ours & theirs).total()
    return 2 * same / (ours.total() + theirs.total()) if same else 0.0


def gold(path: Path) -> tuple[Catalog, dict[ObjectRef, str]]:
    """Read one set: the catalog without any comment, and what people said."""
    columns: dict[tuple[str, str], list[Column]] = defaultdict(list)
    wanted: dict[ObjectRef, str] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            schema, _, name = row["table"].rpartition(".")
            owned = columns[schema or "main", name]
            if row["column"]:
                column = Column(
                    name=row["column"], type=row["type"] or "text", ordinal=len(owned) + 1
                )
                if all(each.name != column.name for each in owned):
                    owned.append(column)
            ref = ObjectRef(schema=schema or "main", table=name, column=row["column"])
            wanted[ref] = row["description"]
    tables = tuple(
        Table(schema=schema, name=name, columns=tuple(owned))
        for (schema, name), owned in columns.items()
    )
    return Catalog(reader="gold/1", source="gold", tables=tables), wanted


async def drafts(catalog: Catalog) -> dict[ObjectRef, str]:
    """Draft everything, the way a run does: prompt, reply, reading."""
    provider = make(ProviderSpec(provider="builtin", model="rules"), clock=SystemClock())
    around = surroundings(catalog, {})
    made: dict[ObjectRef, str] = {}
    for table in catalog.tables:
        evidence = gather(table, around)
        request = build(evidence, evidence.columns, with_table=True)
        completion = await provider.complete(request)
        reading = read_reply(completion.text, request.subjects, request.n_alternatives)
        assert reading.missing == ()
        names = {TABLE_KEY: table.ref} | {
            key.key: column.ref
            for key, column in zip(request.subjects[1:], evidence.columns, strict=True)
        }
        made |= {names[key]: answer.alternatives[0] for key, answer in reading.good.items()}
    return made


async def test_the_rules_beat_the_bare_name(
    cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gains = []
    for name in SETS:
        catalog, wanted = gold(cases / "gold" / f"{name}.csv")
        drafted = await drafts(catalog)
        ours = [token_f1(drafted[ref], text) for ref, text in wanted.items()]
        bare = [
            token_f1(" ".join(split_name(ref.column or ref.table)), text)
            for ref, text in wanted.items()
        ]
        mean, baseline = sum(ours) / len(ours), sum(bare) / len(bare)
        gains.append(mean - baseline)
        with capsys.disabled():
            print(f"\n{name}: rules {mean:.3f}, bare name {baseline:.3f}, of {len(ours)}", end="")
    assert sum(gains) / len(gains) > 0


async def test_every_draft_is_a_sentence_of_its_own_column(cases: Path) -> None:
    for name in SETS:
        catalog, _ = gold(cases / "gold" / f"{name}.csv")
        for ref, text in (await drafts(catalog)).items():
            assert text[:1] == text[:1].upper(), (ref, text)
            assert text.endswith((".", "?", "!")), (ref, text)
            assert 1 < len(text.split()) < 40, (ref, text)
