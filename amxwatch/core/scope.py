"""Which objects are meant: the language of scopes, and the patterns of `ignore`.

    all                        everything
    schema:a,b                 schemas, with their tables and columns
    table:s.t1,s.t2            tables, with their columns
    column:s.t.c1,s.t.c2       single columns

Forms are joined by `;` or given as a list, and mean their union. Each name may be a glob
(`*`, `?`, `[...]`, as in fnmatch(3)); a name in double quotes is taken literally, with `""` for
a quote inside. Names are case-sensitive. A scope is a rule and not a list: what appears later
under a scoped name is in scope.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from amxwatch.core.catalog import Catalog, ObjectRef, quote_name
from amxwatch.core.errors import ScopeError
from amxwatch.core.pattern import (
    ALL,
    ALLOWED,
    Name,
    Selector,
    Token,
    agrees,
    dotted,
    names_of,
    parse_parts,
    parts_of,
    require_text,
    shown,
    split,
    tokens_of,
)

if TYPE_CHECKING:
    from amxwatch.core.change import Patch

__all__ = ["Ignore", "Name", "Scope", "filter_catalog", "parse_parts"]

FORMS: Final = {"schema": 1, "table": 2, "column": 3}
"""How many parts a name has under each form's prefix."""

_SHAPES = {1: "schema", 2: "schema.table", 3: "schema.table.column"}
_ALLOWED_BARE = "s, s.t or s.t.c, several joined by ',', or a scope such as schema:a,b"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A union of selectors, without doubles: schemas first, then tables, then columns.

    Within a form the order is the writer's own. Two scopes are equal where their text is.
    """

    selectors: tuple[Selector, ...]

    def __post_init__(self) -> None:
        if not self.selectors:
            raise ScopeError(f"found an empty scope; allowed: {ALLOWED}")
        kept = ((),) if () in self.selectors else tuple(dict.fromkeys(self.selectors))
        object.__setattr__(self, "selectors", tuple(sorted(kept, key=len)))

    @classmethod
    def all(cls) -> Scope:
        """Return the scope of everything."""
        return cls(selectors=((),))

    @classmethod
    def of(cls, refs: Iterable[ObjectRef]) -> Scope:
        """Return the scope of exactly these objects and what is under them."""
        parts = ((ref.schema, ref.table, ref.column) for ref in refs)
        return cls(selectors=tuple(tuple(Name(text=p) for p in ref if p) for ref in parts))

    @classmethod
    def parse(cls, text: str | Sequence[str]) -> Scope:
        """Read a scope, or a list of them.

        Raises: ScopeError, in one line, with what was found and what is allowed.
        """
        texts = [text] if isinstance(text, str) else list(text)
        found: list[Selector] = []
        for one in texts:
            if not isinstance(one, str):
                raise ScopeError(f"scope: found {one!r}; allowed: {ALLOWED}")
            found.extend(_selectors(one))
        return cls(selectors=tuple(found))

    @classmethod
    def parse_bare(cls, text: str) -> Scope:
        """Read what the command line takes: any scope, or bare `s`, `s.t`, `s.t.c`.

        Bare `all` means everything; a schema of that name is `schema:all` or `"all"`.

        Raises: ScopeError.
        """
        tokens = tokens_of(text)
        if tokens == [ALL] or any(token.is_mark(":") or token.is_mark(";") for token in tokens):
            return cls.parse(text)
        return cls(selectors=tuple(_bare(piece, text) for piece in split(tokens, ",")))

    @property
    def is_all(self) -> bool:
        return self.selectors == ((),)

    def covers(self, ref: ObjectRef) -> bool:
        """Claim that this very object is in scope.

        A schema is covered with its tables and columns, a table with its columns but without
        its schema, a column alone.
        """
        parts = parts_of(ref)
        return any(
            len(selector) <= len(parts) and agrees(selector, parts) for selector in self.selectors
        )

    def touches_table(self, ref: ObjectRef) -> bool:
        """Claim that the table, or any column that it has or may get, is in scope.

        Of a column its table is asked; of a schema, whether anything under it may be in scope.
        """
        parts = parts_of(ref.owner)
        return any(agrees(selector, parts) for selector in self.selectors)

    def missing(self, catalog: Catalog) -> list[str]:
        """Say of each object that is named literally and does not exist which one is close.

        One line each, for example `no table sales.ordrs; did you mean sales.orders?`. Nothing
        is said of globs, nor of names under a glob: they may match later.
        """
        said = (_absent(selector, catalog) for selector in self.selectors)
        return list(dict.fromkeys(line for line in said if line))

    def __str__(self) -> str:
        if self.is_all:
            return "all"
        forms = []
        for form, length in FORMS.items():
            names = [dotted(selector) for selector in self.selectors if len(selector) == length]
            if names:
                forms.append(f"{form}:{','.join(names)}")
        return ";".join(forms)


@dataclass(frozen=True, kw_only=True)
class Ignore:
    """What is never read into a snapshot: patterns over `schema.table`, or over a schema.

    `staging` and `staging.*` both leave out the schema with all that is in it; `*.tmp_*` leaves
    out tables and keeps their schemas.
    """

    patterns: tuple[Selector, ...] = ()

    @classmethod
    def parse(cls, patterns: Iterable[str]) -> Ignore:
        """Read patterns. Raises: ScopeError."""
        return cls(patterns=tuple(_ignore_pattern(text) for text in patterns))

    def ignores(self, ref: ObjectRef) -> bool:
        """Claim that the object, or the table or schema that it is in, is left out."""
        parts = parts_of(ref.owner)
        return any(
            len(pattern) <= len(parts) and agrees(pattern, parts) for pattern in self.patterns
        )


def filter_catalog(catalog: Catalog, ignore: Sequence[str] | Ignore) -> Catalog:
    """Return the catalog without what is ignored; the very same one where nothing is.

    Foreign keys that point at an ignored table stay: they are part of the table that has them.

    Raises: ScopeError.
    """
    rules = ignore if isinstance(ignore, Ignore) else Ignore.parse(ignore)
    if not rules.patterns:
        return catalog
    return replace(
        catalog,
        schemas=tuple(s for s in catalog.schemas if not rules.ignores(ObjectRef(schema=s.name))),
        tables=tuple(table for table in catalog.tables if not rules.ignores(table.ref)),
    )


def filter_patch(patch: Patch, ignore: Sequence[str]) -> Patch:
    """Return the patch without what is ignored; the very same one where nothing is.

    Raises: ScopeError.
    """
    rules = Ignore.parse(ignore)
    if not rules.patterns:
        return patch
    return replace(
        patch,
        schemas=tuple(s for s in patch.schemas if not rules.ignores(ObjectRef(schema=s.name))),
        put=tuple(table for table in patch.put if not rules.ignores(table.ref)),
        gone=tuple(
            name
            for name in patch.gone
            if not rules.ignores(ObjectRef(schema=name[0], table=name[1]))
        ),
    )


# -- reading ---------------------------------------------------------------------------------


def _selectors(text: str) -> Iterator[Selector]:
    for form in split(tokens_of(text), ";"):
        if form == [ALL]:
            yield ()
        elif form:
            yield from _listed(form, text)


def _listed(form: Sequence[Token], text: str) -> Iterator[Selector]:
    """Read `schema:a,b`; a comma may also begin the next form, as in `schema:a,table:s.t`."""
    kind = None
    for piece in split(form, ","):
        if len(piece) > 1 and piece[1].is_mark(":"):
            kind, names = _prefix(piece[0], text), piece[2:]
        else:
            names = piece
        if kind is None:
            raise ScopeError(f"scope: found {shown(text)}; allowed: {ALLOWED}{_hint(form)}")
        selector = names_of(names, text)
        if len(selector) != FORMS[kind]:
            raise ScopeError(
                f"scope: found {shown(dotted(selector))} under {kind}:;"
                f" allowed: {_SHAPES[FORMS[kind]]}{_dot_hint(len(selector) - FORMS[kind])}"
            )
        require_text(selector, text)
        yield selector


def _prefix(token: Token, text: str) -> str:
    if token.kind == "plain" and token.text in FORMS:
        return token.text
    close = difflib.get_close_matches(token.text.lower(), FORMS, n=1)
    hint = f"; did you mean {close[0]}:?" if close else "; put a name that holds ':' in quotes"
    raise ScopeError(f"scope: found {shown(token.text)} in {shown(text)}; allowed: {ALLOWED}{hint}")


def _bare(piece: Sequence[Token], text: str) -> Selector:
    selector = names_of(piece, text)
    if len(selector) > max(FORMS.values()):
        raise ScopeError(
            f"scope: found {shown(dotted(selector))}, {len(selector)} parts;"
            f" allowed: {_ALLOWED_BARE}{_dot_hint(1)}"
        )
    require_text(selector, text)
    return selector


def _ignore_pattern(text: str) -> Selector:
    selector = names_of(tokens_of(text), text) if isinstance(text, str) else ()
    if len(selector) not in (1, 2):
        raise ScopeError(
            f"ignore: found {shown(text)}; allowed: a schema or schema.table, such as staging"
            " or *.tmp_*"
        )
    require_text(selector, text)
    # Nothing of the schema is left, so the schema itself is left out too.
    return selector[:1] if selector[1:] == (Name(text="*", is_glob=True),) else selector


# -- messages --------------------------------------------------------------------------------


def _hint(form: Sequence[Token]) -> str:
    """Say how a bare name would be written, where that is what it looks like."""
    try:
        names = names_of(next(split(form, ",")), "")
    except ScopeError:
        return ""
    kind = next((kind for kind, length in FORMS.items() if length == len(names)), None)
    meant = f"{kind}:{dotted(names)}"
    return f"; did you mean {meant}?" if kind and len(meant) <= 80 else ""


def _dot_hint(surplus: int) -> str:
    return "; put a name that holds a dot in double quotes" if surplus > 0 else ""


def _absent(selector: Selector, catalog: Catalog) -> str | None:
    """Say which literal name, from the left, does not exist."""
    for depth, name in enumerate(selector):
        if name.is_glob:
            return None
        above = tuple(part.text for part in selector[:depth])
        there = _names_under(catalog, above)
        if name.text not in there:
            tables = [t for t in catalog.tables if t.name == name.text]
            if len(selector) == 1 and tables:
                return f"no schema {name}; did you mean the table {tables[0].ref}?"
            return _no_such(_SHAPES[depth + 1].rpartition(".")[2], above, name.text, there)
    return None


def _names_under(catalog: Catalog, above: tuple[str, ...]) -> set[str]:
    if not above:
        schemas = {schema.name for schema in catalog.schemas}
        return schemas | {table.schema for table in catalog.tables}
    if len(above) == 1:
        return {table.name for table in catalog.tables if table.schema == above[0]}
    table = catalog.table(above[0], above[1])
    return {column.name for column in table.columns} if table else set()


def _no_such(kind: str, above: tuple[str, ...], name: str, there: set[str]) -> str:
    def full(last: str) -> str:
        return ".".join(quote_name(part) for part in (*above, last))

    same_letters = sorted(other for other in there if other.casefold() == name.casefold())
    if same_letters:
        return f"no {kind} {full(name)}; case counts: did you mean {full(same_letters[0])}?"
    close = difflib.get_close_matches(name, sorted(there), n=1)
    hint = f"; did you mean {full(close[0])}?" if close else ""
    return f"no {kind} {full(name)}{hint}"
