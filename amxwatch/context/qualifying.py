"""A view's SELECT with every name resolved, over relations that stand under made-up names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import NormalizationStrategy
from sqlglot.optimizer.qualify_columns import qualify_columns
from sqlglot.optimizer.qualify_tables import qualify_tables
from sqlglot.schema import MappingSchema

from amxwatch.context.written import Folded, Name, NotKnowableError, folding

_STAND_IN = "amxwatch_"

MAX_EXPANDED = 20_000
"""How many columns the stars of a definition may stand for: some 5,000 are followed a second."""

_OPAQUE = (exp.Pivot, exp.Columns, exp.MatchRecognize)
"""What makes columns that no list of names foretells."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table or view that a definition names, and its columns as the catalog spells them."""

    name: Name
    columns: tuple[str, ...]


def qualified(
    folded: Folded, dialect: str, relations: tuple[Relation, ...], *, alias_refs: bool
) -> tuple[exp.Expr, list[Spelling]]:
    """Resolve the columns of a tree, in place, and expand its stars.

    Relations are known from here on by their place in `relations`. Raises: NotKnowableError,
    and whatever sqlglot raises: see `written.bounded`.
    """
    tree: exp.Expr = folded.tree
    stars = sum(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star))
    width = sum(len(relation.columns) for relation in relations)
    if tree.find(*_OPAQUE) or stars * width > MAX_EXPANDED:
        raise NotKnowableError
    places = {relation.name: place for place, relation in enumerate(relations)}
    schema = MappingSchema(dialect=folding(dialect), normalize=False)
    spellings = [_spelling(relation.columns, dialect) for relation in relations]
    for place, spelling in enumerate(spellings):
        if spelling.keys:
            schema.add_table(_stand_in(place), dict.fromkeys(spelling.keys, "unknown"))
    for table, name in folded.relations:
        _put_stand_in(table, places.get(name, len(relations)))
    tree = qualify_tables(tree, dialect=folding(dialect))
    tree = qualify_columns(
        tree, schema, allow_partial_qualification=True, expand_alias_refs=alias_refs
    )
    return tree, spellings


def _stand_in(place: int) -> str:
    return f"{_STAND_IN}{place}"


def _put_stand_in(table: exp.Table, place: int) -> None:
    """Name a relation by its place, whatever its schema: its own name stays as its alias."""
    if not table.alias:
        alias = exp.to_identifier(table.name, quoted=True)
        held = table.args.get("alias")
        if held is not None:
            held.set("this", alias)
        else:
            table.set("alias", exp.TableAlias(this=alias))
    table.set("this", exp.to_identifier(_stand_in(place), quoted=True))
    table.set("db", None)
    table.set("catalog", None)


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """The columns of a relation by the spelling that folded SQL has for them."""

    keys: dict[str, str]
    loose: dict[str, frozenset[str]]

    def find(self, name: str) -> frozenset[str]:
        """Return the columns that a name may mean: the one of that spelling, else of any case."""
        found = self.keys.get(name)
        return frozenset({found}) if found else self.loose.get(name.casefold(), frozenset())


@lru_cache(maxsize=20_000)
def _spelling(columns: tuple[str, ...], dialect: str) -> Spelling:
    fold = folding(dialect)
    # SQLAlchemy shows the names that such a database folds to capitals in small letters.
    is_shown_small = fold.normalization_strategy is NormalizationStrategy.UPPERCASE and all(
        column == column.lower() for column in columns
    )
    keys: dict[str, str] = {}
    loose: dict[str, set[str]] = {}
    for column in columns:
        name = fold.normalize_identifier(exp.to_identifier(column, quoted=not is_shown_small))
        keys.setdefault(name.name, column)
        loose.setdefault(column.casefold(), set()).add(column)
    return Spelling(keys=keys, loose={key: frozenset(names) for key, names in loose.items()})


def place_of(table: exp.Table) -> int:
    """Return the place of the relation that a table of the tree stands for, or -1."""
    place = table.name.removeprefix(_STAND_IN)
    return int(place) if place != table.name and place.isdecimal() else -1
