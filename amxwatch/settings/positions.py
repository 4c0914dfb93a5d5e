"""Where each key of a TOML text stands. Imported only when something is to be pointed at."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Path = tuple[str | int, ...]

HEADERS = ("table", "table_array_element")
KEYS = ("bare_key", "quoted_key", "dotted_key")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Line and column, from 1, in characters; 0 is the whole file."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, kw_only=True)
class Section:
    """One `[header]` and its keys: lines from `first` (counted from 0) to before `end`.

    Comments and blank lines after the last key are not in it.
    """

    path: Path
    first: int
    end: int


class Positions:
    """An index from key path to position, made from valid TOML."""

    def __init__(self, text: str) -> None:
        self._data = text.encode("utf-8")
        self._lines = self._data.split(b"\n")
        self._exact: dict[Path, Node] = {}
        self._implied: dict[Path, Node] = {}
        self._arrays: dict[Path, int] = {}
        self.sections: list[Section] = []
        # The tree must outlive its nodes.
        self._tree = Parser(Language(tree_sitter_toml.language())).parse(self._data)
        for node in self._tree.root_node.named_children:
            if node.type == "pair":
                self._index_pair((), node)
            elif node.type in HEADERS:
                self._index_section(node)

    def find(self, path: Path) -> Position:
        """Return where a key stands, or else the nearest table around it."""
        while path:
            node = self._exact.get(path) or self._implied.get(path)
            if node is not None:
                row, column = node.start_point
                before = self._lines[row][:column].decode("utf-8", "replace")
                return Position(line=row + 1, column=len(before) + 1)
            path = path[:-1]
        return Position()

    def _index_section(self, node: Node) -> None:
        key = next(child for child in node.named_children if child.type in KEYS)
        path = self._with_elements(_parts(key))
        if node.type == "table_array_element":
            count = self._arrays.get(path, 0)
            self._arrays[path] = count + 1
            self._exact.setdefault(path, key)
            path = (*path, count)
        self._point(path, key)
        pairs = [child for child in node.named_children if child.type == "pair"]
        for pair in pairs:
            self._index_pair(path, pair)
        row, column = pairs[-1].end_point if pairs else key.end_point
        self.sections.append(Section(path=path, first=node.start_point[0], end=row + (column > 0)))

    def _with_elements(self, parts: Path) -> Path:
        """Put in the element that a later header means: the last one of each array."""
        path: Path = ()
        for index, part in enumerate(parts):
            path = (*path, part)
            if index < len(parts) - 1 and path in self._arrays:
                path = (*path, self._arrays[path] - 1)
        return path

    def _index_pair(self, prefix: Path, node: Node) -> None:
        key, *values = (child for child in node.named_children if child.type != "comment")
        path = prefix + _parts(key)
        self._point(path, key)
        for value in values:
            self._index_value(path, value)

    def _index_value(self, path: Path, node: Node) -> None:
        items = [child for child in node.named_children if child.type != "comment"]
        if node.type == "inline_table":
            for child in items:
                if child.type == "pair":
                    self._index_pair(path, child)
        elif node.type == "array":
            for index, child in enumerate(items):
                self._point((*path, index), child)
                self._index_value((*path, index), child)

    def _point(self, path: Path, node: Node) -> None:
        self._exact.setdefault(path, node)
        for length in range(1, len(path)):
            self._implied.setdefault(path[:length], node)


def _parts(node: Node) -> Path:
    """Return the names in a key, unquoted."""
    if node.type == "dotted_key":
        return tuple(part for child in node.named_children for part in _parts(child))
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type == "bare_key":
        return (text,)
    try:
        return tuple(tomllib.loads(f"{text} = 0"))
    except tomllib.TOMLDecodeError:
        return (text,)
