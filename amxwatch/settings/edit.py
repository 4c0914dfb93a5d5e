"""Edits of the config by amxwatch itself: comments stay, and nothing invalid is ever written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amxwatch.core.errors import NotFoundError, StoreBusyError, UsageError
from amxwatch.settings.document import parse, shown
from amxwatch.settings.file import Loaded, load
from amxwatch.settings.folder import Folder, make_folder, slug
from amxwatch.settings.plans import few_names
from amxwatch.settings.replacement import edit_lock, remove_file, replace_file
from amxwatch.settings.source import SourceFile

BOM = "\ufeff"

TRIES = 3
"""How often an edit is made again because a person saved the file meanwhile."""

Keys = tuple[str, ...]


def write_schedule(config_dir: Path, name: str, document: Mapping[str, Any]) -> Path:
    """Write a schedule as a drop-in of its own and return the file's path.

    `document` is the table under `[schedules.NAME]`; None values are left out. Raises:
    UsageError where the name is taken; ConfigError where the config would not hold; then
    nothing is written.
    """
    import tomli_w

    folder = Folder(path=config_dir)
    data = tomli_w.dumps({"schedules": {name: _without_none(document)}}).encode()
    with edit_lock(folder):
        loaded = load(config_dir, about=())
        if name in loaded.settings.schedules:
            where = _relative(loaded.schedule_files[name], config_dir)
            raise UsageError(
                f"there is a schedule {shown(name)} already, in {where}:"
                " choose another name, or change it with `schedule edit`"
            )
        path = _free_path(folder, name)
        load(config_dir, instead={path: data}, about=())
        make_folder(folder.schedules)
        replace_file(path, data)
    return path


def _free_path(folder: Folder, name: str) -> Path:
    """Return a drop-in path that no file has: a person may have named one as they liked."""
    path, number = folder.schedules / f"{slug(name)}.toml", 1
    while path.exists() or path.is_symlink():
        number += 1
        path = folder.schedules / f"{slug(name)}-{number}.toml"
    return path


def remove_schedule(config_dir: Path, loaded: Loaded, name: str) -> Path:
    """Remove a schedule and return the file that it stood in.

    A drop-in goes as a whole; from the person's file only the schedule's own tables go.
    Raises: NotFoundError, ConfigError, UsageError; then nothing is changed.
    """
    path = _file_of(config_dir, loaded, name)
    folder = Folder(path=config_dir)
    if path == folder.config_file:
        edit_file(config_dir, path, ("schedules", name), None)
        return path
    with edit_lock(folder):
        load(config_dir, instead={path: None}, about=())
        remove_file(path)
    return path


def set_default(config_dir: Path, key: str, value: str) -> None:
    """Set `key` of `[defaults]` (`db use`, `llm use`). Raises: ConfigError, UsageError."""
    edit_file(config_dir, Folder(path=config_dir).config_file, ("defaults", key), value)


def set_llm_values(config_dir: Path, name: str, changes: Mapping[str, Any]) -> None:
    """Set several keys of an llm profile at once, checked together.

    Raises: UsageError where the profile is not in the file (`builtin` need not be); ConfigError.
    """
    path = Folder(path=config_dir).config_file
    source = SourceFile(path=path, name=_relative(path, config_dir), data=_bytes(path))
    if name not in parse(source).table.get("llm_profiles", {}):
        raise UsageError(
            f"the llm profile {shown(name)} is not in {source.name};"
            f" write [llm_profiles.{name}] there first"
        )
    _edit(
        config_dir, path, [(("llm_profiles", name, key), value) for key, value in changes.items()]
    )


def set_schedule_value(config_dir: Path, loaded: Loaded, name: str, key: str, value: Any) -> Path:
    """Set one key of a schedule wherever it stands, and return that file; None takes it out.

    `key` may be dotted (`trigger.minutes`). Raises: NotFoundError, ConfigError, UsageError.
    """
    path = _file_of(config_dir, loaded, name)
    edit_file(config_dir, path, ("schedules", name, *key.split(".")), value)
    return path


def set_schedule_values(
    config_dir: Path, loaded: Loaded, name: str, changes: Mapping[str, Any]
) -> Path:
    """Set several keys of a schedule at once, as `set_schedule_value` does one.

    What holds only together is checked together, and written whole or not at all.
    """
    path = _file_of(config_dir, loaded, name)
    edits = [(("schedules", name, *key.split(".")), value) for key, value in changes.items()]
    _edit(config_dir, path, edits)
    return path


def rewrite_file(config_dir: Path, path: Path, before: bytes, text: str) -> None:
    """Put a person's new text in the place of the bytes that they began from.

    Raises: ConfigError where the config would not hold; StoreBusyError where somebody else
    saved the file meanwhile. Then nothing is written.
    """
    after = as_bytes(text, before)
    with edit_lock(Folder(path=config_dir)):
        load(config_dir, instead={path: after}, about=())
        if _bytes(path) != before:
            raise StoreBusyError(f"{path} was saved by somebody else meanwhile; edit it again")
        replace_file(path, after)


def as_bytes(text: str, before: bytes) -> bytes:
    """Return a text with the line ends and the mark that the file has."""
    mark = BOM if before.startswith(BOM.encode()) else ""
    return (mark + _with_line_ends(text, before.decode(errors="replace"))).encode()


def _file_of(config_dir: Path, loaded: Loaded, name: str) -> Path:
    try:
        return loaded.schedule_files[name]
    except KeyError:
        known = few_names(loaded.schedule_files) or "none"
        raise NotFoundError(
            f"no schedule {shown(name)} in {config_dir}; the schedules are: {known}"
        ) from None


def edit_file(config_dir: Path, path: Path, keys: Keys, value: Any) -> None:
    """Set a key in a person's file, or take it out (None), and keep everything else as it is."""
    _edit(config_dir, path, [(keys, value)])


def _edit(config_dir: Path, path: Path, edits: Sequence[tuple[Keys, Any]]) -> None:
    """Read, edit, check, replace, under a lock; begun again when the file is saved meanwhile."""
    with edit_lock(Folder(path=config_dir)):
        for _ in range(TRIES):
            before = after = _bytes(path)
            for keys, value in edits:
                after = edited(config_dir, path, after, keys, value)
            load(config_dir, instead={path: after}, about=())
            if _bytes(path) == before:
                replace_file(path, after)
                return
    raise StoreBusyError(f"{path} kept being saved by somebody else; try again")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def edited(config_dir: Path, path: Path, before: bytes, keys: Keys, value: Any) -> bytes:
    """Return the file with the edit, proven to differ from the old one in nothing else."""
    document = parse(SourceFile(path=path, name=_relative(path, config_dir), data=before))
    text, expected = document.text, document.table
    _apply(expected, keys, value)
    ways: list[Callable[[str, Keys, Any], str]] = [_with_tomlkit]
    if value is None:
        ways.insert(0, _without_sections)
    for way in ways:
        after = _with_line_ends(way(text, keys, value), text)
        if _means(after, expected, keys):
            return (BOM if before.startswith(BOM.encode()) else "").encode() + after.encode()
    raise UsageError(
        f"{document.source.name}: {'.'.join(keys)} is written in a way that cannot be edited"
        " safely; change it by hand"
    )


def _apply(tree: dict[str, Any], keys: Keys, value: Any) -> None:
    """Do the edit on plain dictionaries: what the edited text must mean."""
    *above, last = keys
    node: Any = tree
    for key in above:
        node = node.setdefault(key, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise UsageError(f"{'.'.join(above)} is not a table: mend it first")
    if value is None:
        node.pop(last, None)
    else:
        node[last] = _without_none(value) if isinstance(value, Mapping) else value


def _means(text: str, expected: dict[str, Any], keys: Keys) -> bool:
    """Say whether a text parses to this tree, but for tables that the edit left empty."""
    try:
        tree = tomllib.loads(text)
    except ValueError:
        return False
    return _pruned(tree, keys[:-1]) == _pruned(expected, keys[:-1])


def _pruned(tree: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """Return the tree without those of the tables on this path that hold nothing."""
    if not keys or not isinstance(tree.get(keys[0]), dict):
        return tree
    inner = _pruned(tree[keys[0]], keys[1:])
    rest = {key: value for key, value in tree.items() if key != keys[0]}
    return {**rest, keys[0]: inner} if inner else rest


def _without_sections(text: str, keys: Keys, value: Any) -> str:
    """Cut out the lines of `[keys]` and of the tables under it.

    The comments and blank lines before the next header are kept: they belong to what follows.
    tomlkit would count them to the table that goes.
    """
    from amxwatch.settings.positions import Positions

    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    kept = [True] * len(lines)
    for section in Positions(text).sections:
        if section.path[: len(keys)] == keys:
            kept[section.first : section.end] = [False] * (section.end - section.first)
    return "".join(line for line, keep in zip(lines, kept, strict=True) if keep)


def _with_tomlkit(text: str, keys: Keys, value: Any) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    *above, last = keys
    try:
        document = tomlkit.parse(text)
        node: Any = document
        for key in above:
            if key not in node:
                node[key] = tomlkit.table(is_super_table=key != above[-1])
            node = node[key]
        if value is None:
            node.pop(last, None)
        else:
            node[last] = _item(value)
        return tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError, AttributeError) as error:
        # tomlkit has gaps in tables that are written in several places.
        raise UsageError(
            f"{'.'.join(keys)} cannot be edited safely ({type(error).__name__}); change it by hand"
        ) from None


def _item(value: Any) -> Any:
    """Return a table as an inline one, so that it lands beside its neighbours."""
    import tomlkit

    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    table.update(_without_none(value))
    return table


def _with_line_ends(after: str, before: str) -> str:
    """Give new lines the ends that the file has: CRLF where it holds nothing else."""
    only_crlf = "\r\n" in before and "\n" not in before.replace("\r\n", "")
    return after.replace("\r\n", "\n").replace("\n", "\r\n") if only_crlf else after


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table without what is None, at any depth: TOML has no word for it."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def _relative(path: Path, config_dir: Path) -> str:
    return str(path.relative_to(config_dir)) if path.is_relative_to(config_dir) else str(path)
