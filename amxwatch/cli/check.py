"""`amxwatch check`: what a merge would do to a live database, told before it is merged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from amxwatch.cli.life import side
from amxwatch.cli.options import complete_db
from amxwatch.cli.output import Output, cut, json_text, shown
from amxwatch.cli.session import Desk, leave, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from amxwatch.cli.documents import Document
    from amxwatch.core.catalog import ObjectRef
    from amxwatch.core.change import Change
    from amxwatch.core.merge import Named
    from amxwatch.flows.merge_check import Checked, Question

LISTED = 20
"""Names that people are shown of a list; JSON has them all."""


def _schemas(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Read `--map public=main`; it may be given several times, or hold commas."""
    found = {}
    for pair in (pair for text in value for pair in text.split(",")):
        name, sign, there = (part.strip() for part in pair.partition("="))
        if not (name and sign and there):
            raise click.BadParameter(
                f"found {pair!r}; allowed: MODELS_SCHEMA=LIVE_SCHEMA, such as public=main",
                ctx=ctx,
                param=param,
            )
        found[name] = there
    return found


def _kinds(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read `--fail-on removed,type_changed`."""
    from amxwatch.flows.merge_check import FAIL_ON

    kinds = [part.strip() for part in (value or "").split(",") if part.strip()]
    wrong = [kind for kind in kinds if kind not in FAIL_ON]
    if wrong or (value is not None and not kinds):
        raise click.BadParameter(
            f"found {(wrong[0] if wrong else value)!r}; allowed: {', '.join(FAIL_ON)}",
            ctx=ctx,
            param=param,
        )
    return tuple(dict.fromkeys(kinds))


@click.command()
@click.option(
    "--profile",
    required=True,
    metavar="PROFILE",
    shell_complete=complete_db,
    help="The db profile of the models: a folder of SQL or a dbt project.",
)
@click.option(
    "--against",
    required=True,
    metavar="PROFILE",
    shell_complete=complete_db,
    help="The db profile that they are merged into.",
)
@click.option(
    "--cached", is_flag=True, help="Compare with the newest snapshot; connect to nothing."
)
@click.option("--scope", metavar="SCOPE", help="Only these objects, by their live names.")
@click.option(
    "--map",
    "schemas",
    multiple=True,
    callback=_schemas,
    metavar="MODELS=LIVE",
    help="A schema of the models that has another name there.",
)
@click.option("--strict", is_flag=True, help="Count tables that the models do not know as removed.")
@click.option(
    "--min",
    "least",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit 1 where less of what the merge adds or changes is described.",
)
@click.option(
    "--max-undescribed",
    type=click.IntRange(0),
    metavar="N",
    help="Exit 1 where the merge leaves more objects without a description.",
)
@click.option(
    "--fail-on",
    callback=_kinds,
    metavar="KIND,…",
    help="Exit 1 on these kinds of change, on problems or not_in_models.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    help="How to print it; markdown is for a pull request.",
)
def check(
    profile: str,
    against: str,
    cached: bool,
    scope: str | None,
    schemas: dict[str, str],
    strict: bool,
    least: float | None,
    max_undescribed: int | None,
    fail_on: tuple[str, ...],
    form: str,
) -> None:
    """Say what a merge would add, move, remove or leave undescribed.

    Reads the models and the live catalog, takes no snapshot and writes nothing. Exit 1 where a
    gate is not met.
    """
    from amxwatch.flows.merge_check import Gates, Question

    gates = Gates(least=least, max_undescribed=max_undescribed, fail_on=fail_on)
    question = Question(scope=scope, schemas=schemas, cached=cached, strict=strict, gates=gates)
    leave(reading(partial(_check, profile, against, question, form)))


async def _check(profile: str, against: str, question: Question, form: str, desk: Desk) -> int:
    from amxwatch.flows import merge_check

    install = desk.install
    found = await merge_check.check(install.source(profile), install.source(against), question)
    out = Output(as_json=True) if form == "json" else desk.out
    out.document(_document(found))
    if form == "markdown":
        out.say(_markdown(found))
    else:
        _text(out, found)
    for problem in found.problems:
        out.warn(f"warning: {problem}")
    for verdict in found.verdicts:
        if not verdict.ok:
            out.warn(f"gate not met: {verdict.text}")
    return 0 if found.ok else 1


def _document(found: Checked) -> Document:
    from amxwatch.core.change import change_document

    merge = found.merge
    return {
        "profile": found.models,
        "against": found.live,
        "snapshot": found.snapshot,
        "scope": str(found.scope),
        "schemas": dict(merge.schemas),
        "ok": found.ok,
        "added": [change_document(change) for change in merge.added],
        "moved": [change_document(change) for change in merge.moved],
        "removed": [change_document(change) for change in merge.removed],
        "undescribed": [_name(each) for each in merge.undescribed],
        "not_in_models": [_name(each) for each in merge.not_in_models],
        "coverage": {
            "objects": merge.touched,
            "described": merge.described,
            "percent": round(found.percent, 2),
        },
        "readers": [
            {
                "object": str(reading.ref),
                "readers": [
                    {"object": str(one.ref), "how": one.how, "level": one.level}
                    for one in reading.readers
                ],
            }
            for reading in found.readings
        ],
        "problems": [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message}
            for p in found.problems
        ],
        "notes": list(found.notes),
        "gates": [
            {"gate": v.gate, "limit": v.limit, "found": v.found, "ok": v.ok, "text": v.text}
            for v in found.verdicts
        ],
    }


def _name(each: Named) -> Document:
    return {
        "object_type": each.object_type,
        "schema": each.ref.schema,
        "table": each.ref.table or None,
        "column": each.ref.column or None,
    }


def _headline(found: Checked) -> str:
    merge = found.merge
    if not merge.changes:
        return "changes nothing"
    return (
        f"adds {len(merge.added)}, changes {len(merge.moved)}, removes {len(merge.removed)};"
        f" {merge.described} of the {merge.touched} objects that it adds or changes are described"
    )


def _text(out: Output, found: Checked) -> None:
    merge = found.merge
    out.say(f"{shown(found.models)} into {shown(found.live)}: {_headline(found)}")
    if merge.changes:
        out.table(
            ["change", "object", "now", "after the merge"],
            [
                [c.kind, f"{c.object_type} {c.ref}", side(c.before), side(c.after)]
                for c in merge.changes
            ],
        )
    _list(out, "undescribed", merge.undescribed)
    _list(out, "not in models", merge.not_in_models)
    for read in found.readings:
        names = _some(str(one.ref) for one in read.readers)
        out.say(f"{shown(str(read.ref))} is read by {names}")
    for note in found.notes:
        out.say(f"note: {shown(note)}")


def _list(out: Output, title: str, named: Sequence[Named]) -> None:
    if named:
        out.say(f"{title} ({len(named)}): {_some(str(each.ref) for each in named)}")


def _some(names: Iterable[str]) -> str:
    """Return the first names of a list, for people."""
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(shown(name) for name in listed[:LISTED]) + more


def _markdown(found: Checked) -> str:
    """Return a comment for a pull request."""
    merge = found.merge
    lines = [
        f"### {_cell(found.models)} into {_cell(found.live)}: {'ok' if found.ok else 'not ok'}",
        "",
        f"The merge {_headline(found)}.",
    ]
    for verdict in found.verdicts:
        lines += ["", f"{'Met' if verdict.ok else '**Not met**'}: {_cell(verdict.text)}"]
    if merge.changes:
        bare = {each.ref for each in merge.undescribed}
        lines += ["", "| change | object | now | after the merge | described |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        lines += [_row(change, bare) for change in merge.changes]
    lines += _bullets("Undescribed", [_code(each.ref) for each in merge.undescribed])
    lines += _bullets("Not in models", [_code(each.ref) for each in merge.not_in_models])
    lines += _bullets(
        "Read by others",
        [
            f"{_code(read.ref)} is read by {', '.join(_code(one.ref) for one in read.readers)}"
            for read in found.readings
        ],
    )
    lines += _bullets("Problems", [_cell(str(problem)) for problem in found.problems])
    lines += _bullets("Notes", [_cell(note) for note in found.notes])
    return "\n".join(lines)


def _row(change: Change, bare: set[ObjectRef]) -> str:
    return (
        f"| {change.kind} | {change.object_type} {_code(change.ref)} | {_value(change.before)} |"
        f" {_value(change.after)} | {_described(change, bare)} |"
    )


def _described(change: Change, bare: set[ObjectRef]) -> str:
    """Say what stands of an object's description after the merge; of a table, its columns' too."""
    from amxwatch.core.change import ChangeKind

    if change.kind is ChangeKind.REMOVED or not change.ref.table:
        return ""
    if change.kind is ChangeKind.ADDED and change.ref.is_table:
        missing = sum(ref.owner == change.ref for ref in bare)
        return f"no: {missing} missing" if missing else "yes"
    return "no" if change.ref in bare else "yes"


def _bullets(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    return [
        "",
        f"<details><summary>{title} ({len(items)})</summary>",
        "",
        *(f"- {item}" for item in items),
        "",
        "</details>",
    ]


def _code(ref: ObjectRef) -> str:
    return _span(str(ref))


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return _cell(side(value))
    return _span(cut(str(value) if not isinstance(value, bool) else json_text(value), 60))


def _span(text: str) -> str:
    """Return text as code in a cell: fenced by more backticks than it holds in a row."""
    line = shown(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in _runs(line)), default=0) + 1)
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _runs(text: str) -> list[str]:
    import re

    return re.findall("`+", text)


def _cell(text: str) -> str:
    """Return text that Markdown takes for nothing else, in one line."""
    line = shown(text)
    for sign in "\\`*_[]<>|@#":
        line = line.replace(sign, f"&#{ord(sign)};" if sign in "<>|@#" else f"\\{sign}")
    return line
