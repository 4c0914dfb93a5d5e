"""From what pydantic refused to what a person can mend: file, line, key, found, allowed."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from amxwatch.core.errors import ConfigProblem
from amxwatch.settings.document import Document, Path, dotted, printable, shown, value_at
from amxwatch.settings.schema import NAMED, Settings
from amxwatch.settings.value import FAR

SECRET_WORDS = ("key", "password", "passwd", "token", "secret", "credential")
"""A key whose name holds one of these never has its value shown."""

OTHER_WORDS = {
    "assistant_id": "db_profile and llm_profile",
    "auto_approve": 'review_strategy = "auto"',
    "backend": "url (its scheme says the back end)",
    "cron": 'trigger = { type = "cron", cron = … }',
    "dsn": "url",
    "every_minutes": 'trigger = { type = "every", minutes = … }',
    "fire_at_tz": "trigger.timezone",
    "fire_at_utc": "trigger.at",
    "max_turns": "max_requests",
    "scope_json": "scope",
    "strategy": "review_strategy",
    "timeout": "timeout_seconds",
    "tz": "timezone",
}
"""What people who come from elsewhere write, and our word for it."""


@dataclass(frozen=True)
class Hint:
    """An annotation with the limits that go with it."""

    annotation: Any
    limits: tuple[Any, ...] = ()


def problems(
    error: ValidationError, tree: dict[str, Any], file_of: Callable[[Path], Document]
) -> Iterator[ConfigProblem]:
    """Yield a problem for each thing that pydantic refused in `tree`.

    `file_of` says in which document a key path stands.
    """
    for detail in error.errors(include_input=False, include_url=False):
        kind, ctx = detail["type"], detail.get("ctx", {})
        path = _path(detail["loc"], kind, tree)
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            path = (*path, "type")
        elif kind == "value_error" and isinstance(value_at(tree, path)[1], dict):
            # A rule over a whole table names the key in question at the head of its message.
            key = str(ctx["error"]).partition(":")[0]
            path = (*path, key) if value_at(tree, (*path, key))[0] else path
        yield file_of(path).problem(
            path,
            dotted(path),
            found=_found(path, kind, tree, whole=detail["loc"][-1:] == ("[key]",)),
            allowed=printable(_allowed(path, kind, ctx, detail["msg"], tree)),
        )


def _path(loc: tuple[str | int, ...], kind: str, tree: dict[str, Any]) -> Path:
    """Return the key path in the file: without pydantic's own marks, as far as it exists."""
    parts = list(loc)
    if parts[2:3] == ["trigger"] or parts[0:2] == ["alerts", "targets"]:
        del parts[3:4]  # which of several models it was read as
    node: Any = tree
    path: list[str | int] = []
    for part in parts:
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        if not inside:
            if part != "[key]" and isinstance(node, dict):
                path.append(part)
            break
        node = node[part]
        path.append(part)
    return tuple(path)


def _found(path: Path, kind: str, tree: dict[str, Any], *, whole: bool) -> str:
    """Say what stands there, without showing what may be a secret."""
    if whole and path:
        return shown(path[-1])
    there, value = value_at(tree, path)
    if not there:
        return "nothing"
    if kind == "extra_forbidden":
        return "an unknown key"
    if _is_secret(path) and not isinstance(value, dict | list):
        return "a hidden value"
    if kind.startswith("model_") and isinstance(value, str):
        # A table was expected: this may be the secret that belongs inside it.
        return "text"
    return shown(value)


def _is_secret(path: Path) -> bool:
    if path[0:2] == ("alerts", "targets") and path[-1] == "url":
        return True  # the path of a webhook's address often is its key
    return any(word in str(path[-1]).lower() for word in SECRET_WORDS) if path else False


def _allowed(path: Path, kind: str, ctx: dict[str, Any], message: str, tree: dict[str, Any]) -> str:
    if kind == "allowed":
        return str(ctx["allowed"])
    if kind in ("value_error", "assertion_error"):
        message = str(ctx["error"])
        return message.partition("allowed: ")[2] or message
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"one of: {', '.join(_tags(_hint(path[:-1], tree)))}"
    if kind == "extra_forbidden":
        return _known_keys(path, tree)
    if kind == "less_than_equal" and ctx["le"] == FAR:
        return f"a number of at most {FAR}"
    hint = _hint(path, tree)
    words = _words(hint) if hint is not None else ""
    if kind == "missing":
        return f"{words or 'a value'}; this key is required"
    return words or message[:1].lower() + message[1:]


def _known_keys(path: Path, tree: dict[str, Any]) -> str:
    """Name the key that was probably meant, and the keys that may stand there."""
    key, inside = str(path[-1]), _hint(path[:-1], tree)
    model = _model(inside, value_at(tree, path[:-1])[1]) if inside else None
    if model is None:
        return "no such key"
    # The name of a named table is the one in its header.
    keys = [k for k in model.model_fields if not (k == "name" and path[0] in NAMED)]
    if key in OTHER_WORDS:
        return f"{OTHER_WORDS[key]}; the keys here are: {', '.join(keys)}"
    near = get_close_matches(key, keys, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}the keys here are: {', '.join(keys)}"


def _hint(path: Path, tree: dict[str, Any]) -> Hint | None:
    """Return what the schema says of a key, or None where it knows no such key."""
    here: Hint | None = Hint(Settings)
    node: Any = tree
    for part in path:
        here = _inside(here, part, node) if here is not None else None
        node = value_at({"": node}, ("", part))[1]
    return here


def _inside(hint: Hint, part: str | int, node: Any) -> Hint | None:
    model = _model(hint, node)
    if model is not None:
        field = model.model_fields.get(str(part))
        return _of_field(field) if field is not None else None
    origin, arguments = get_origin(_bare(hint).annotation), get_args(_bare(hint).annotation)
    if origin is dict:
        return Hint(arguments[1])
    return Hint(arguments[0]) if origin in (tuple, list) else None


def _of_field(field: FieldInfo) -> Hint:
    return Hint(field.annotation, tuple(field.metadata))


def _bare(hint: Hint) -> Hint:
    """Take off Annotated and Optional, gathering the limits."""
    while True:
        origin, arguments = get_origin(hint.annotation), get_args(hint.annotation)
        if origin is Annotated:
            limits = hint.limits
            for extra in arguments[1:]:
                limits += tuple(extra.metadata) if isinstance(extra, FieldInfo) else (extra,)
            hint = Hint(arguments[0], limits)
        elif origin in (Union, types.UnionType) and type(None) in arguments:
            rest = tuple(argument for argument in arguments if argument is not type(None))
            hint = Hint(rest[0] if len(rest) == 1 else Union[rest], hint.limits)  # noqa: UP007
        else:
            return hint


def _model(hint: Hint, node: Any) -> type[BaseModel] | None:
    """Return the model that a table is read as; of several, the one that its `type` names."""
    annotation = _bare(hint).annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        tag = node.get("type") if isinstance(node, dict) else None
        for choice in (_bare(Hint(choice)).annotation for choice in get_args(annotation)):
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                field = choice.model_fields.get("type")
                if field is not None and tag in get_args(field.annotation):
                    return choice
    return None


def _words(hint: Hint) -> str:
    """Say in plain words what a key may hold; empty where there are none."""
    bare = _bare(hint)
    annotation, origin = bare.annotation, get_origin(bare.annotation)
    if origin is Literal:
        return f"one of: {', '.join(str(choice) for choice in get_args(annotation))}"
    if origin in (tuple, list):
        return f"a list{_range(bare.limits)}, each item {_words(Hint(get_args(annotation)[0]))}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return f"one of: {', '.join(choice.value for choice in annotation)}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "a table"
    if origin in (Union, types.UnionType):
        return _words_of_choices(bare)
    nouns = {int: "an integer", float: "a number", Decimal: "a number", str: "text"}
    if annotation is bool:
        return "true or false"
    noun = nouns.get(annotation)
    return noun + _range(bare.limits) if noun else ""


def _words_of_choices(hint: Hint) -> str:
    tags = _tags(hint)
    if tags:
        return f'a table such as {{ type = "…", … }}, its type one of: {", ".join(tags)}'
    words = [_words(Hint(choice)) for choice in get_args(hint.annotation)]
    return " or ".join(words) if all(words) else ""


def _tags(hint: Hint | None) -> list[str]:
    """Return the words that `type` may be, where a table is read as one of several models."""
    tags: list[str] = []
    for choice in get_args(_bare(hint).annotation) if hint is not None else ():
        model = _bare(Hint(choice)).annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get("type")
            tags += get_args(field.annotation) if field is not None else ()
    return tags


def _range(limits: tuple[Any, ...]) -> str:
    found: dict[str, Any] = {}
    for limit in limits:
        for name in ("ge", "gt", "le", "lt", "min_length"):
            value = getattr(limit, name, None)
            if value not in (None, FAR):
                found[name] = value
    if found.get("min_length"):
        return " that is not empty"
    low = f" of at least {found['ge']}" if "ge" in found else ""
    low = f" above {found['gt']}" if "gt" in found else low
    high = f"at most {found['le']}" if "le" in found else ""
    return f"{low} and {high}" if low and high else low or (high and f" of {high}")
