"""Sentences about a column, from its name, type, keys, values and neighbours.

Each rule looks at the column and returns the cores of its sentences, best first, or nothing;
the first rule that returns some is taken. What holds for every column (units, values, empty
cells) is added afterwards. A rule says no more than the facts do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from amxwatch.core.evidence import Basis
from amxwatch.core.naming import is_participle
from amxwatch.core.pattern import parse_parts
from amxwatch.providers.composed import (
    Composed,
    entity,
    list_of,
    listed,
    literal,
    mapping_of,
    owned,
    plural,
    sentence,
    text_of,
    with_article,
)

IDENTIFIERS = frozenset({"ID", "key", "identifier", "GUID", "UUID"})
MOMENTS = frozenset({"date", "time", "timestamp", "at", "on", "datetime", "when"})
QUALIFIERS = frozenset(
    {"first", "last", "middle", "full", "given", "family", "display", "short", "long", "legal"}
    | {"preferred", "nick", "maiden", "file", "host", "domain", "user", "login", "common", "formal"}
)
"""Words before `name` that say which name it is, and not whose."""

CODED = frozenset(
    {"status", "type", "code", "level", "flag", "class", "category", "priority", "rating"}
    | {"state", "kind", "mode", "severity", "grade", "tier", "phase", "stage"}
)
"""Last words of columns whose numbers stand for something."""

FORMATS = {
    "email": "email address",
    "uuid": "UUID",
    "url": "web address",
    "iban": "IBAN",
    "currency_code": "ISO currency code",
    "ip_address": "IP address",
}
"""What to call values of a format when the name cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The facts of one column, read. `body` are its words without the last, `head`."""

    words: tuple[str, ...]
    entity: str
    type: str
    facts: Mapping[str, object]

    @property
    def head(self) -> str:
        return self.words[-1] if self.words else ""

    @property
    def body(self) -> str:
        return " ".join(self.words[:-1])

    @property
    def phrase(self) -> str:
        return " ".join(self.words)

    @property
    def has_own_key(self) -> bool:
        return len(list_of(self.facts, "primary_key")) == 1

    @property
    def target(self) -> tuple[str, str] | None:
        """The table and column that it references."""
        reference = text_of(self.facts, "references")
        parts = [name.text for name in parse_parts(reference)] if reference else []
        return (parts[-2], parts[-1]) if len(parts) >= 2 else None


Cores = tuple[str, ...]
Rule = Callable[[Column], Cores | None]


def describe_column(facts: Mapping[str, object]) -> Composed:
    """Compose descriptions of one column of a request."""
    table = mapping_of(facts, "table")
    row = entity(text_of(table, "name"))
    words = text_of(facts, "words").split() or [text_of(facts, "name") or "value"]
    column = Column(
        words=_without_entity(words, row.split()),
        entity=row,
        type=text_of(facts, "type").casefold().strip('"'),
        facts=facts,
    )
    cores = next(cores for cores in (rule(column) for rule in RULES) if cores)
    tail, tells_values = _tail(column)
    made = dict.fromkeys(sentence(core + tail) for core in cores)
    known = _accepted(facts, table)
    return Composed(
        alternatives=(*known, *(text for text in made if text not in known)),
        basis=Basis.NEIGHBOURS if known else _basis(column, tells_values=tells_values),
        unsure=bool(list_of(facts, "unread")) and not known and _format(column) is None,
    )


def _without_entity(words: list[str], row: list[str]) -> tuple[str, ...]:
    """Drop the table's own words before the rest: `order_total` of an order is its total."""
    same = [word.casefold() for word in words[: len(row)]] == [word.casefold() for word in row]
    return tuple(words[len(row) :] if same and len(words) > len(row) else words)


def _of(column: Column, phrase: str) -> Cores:
    """Say in three ways that something belongs to the row."""
    row = column.entity
    return (
        f"{phrase} of the {row}",
        f"the {owned(row)} {phrase}",
        f"{phrase} recorded for {with_article(row)}",
    )


def _primary(column: Column) -> Cores | None:
    row = column.entity
    if not column.has_own_key or column.target:
        return None
    if column.head in IDENTIFIERS:
        return (
            f"unique identifier of the {row}",
            f"primary key: {_numeric(column)}{_said(column)} that identifies each {row}",
            f"identifies one {row}; no two rows share it",
        )
    return (
        f"{column.phrase} that identifies the {row}",
        f"{column.phrase} of the {row}, unique for each",
        f"key of the {row}: its {column.phrase}",
    )


def _said(column: Column) -> str:
    """Return what the house calls its identifiers: ID, key, GUID."""
    return "ID" if column.head == "identifier" else column.head


def _numeric(column: Column) -> str:
    return "numeric " if re.match(r"(?:big|small)?(?:int|serial)", column.type) else ""


def _foreign(column: Column) -> Cores | None:
    if not column.target:
        return None
    table, key = column.target
    target, row = entity(table), column.entity
    keyed = column.head in IDENTIFIERS or column.head in {"code", "number"}
    role = column.body if keyed and column.body else column.phrase
    noun = target if keyed and not column.body else role
    same = noun.split()[-1:] == target.split()[-1:]
    named = f"{table}.{key}"
    pointing = f"refers to {named}" if same else f"refers to {with_article(target)} ({named})"
    return (
        f"{noun} of the {row}; {pointing}",
        f"identifies the {noun} that the {row} refers to",
        f"foreign key of the {row} to its {noun} in {table}",
    )


def _flag(column: Column) -> Cores | None:
    first, rest = column.words[0], " ".join(column.words[1:])
    row = column.entity
    yes_no = re.match(r"bool|bit\b|tinyint\(1\)|flag|yesno", column.type) is not None
    if first in {"is", "has", "was", "can", "should", "allow", "allows"} and rest:
        rest = rest.removesuffix(" flag").removesuffix(" indicator")
        verb = {"allow": "allows"}.get(first, first)
        return (
            f"whether the {row} {verb} {rest}",
            f"indicates whether the {row} {verb} {rest}",
            f"says if the {row} {verb} {rest}",
        )
    if column.head in {"flag", "indicator"} and column.body:
        rest = column.body
    elif yes_no:
        rest = column.phrase
    else:
        return None
    said = f"the {row} is {rest}" if " " not in rest else f"{rest} applies to the {row}"
    return f"whether {said}", f"indicates whether {said}", f"says if {said}"


def _moment(column: Column) -> Cores | None:
    timed = re.match(r"date|time|smalldatetime", column.type) is not None
    by_name = column.head in MOMENTS and (timed or column.head not in {"at", "on"})
    if not (timed or by_name) or column.words[:2] == ("date", "of"):
        return None
    row, when = column.entity, _when(column)
    body = list(column.words)
    while body and body[-1] in MOMENTS | {"and"} | (IDENTIFIERS if timed else set()):
        body.pop()
    if body and is_participle(body[-1]):
        what = " ".join(body[:-1]) or row
        until = "; empty until then" if not column.facts.get("required") else ""
        done = f"the {what} was {body[-1]}"
        return f"{when} when {done}{until}", f"when {done}{until}", f"moment at which {done}{until}"
    if tuple(body) in _SPANS:
        span = _SPANS[tuple(body)]
        said = f"{when} {span} which the {row} is valid"
        return said, f"the {row} is valid {span} this {when}", f"validity of the {row}: {span} when"
    if not body:
        return _of(column, when)
    if body[-1].endswith(("time", "date")):
        return _of(column, " ".join(body))
    named = " ".join([*body, "date" if when == "date" else "time"])
    return _of(column, named) if by_name else _of(column, f"{' '.join(body)} {when}")


_SPANS = {
    ("valid", "from"): "from",
    ("valid", "to"): "until",
    ("valid", "through"): "until",
    ("valid", "until"): "until",
    ("effective", "from"): "from",
    ("effective", "to"): "until",
    ("effective",): "from",
}


def _when(column: Column) -> str:
    if column.type == "date" or column.head == "date":
        return "date"
    return "time" if re.match(r"time\b(?!stamp)", column.type) else "date and time"


_PERIODS = frozenset({"days", "hours", "minutes", "months", "weeks", "years"})


def _doer(column: Column) -> Cores | None:
    if column.head != "by" or len(column.words) < 2 or not is_participle(column.words[-2]):
        return None
    what = " ".join(column.words[:-2]) or column.entity
    verb = column.words[-2]
    return (
        f"who {verb} the {what}",
        f"user or process that {verb} the {what}",
        f"records by whom the {what} was {verb}",
    )


def _count(column: Column) -> Cores | None:
    words = column.words
    unit = text_of(column.facts, "unit")
    if unit in _PERIODS and "int" in column.type:
        return _of(column, f"number of {unit} of {column.phrase}")
    if (
        words[0] == "total"
        and len(words) > 2
        and "int" in column.type
        and plural(words[-1]) == words[-1]
    ):
        return _of(column, f"total number of {' '.join(words[1:])}")
    if column.head in {"count", "number"} and column.body and "int" in column.type:
        # "Order number" may be a name and no count: only `count` is sure to be one.
        counted = column.body if column.head == "count" else ""
    elif len(words) > 2 and words[0] == "number" and words[1] == "of":
        counted = " ".join(words[2:])
    else:
        counted = ""
    return _of(column, f"number of {plural(counted)}") if counted else None


def _identifier(column: Column) -> Cores | None:
    if column.head not in IDENTIFIERS:
        return None
    said = _said(column)
    if not column.body or column.body == "row":
        what = column.body or column.entity
        return (
            f"unique {_numeric(column)}{said} of the {what}",
            f"identifier of the {what}",
            f"identifies the {what}",
        )
    return (
        f"{said} of the {column.body} for the {column.entity}",
        f"identifier of the {column.body}",
        f"identifies the {column.body}",
    )


def _name(column: Column) -> Cores | None:
    if column.head != "name":
        return None
    if not column.body:
        return _of(column, "name")
    if set(column.words[:-1]) & QUALIFIERS:
        return _of(column, column.phrase)
    return (
        f"name of the {column.body}",
        f"name by which the {column.body} is known",
        f"the {owned(column.body)} name",
    )


def _unread(column: Column) -> Cores | None:
    """Where the name says nothing, the format of the values may."""
    said = _format(column)
    if said is None or not list_of(column.facts, "unread"):
        return None
    return _of(column, said)


def _measure(column: Column) -> Cores | None:
    """`rate_uom` is the unit that the rate is in."""
    if column.words[-3:] != ("unit", "of", "measure"):
        return None
    what = " ".join(column.words[:-3]) or column.entity
    return (
        f"unit of measure of the {what}",
        f"unit in which the {what} is measured",
        f"what the {what} is measured in",
    )


def _anything(column: Column) -> Cores:
    words = set(column.phrase.split())
    if column.phrase == column.entity:
        # The city column of a table of cities holds their names.
        return _of(column, "name")
    if words & set(column.entity.split()) and len(words) > 1:
        own = (column.phrase, f"{column.phrase} of this row")
        return (*own, f"{column.phrase} as recorded")
    return _of(column, column.phrase)


RULES: tuple[Rule, ...] = (
    *(_primary, _foreign, _unread, _flag, _moment, _doer, _count, _measure, _identifier, _name),
    _anything,
)


def _format(column: Column) -> str | None:
    found = list_of(mapping_of(column.facts, "statistics"), "looks_like")
    return next((FORMATS[name] for name in found if name in FORMATS), None)


def _tail(column: Column) -> tuple[str, bool]:
    """Return what is added to every sentence, and whether it tells the values."""
    facts = column.facts
    unit = text_of(facts, "unit")
    counted = unit in _PERIODS and "int" in column.type
    tail = f", in {unit}" if unit and not counted else ""
    values = list_of(mapping_of(facts, "statistics"), "all_values")
    told = 2 <= len(values) <= 6 and sum(map(len, values)) <= 60
    # Few numbers in a sample may be a coincidence, but where the name says that they are codes.
    told = told and (column.head in CODED or not all(map(str.isdigit, values)))
    if told:
        tail += f": {listed(values, 'or')}"
    if column.type.startswith("json"):
        tail += ", as JSON"
    if facts.get("unique") and not column.has_own_key:
        tail += f"; unique for each {column.entity}"
    default = literal(text_of(facts, "default"))
    if default and not column.has_own_key:
        tail += f"; {default} by default"
    return tail, told


def _accepted(facts: Mapping[str, object], table: Mapping[str, object]) -> tuple[str, ...]:
    """Return what people accepted for this column, or for a key of the same name elsewhere."""
    own = text_of(facts, "accepted_description")
    if own:
        return (own,)
    neighbours = table.get("neighbours")
    if not facts.get("references") or not isinstance(neighbours, list):
        return ()
    name, target = text_of(facts, "name"), text_of(facts, "references")
    for neighbour in neighbours:
        where, said = text_of(neighbour, "object"), text_of(neighbour, "description")
        parts = [part.text for part in parse_parts(where)] if where else []
        # What the key points to is described from its own table's side: not our words.
        if len(parts) >= 3 and parts[-1] == name and where != target and said:
            return (said,)
    return ()


def _basis(column: Column, *, tells_values: bool) -> Basis:
    if column.has_own_key or column.target:
        return Basis.KEY
    if tells_values or (_format(column) and list_of(column.facts, "unread")):
        return Basis.VALUES
    return Basis.NAME
