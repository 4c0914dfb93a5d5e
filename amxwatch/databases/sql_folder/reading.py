"""The folder read as a whole: files → statements → catalog. Blocking; one thread at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from amxwatch.core.catalog import Catalog, ObjectRef, Schema, Table
from amxwatch.core.change import Patch
from amxwatch.databases.sql_folder import dialects
from amxwatch.databases.sql_folder.assembly import Assembly
from amxwatch.databases.sql_folder.edits import DropTable, Name, PutTable, SetPath
from amxwatch.databases.sql_folder.files import COMMENTS_FILE, Content
from amxwatch.databases.sql_folder.footprint import Footprint, moved_names, reach
from amxwatch.databases.sql_folder.memory import Frozen
from amxwatch.databases.sql_folder.parsed_files import Library, Parsed
from amxwatch.databases.sql_folder.parser import Parser

READER = f"sql_folder/2 sqlglot/{version('sqlglot')}"
"""sqlglot spells types and views; another version of it may spell them differently."""

_MOST_REPLAYED = 0.5
"""Of all tables: where an edit reaches further, assembling everything costs no more."""


@dataclass(frozen=True, kw_only=True)
class _Base:
    """A catalog in the making after all files but our own."""

    files: tuple[tuple[str, str], ...]
    assembly: Assembly


class FolderReading:
    """Reads one folder, again and again, parsing and assembling only what moved."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self._folder = folder
        self._name = dialect
        self.parser = Parser(dialect)
        self._library = Library(folder, dialects.default_schema(dialect), self.parser)
        self._frozen = Frozen()
        self._assembly = self._empty()
        self._tables: dict[Name, Table] = {}
        self._told: set[Name] | None = None
        """Tables that may have moved since a catalog or a patch was told; None: all of them."""
        self._remembered = False
        self._built = False
        self._base: _Base | None = None
        self._looked: list[tuple[str, Content]] | None = None
        self._gate: tuple[list[tuple[str, Content]], str] | None = None

    def gate(self) -> str:
        """Return a digest of every path and content. Raises: DatabaseUnavailableError."""
        contents = self._looked = self._library.look()
        if self._gate is None or self._gate[0] is not contents:
            marks = "".join([f"{path}\0{content.digest}\0" for path, content in contents])
            encoded = marks.encode("utf-8", "surrogateescape")
            self._gate = (contents, hashlib.blake2b(encoded, digest_size=16).hexdigest())
        return self._gate[1]

    def remember(self, catalog: Catalog) -> None:
        """Take the catalog as it stood before this process: broken tables keep that version."""
        self._tables = {(table.schema, table.name): table for table in catalog.tables}
        self._remembered = True
        self._built = False
        self._told = None

    def read(self) -> Catalog:
        """Return the whole catalog. Raises: DatabaseUnavailableError."""
        catalog = self.current()
        self._told = set()
        return catalog

    def current(self) -> Catalog:
        """Do as `read`, for ourselves: what moved stays to be told."""
        self._looked = None
        contents = self._library.look()
        self._update(contents)
        patch = self._patch(contents)
        return Catalog(
            reader=patch.reader,
            source=patch.source,
            schemas=patch.schemas,
            tables=tuple(self._tables[name] for name in sorted(self._tables)),
            problems=patch.problems,
        )

    def read_moved(self) -> Patch | None:
        """Return what moved since the last catalog or patch; None where all may have.

        Goes by what the gate before it saw: what moves after that is the next gate's.
        Raises: DatabaseUnavailableError.
        """
        contents, self._looked = self._looked or self._library.look(), None
        self._update(contents)
        moved, self._told = self._told, set()
        return None if moved is None else self._patch(contents, moved)

    def comment_without_ours(self, ref: ObjectRef) -> str | None:
        """Return the comment that the user's own files give an object."""
        contents = self._library.look()
        self._update(contents)
        base = self._before_ours(contents)
        if not ref.table:
            return base.schema(ref.schema).comment
        table = base.lookup(ref.schema, ref.table)
        if table is None or not ref.column:
            return table.comment if table is not None else None
        column = table.column(ref.column)
        return column.comment if column is not None else None

    def _patch(
        self, contents: list[tuple[str, Content]], moved: set[Name] | frozenset[Name] = frozenset()
    ) -> Patch:
        schemas: dict[str, Schema] = {}
        for name, _ in self._tables:
            if name not in schemas:
                schemas[name] = self._assembly.schema(name)
        schemas |= self._assembly.schemas()
        parsed = self._library.parsed
        return Patch(
            reader=READER,
            source=f"ddl://{self._folder}?dialect={self._name}",
            schemas=tuple(schemas[name] for name in sorted(schemas)),
            put=tuple(self._tables[name] for name in sorted(moved) if name in self._tables),
            gone=tuple(name for name in sorted(moved) if name not in self._tables),
            problems=tuple(p for path, _ in contents for p in parsed[path].problems),
        )

    # -- what moved --------------------------------------------------------------------------

    def _update(self, contents: list[tuple[str, Content]]) -> None:
        """Bring the tables up to date with the files."""
        before = self._library.take(contents)
        if self._built and not before:
            return
        if not self._built or not self._update_part(contents, before):
            self._built = False  # where assembling is cut short, the next time does it whole
            self._update_whole(contents)
            self._built = True

    def _update_whole(self, contents: list[tuple[str, Content]]) -> None:
        assembly = self._before_ours(contents).fork()
        self._run(assembly, [path for path, _ in contents if path == COMMENTS_FILE])
        tables = assembly.tables()
        self._frozen.restore(
            tables,
            held=assembly.held,
            loses=any(each.mended.loses for each in self._library.parsed.values()),
            previous=self._tables,
            first=self._remembered,
        )
        if self._told is not None:
            names = tables.keys() | self._tables.keys()
            self._told |= {name for name in names if tables.get(name) != self._tables.get(name)}
        self._assembly, self._tables = assembly, tables
        self._remembered = False

    def _update_part(
        self, contents: list[tuple[str, Content]], before: dict[str, Parsed | None]
    ) -> bool:
        """Replay only what the edits reach; False where that cannot be told or does not pay."""
        parsed = self._library.parsed
        footprints = {path: parsed[path].footprint for path, _ in contents}
        names = self._touched(footprints, before)
        if names is None:
            return False
        # As it was, too: the foreign keys that a DROP took away come back when it goes.
        former = [each.footprint for each in before.values() if each is not None]
        reached = reach(names, (*footprints.values(), *former))
        if len(reached.replayed) > max(8, _MOST_REPLAYED * len(self._tables)):
            return False
        replayed = self._replay(footprints, reached.replayed)
        self._built = False
        self._assembly.adopt(replayed, reached.moved)
        for name, table in self._assembly.completed(reached.moved).items():
            if table == self._tables.get(name):
                continue
            if self._told is not None:
                self._told.add(name)
            if table is None:
                del self._tables[name]
            else:
                self._tables[name] = table
        self._built = True
        return True

    def _touched(
        self, footprints: dict[str, Footprint], before: dict[str, Parsed | None]
    ) -> frozenset[Name] | None:
        """Return the tables that edited files touch; None where all of them may be touched."""
        earlier = {p: v.footprint if v is not None else Footprint() for p, v in before.items()}
        every = (*footprints.values(), *earlier.values())
        if self._frozen or any(each.is_wild for each in every):
            return None
        names: frozenset[Name] = frozenset()
        for path, old in earlier.items():
            touched, is_all = moved_names(old, footprints.get(path, Footprint()))
            if not is_all:
                return None
            names |= touched
        if any(each.comments_schemas for each in every) and _makes(earlier, footprints):
            return None
        return names

    def _replay(self, footprints: dict[str, Footprint], names: frozenset[Name]) -> Assembly:
        assembly = self._empty()
        for footprint in footprints.values():
            if names.isdisjoint(footprint.touches):
                continue
            assembly.begin_file()
            for name, edit in footprint.steps:
                if name in names or isinstance(edit, SetPath):
                    assembly.apply(edit)
        return assembly

    # -- everything --------------------------------------------------------------------------

    def _empty(self) -> Assembly:
        return Assembly(
            default_schema=dialects.default_schema(self._name),
            nullable_keys=self._name == "sqlite",
            project=self.parser.project,
        )

    def _before_ours(self, contents: list[tuple[str, Content]]) -> Assembly:
        paths = [path for path, _ in contents if path != COMMENTS_FILE]
        files = tuple((path, self._library.parsed[path].digest) for path in paths)
        if self._base is None or self._base.files != files:
            assembly = self._empty()
            self._run(assembly, paths)
            self._base = _Base(files=files, assembly=assembly)
        return self._base.assembly

    def _run(self, assembly: Assembly, paths: list[str]) -> None:
        for path in paths:
            assembly.begin_file()
            for statement in self._library.parsed[path].mended.statements:
                if statement.fault is None:
                    for edit in statement.edits:
                        assembly.apply(edit)
                elif statement.about is not None:
                    assembly.hold(statement.about)


def _makes(earlier: dict[str, Footprint], footprints: dict[str, Footprint]) -> bool:
    """Say whether edited files make or drop tables: a schema's comment may then find it or not."""
    versions = [v for path in earlier for v in (earlier[path], footprints.get(path, Footprint()))]
    return any(isinstance(e, PutTable | DropTable) for v in versions for _, e in v.steps)
