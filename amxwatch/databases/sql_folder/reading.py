"""The folder read as a whole: files → statements → catalog. Blocking; one thread at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from amxwatch.core.catalog import Catalog, ObjectRef, SourceProblem, Table
from amxwatch.databases.sql_folder import dialects
from amxwatch.databases.sql_folder.assembly import Assembly
from amxwatch.databases.sql_folder.edits import Name, Statement
from amxwatch.databases.sql_folder.files import COMMENTS_FILE, Content, Files
from amxwatch.databases.sql_folder.memory import Frozen, Mended, mend
from amxwatch.databases.sql_folder.statements import read_statements

READER = f"sql_folder/1 sqlglot/{version('sqlglot')}"
"""sqlglot spells types and views; another version of it may spell them differently."""

_MOST_PROBLEMS = 100
"""Problems told of one file; who mends the first hundred sees the rest."""


@dataclass(frozen=True, kw_only=True)
class _Parsed:
    digest: str
    mended: Mended
    problems: tuple[SourceProblem, ...] = ()
    texts: dict[str, Statement] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Built:
    """A catalog in the making after all files but our own, and what they said."""

    files: tuple[tuple[str, str], ...]
    assembly: Assembly
    loses: bool


class FolderReading:
    """Reads one folder, again and again, parsing only what moved."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self._folder = folder
        self._name = dialect
        self._dialect = dialects.dialect_named(dialect)
        self._files = Files(folder)
        self._parsed: dict[str, _Parsed] = {}
        self._frozen = Frozen()
        self._previous: dict[Name, Table] = {}
        self._remembered = False
        self._base: _Built | None = None

    def gate(self) -> str:
        """Return a digest of every path and content. Raises: DatabaseUnavailableError."""
        marks = hashlib.blake2b(digest_size=16)
        for path, content in self._files.look():
            marks.update(f"{path}\0{content.digest}\0".encode("utf-8", "surrogateescape"))
        return marks.hexdigest()

    def remember(self, catalog: Catalog) -> None:
        """Take the catalog as it stood before this process: broken tables keep that version."""
        self._previous = {(table.schema, table.name): table for table in catalog.tables}
        self._remembered = True

    def read(self) -> Catalog:
        """Return the whole catalog. Raises: DatabaseUnavailableError."""
        contents = self._files.look()
        built = self._whole(contents)
        tables = built.assembly.tables()
        self._frozen.restore(
            tables,
            held=built.assembly.held,
            loses=built.loses,
            previous=self._previous,
            first=self._remembered,
        )
        self._remembered = False
        self._previous = tables
        schemas = {table.schema: built.assembly.schema(table.schema) for table in tables.values()}
        schemas |= built.assembly.schemas()
        return Catalog(
            reader=READER,
            source=f"ddl://{self._folder}?dialect={self._name}",
            schemas=tuple(schemas[name] for name in sorted(schemas)),
            tables=tuple(tables[name] for name in sorted(tables)),
            problems=tuple(p for path, _ in contents for p in self._parsed[path].problems),
        )

    def comment_without_ours(self, ref: ObjectRef) -> str | None:
        """Return the comment that the user's own files give an object."""
        base = self._before_ours(self._files.look())
        if not ref.table:
            return base.assembly.schema(ref.schema).comment
        table = base.assembly.lookup(ref.schema, ref.table)
        if table is None or not ref.column:
            return table.comment if table is not None else None
        column = table.column(ref.column)
        return column.comment if column is not None else None

    def _whole(self, contents: list[tuple[str, Content]]) -> _Built:
        self._parse(contents)
        base = self._before_ours(contents)
        ours = [path for path, _ in contents if path == COMMENTS_FILE]
        assembly = base.assembly.fork()
        loses = self._run(assembly, ours)
        return _Built(files=base.files, assembly=assembly, loses=loses or base.loses)

    def _before_ours(self, contents: list[tuple[str, Content]]) -> _Built:
        self._parse(contents)
        paths = [path for path, _ in contents if path != COMMENTS_FILE]
        files = tuple((path, self._parsed[path].digest) for path in paths)
        if self._base is None or self._base.files != files:
            assembly = Assembly(
                default_schema=dialects.default_schema(self._name),
                nullable_keys=self._name == "sqlite",
            )
            loses = self._run(assembly, paths)
            self._base = _Built(files=files, assembly=assembly, loses=loses)
        return self._base

    def _run(self, assembly: Assembly, paths: list[str]) -> bool:
        """Apply files in order; say whether one of them lost statements without a name."""
        for path in paths:
            assembly.begin_file()
            for statement in self._parsed[path].mended.statements:
                if statement.fault is None:
                    for edit in statement.edits:
                        assembly.apply(edit)
                elif statement.about is not None:
                    assembly.hold(statement.about)
        return any(self._parsed[path].mended.loses for path in paths)

    def _parse(self, contents: list[tuple[str, Content]]) -> None:
        parsed = {}
        for path, content in contents:
            known = self._parsed.get(path)
            same = known is not None and known.digest == content.digest
            parsed[path] = known if known and same else self._read_file(path, content, known)
        self._parsed = parsed

    def _read_file(self, path: str, content: Content, known: _Parsed | None) -> _Parsed:
        file = str(self._folder / path)
        before = known.mended if known is not None else None
        if content.text is None:
            problem = SourceProblem(file=file, message=content.problem or "it cannot be read")
            kept = before or Mended(statements=(), loses=True)
            return _Parsed(digest=content.digest, mended=kept, problems=(problem,))
        texts = known.texts if known is not None else {}
        found, seen = read_statements(content.text, self._dialect, self._name, texts)
        return _Parsed(
            digest=content.digest,
            mended=mend(found, before),
            problems=tuple(_problems(file, content.text, found)),
            texts=seen,
        )


def _problems(file: str, text: str, found: list[Statement]) -> list[SourceProblem]:
    faults = sorted(
        (statement.fault for statement in found if statement.fault is not None),
        key=lambda fault: fault.offset,
    )
    problems = []
    line, at = 1, 0
    for fault in faults[:_MOST_PROBLEMS]:
        line += text.count("\n", at, fault.offset)
        at = fault.offset
        column = at - text.rfind("\n", 0, at)
        message = f"this statement cannot be read: {fault.message}"
        problems.append(SourceProblem(file=file, line=line, column=column, message=message))
    if len(faults) > _MOST_PROBLEMS:
        more = len(faults) - _MOST_PROBLEMS
        problems.append(SourceProblem(file=file, message=f"{more} more statements like these"))
    return problems
