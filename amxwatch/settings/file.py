"""The config as it lies on disk, read and checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from amxwatch.core.errors import ConfigError, ConfigProblem
from amxwatch.settings.document import Document, dotted, parse, shown, value_at
from amxwatch.settings.folder import Folder
from amxwatch.settings.schema import Settings
from amxwatch.settings.source import SourceFile, digest, is_large, read_sources
from amxwatch.settings.unbuilt import unheeded

MAX_PROBLEMS = 25
"""How many mistakes are told at once; the rest are counted."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A config that holds. `warnings` tell what has no effect yet, with file and line.

    `digest` moves with any byte of any file. `schedule_files` says which file each schedule
    stands in; `files` names the folder instead where there are very many drop-ins. It is `whole`
    unless only some schedules were judged.
    """

    settings: Settings
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    digest: str = ""
    schedule_files: Mapping[str, Path] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True)
class Merged:
    """All files as one tree, and the document that each schedule came from."""

    tree: dict[str, Any]
    main: Document
    origins: dict[str, Document]

    def document(self, path: tuple[str | int, ...]) -> Document:
        if len(path) > 1 and path[0] == "schedules":
            return self.origins.get(str(path[1]), self.main)
        return self.main


def load(
    config_dir: Path,
    *,
    instead: Mapping[Path, bytes | None] | None = None,
    about: Sequence[str] | None = None,
) -> Loaded:
    """Read and check the whole config. A missing amxwatch.toml is an empty one.

    `instead` shows files as they would be after an edit. With `about`, of very many schedules
    only those are judged, and what was never judged: the others stood when they were last looked
    at. Raises: ConfigError, with every mistake.
    """
    folder = Folder(path=config_dir)
    if is_large(folder):
        # Imported late: few have so many.
        from amxwatch.settings.large import load_large
        from amxwatch.settings.near import load_near

        loaded = None if about is None else load_near(folder, about, instead)
        if loaded is None:
            loaded = load_large(folder, instead)
        if loaded is not None:
            return loaded
    return examine(config_dir, read_sources(folder, instead))


def examine(config_dir: Path, sources: tuple[SourceFile, ...]) -> Loaded:
    """Check files that were read. Raises: ConfigError."""
    merged = _merge(_documents(config_dir, sources))
    try:
        settings = Settings.model_validate(merged.tree)
    except ValidationError as error:
        # Imported late: needed only once something is wrong.
        from amxwatch.settings.mistake import problems

        told = islice(problems(error, merged.tree, merged.document), MAX_PROBLEMS)
        raise refused(list(told), error.error_count()) from None
    except RecursionError:
        raise refused([_whole("too deep a nesting", "fewer levels")]) from None
    return Loaded(
        settings=settings,
        warnings=tuple(_warnings(merged)),
        files=tuple(source.path for source in sources),
        digest=digest(sources),
        schedule_files={name: document.source.path for name, document in merged.origins.items()},
    )


def _documents(config_dir: Path, sources: tuple[SourceFile, ...]) -> list[Document]:
    """Parse every file; the main one comes first, empty where there is none."""
    main = Folder(path=config_dir).config_file
    found: list[Document] = []
    wrong: list[ConfigProblem] = []
    if not any(source.path == main for source in sources):
        found.append(Document(SourceFile(path=main, name=main.name), "", {}))
    for source in sources:
        try:
            found.append(parse(source))
        except ConfigError as error:
            wrong += error.problems
    if wrong:
        raise refused(wrong)
    return found


def _merge(documents: list[Document]) -> Merged:
    """Put the drop-ins' schedules beside the main file's. Raises: ConfigError."""
    main, *drop_ins = documents
    tree = dict(main.table)
    schedules = tree.get("schedules", {})
    if not isinstance(schedules, dict):
        # Said by the schema, and what drop-ins add cannot matter then.
        return Merged(tree, main, {})
    merged = dict(schedules)
    origins = dict.fromkeys(schedules, main)
    wrong: list[ConfigProblem] = []
    for document in drop_ins:
        name, mistakes = _only_schedule(document)
        wrong += mistakes
        if name is None:
            continue
        if name in origins:
            wrong.append(_second(document, origins[name], name))
            continue
        merged[name] = document.table["schedules"][name]
        origins[name] = document
    if wrong:
        raise refused(wrong)
    if merged:
        tree["schedules"] = merged
    return Merged(tree, main, origins)


def _only_schedule(document: Document) -> tuple[str | None, list[ConfigProblem]]:
    """Return the name of a drop-in's schedule, or what is wrong with the drop-in."""
    allowed = "one [schedules.NAME] table in each file of schedules.d, and nothing else"
    wrong = [
        document.problem((key,), dotted((key,)), found=shown(value), allowed=allowed)
        for key, value in document.table.items()
        if key != "schedules"
    ]
    schedules = document.table.get("schedules", {})
    if not isinstance(schedules, dict) or not schedules:
        found = shown(schedules) if schedules != {} else "no schedule"
        wrong.append(document.problem(("schedules",), "schedules", found=found, allowed=allowed))
        return None, wrong
    name, *more = schedules
    for extra in more:
        path = ("schedules", extra)
        found = "a second schedule"
        wrong.append(document.problem(path, dotted(path), found=found, allowed=allowed))
    return (None if wrong else name), wrong


def _second(document: Document, first: Document, name: str) -> ConfigProblem:
    path = ("schedules", name)
    where = f"{first.source.name}:{first.line(path)}"
    return document.problem(
        path,
        dotted(path),
        found=f"a second schedule named {shown(name)}",
        allowed=f"a name given once; the first stands in {where}",
    )


def _warnings(merged: Merged) -> list[str]:
    lines = []
    for path, instead in unheeded(merged.tree):
        document = merged.document(path)
        value = value_at(merged.tree, path)[1]
        written = "" if isinstance(value, dict | list) else f" = {shown(value)}"
        lines.append(
            f"{document.source.name}:{document.line(path)}: {dotted(path)}{written}"
            f" has no effect yet: {instead}"
        )
    return lines


def _whole(found: str, allowed: str) -> ConfigProblem:
    return ConfigProblem(file="amxwatch.toml", line=0, key="", found=found, allowed=allowed)


def refused(wrong: list[ConfigProblem], count: int = 0) -> ConfigError:
    """Return the error for these mistakes, in the order of files and lines.

    `count` is how many there are in all, where `wrong` does not hold every one.
    """
    more = max(count, len(wrong)) - MAX_PROBLEMS
    wrong = sorted(wrong, key=lambda problem: (problem.file, problem.line))[:MAX_PROBLEMS]
    if more > 0:
        last = wrong[-1]
        found = f"{more} more mistakes"
        wrong.append(replace(last, key="", found=found, allowed="none"))
    return ConfigError(tuple(wrong))
