"""Makes `docs/reference/config.md` out of the settings' schema and `config_words`."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from amxwatch.settings import alerts, continuous, intake, schema
from amxwatch.settings.unbuilt import NOT_YET
from amxwatch.settings.value import FAR
from amxwatch.triggers import At, CatalogChange, Cron, Every, Files
from tests.house.config_words import TABLES, TARGETS, TRIGGERS, WORDS

HEAD = """\
# Configuration

One folder holds everything of one install: `~/.amxwatch`, or the folder that `AMXWATCH_CONFIG_DIR`
or `--config-dir` names. Two files there are yours:

| file | what it holds |
| --- | --- |
| `amxwatch.toml` | everything below |
| `schedules.d/*.toml` | one schedule a file; what `amxwatch schedule add` writes |

A running daemon applies an edit within a second of the save. A file that does not parse or
validate changes nothing: the last good config stays in force, and the error names file, line, key,
what was found and what is allowed. Relative paths start at the config folder. A key that is not
listed here is an error.

The least that works:

```toml
[db_profiles.warehouse]
url = "duckdb:///warehouse.duckdb"

[schedules.changes]
db_profile = "warehouse"
trigger = { type = "change" }
```

Every key with its default and a comment stands in
[config/amxwatch.toml](../../config/amxwatch.toml).

## Secrets

A URL or an API key may be a reference instead of the value, and should be:

| reference | where the value is |
| --- | --- |
| `env:NAME` | an environment variable of the process that runs amxwatch |
| `file:PATH` | a file; its last line break is left out |
| `keyring:SERVICE/USER` | the system's key ring; needs `pip install 'amxwatch[keyring]'` |

A plain secret works, and `amxwatch doctor` warns of it.

## When it goes wrong

Run `amxwatch doctor`: it lists each mistake in the config with file and line, each setting that has
no effect yet, and each database that does not answer. *Not yet* below means that the key is
accepted and checked, and changes nothing in this version.
"""

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("db_profiles.NAME", schema.DbProfile),
    ("llm_profiles.NAME", schema.LlmProfile),
    ("defaults", schema.Defaults),
    ("budget", schema.Budget),
    ("daemon", schema.DaemonSettings),
    ("schedules.NAME", schema.Schedule),
    ("schedules.NAME.budget", schema.ScheduleBudget),
    ("alerts", schema.Alerts),
    ("alerts.targets.NAME", alerts.Target),
    ("retention", schema.Retention),
    ("intake", schema.IntakeSettings),
    ("intake.git", intake.GitWatch),
    ("doc_profiles.NAME", schema.DocProfile),
    ("code_profiles.NAME", schema.CodeProfile),
    ("studio", schema.StudioSettings),
    ("schedules.NAME.continuous", continuous.Continuous),
    ("schedules.NAME.continuous.idle_expansion", continuous.IdleExpansion),
)

REPEATED = frozenset({"intake.git"})
"""Tables of which there may be any number, without names."""

TRIGGER_MODELS: dict[str, type[BaseModel]] = {
    "change": CatalogChange,
    "cron": Cron,
    "every": Every,
    "at": At,
    "files": Files,
}

TARGET_MODELS: dict[str, type[alerts.Target]] = {
    "webhook": alerts.WebhookTarget,
    "command": alerts.CommandTarget,
    "email": alerts.EmailTarget,
}

KINDS = {
    "_name": "a name",
    "_text": "text",
    "_address": "a URL or a reference",
    "_mailbox": "an e-mail address",
    "_zone": "an IANA zone",
    "_zone_name": "an IANA zone",
    "_scope": "a scope",
    "_ignored": "a pattern",
    "_dollars": "dollars, at least 0",
    "_local_time": "a local time, `YYYY-MM-DD HH:MM`",
    "_cron_line": "a cron line",
    "_globs": "a list of globs",
    "_ref": "a whole ref",
    "_pattern": "a glob",
    "_list_of_kinds": "a list of kinds of change",
}
"""What the validators of `settings.value` and `triggers.fields` let through."""


def page() -> str:
    """Return the page as the schema is now."""
    parts = [HEAD]
    for table, model in SECTIONS:
        parts.append(_section(table, model))
        if table == "schedules.NAME":
            parts += ["## Triggers\n", *(_trigger(name) for name in TRIGGER_MODELS)]
        if table == "alerts.targets.NAME":
            parts += [_target(name) for name in TARGET_MODELS]
    return "\n".join(parts)


def keys() -> Iterator[str]:
    """Yield the key of `config_words.WORDS` for every setting there is."""
    for table, model in SECTIONS:
        yield from (f"{_plain(table)}.{name}" for name in _names(model, table))
    for model in TRIGGER_MODELS.values():
        yield from (f"trigger.{name}" for name in model.model_fields if name != "type")
    for type_, target in TARGET_MODELS.items():
        yield from (f"alerts.targets.{type_}.{name}" for name in _own(target))


def _plain(table: str) -> str:
    return table.replace(".NAME", "")


def _names(model: type[BaseModel], table: str) -> list[str]:
    filed = table.endswith(".NAME")
    return [name for name in model.model_fields if not (filed and name == "name")]


def _section(table: str, model: type[BaseModel]) -> str:
    pattern = table.replace("NAME", "*")
    not_yet = f"\n*Not yet: {NOT_YET[pattern]}.*\n" if pattern in NOT_YET else ""
    rows = [_row(f"{_plain(table)}.{name}", pattern, name, model) for name in _names(model, table)]
    title = f"[[{table}]]" if table in REPEATED else f"[{table}]"
    return "\n".join([f"## `{title}`\n\n{TABLES[table]}\n{not_yet}", *_table(rows)])


def _trigger(name: str) -> str:
    model = TRIGGER_MODELS[name]
    rows = [
        _row(f"trigger.{key}", "schedules.*.trigger", key, model)
        for key in model.model_fields
        if key != "type"
    ]
    return "\n".join([f'### `type = "{name}"`\n\n{TRIGGERS[name]}\n', *_table(rows)])


def _target(type_: str) -> str:
    model, key = TARGET_MODELS[type_], f"alerts.targets.{type_}"
    rows = [_row(f"{key}.{name}", key, name, model) for name in _own(model)]
    return "\n".join([f'### `type = "{type_}"`\n\n{TARGETS[type_]}\n', *_table(rows)])


def _own(model: type[alerts.Target]) -> list[str]:
    """Return the keys that this kind of target has beside those of all."""
    shared = alerts.Target.model_fields
    return [name for name in model.model_fields if name not in shared and name != "type"]


def _table(rows: list[str]) -> list[str]:
    return ["| key | default | allowed | what it does |", "| --- | --- | --- | --- |", *rows, ""]


def _row(key: str, pattern: str, name: str, model: type[BaseModel]) -> str:
    entry = WORDS[key]
    words, default = entry if isinstance(entry, tuple) else (entry, None)
    field = model.model_fields[name]
    words += "".join(_not_yet(f"{pattern}.{name}"))
    return f"| `{name}` | {default or _default(field)} | {_allowed(field)} | {words} |"


def _not_yet(key: str) -> Iterator[str]:
    if key in NOT_YET:
        yield f" *Not yet: {NOT_YET[key]}.*"
    valued: dict[str, list[str]] = {}
    for pattern, instead in NOT_YET.items():
        named, _, value = pattern.partition("=")
        if named == key and value:
            valued.setdefault(instead, []).append(f"`{value}`")
    for instead, values in valued.items():
        yield f" *Not yet with {', '.join(values)}: {instead}.*"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return "none"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case float() | Decimal():
            return f"{value:g}"
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _allowed(field: FieldInfo) -> str:
    return _type(field.annotation, list(field.metadata))


def _type(annotation: Any, metadata: list[Any]) -> str:
    """Say in words what a type with its limits lets through."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata += [m for one in more for m in (one.metadata if _is_field(one) else [one])]
    for one in metadata:
        known = KINDS.get(getattr(getattr(one, "func", None), "__name__", ""))
        if known:
            return known
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is dict:
        return "tables, each with a name"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{choice.value}`" for choice in annotation)
    if origin is tuple:
        return f"a list, each {_type(inner[0], [])}"
    if origin in (Union, types.UnionType):
        real = [one for one in inner if one is not type(None)]
        return _type(real[0], metadata) if len(real) == 1 else "a table, by its `type`"
    if annotation is bool:
        return "`true`, `false`"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _bounds(metadata)
    return (
        "a table" if isinstance(annotation, type) and issubclass(annotation, BaseModel) else "text"
    )


def _is_field(one: object) -> bool:
    return isinstance(one, FieldInfo)


def _bounds(metadata: list[Any]) -> str:
    found: dict[str, float] = {}
    for one in metadata:
        for name in ("ge", "gt", "le"):
            if (bound := getattr(one, name, None)) is not None:
                found[name] = min(bound, found.get(name, bound))
    least = f" from {found['ge']:g}" if "ge" in found else ""
    above = f" above {found['gt']:g}" if "gt" in found else ""
    most = f" to {found['le']:,}" if found.get("le", FAR) < FAR else ""
    return least + above + most
