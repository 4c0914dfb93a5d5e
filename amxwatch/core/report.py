"""Reports of CI that say what failed: JUnit XML, and the JSON of `amxwatch check`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from xml.parsers import expat

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.errors import SignalError
from amxwatch.core.intake import IntakeSource
from amxwatch.core.scope import Scope
from amxwatch.core.signal import (
    Signal,
    decoded,
    one_line,
    parsed_json,
    parsed_toml,
    shortened,
    structured_signal,
    text_signal,
)

MAX_DEPTH = 100
MAX_TOLD = 200
"""How many failures a detail lists."""

MAX_WORDS = 500
"""Characters that are kept of what one failed test says."""

BAD = ("failure", "error")


def file_signal(name: str, content: bytes) -> Signal | None:
    """Read a dropped file by the ending of its name; None for a report without a failure.

    `.xml` is JUnit, `.json` a signal or the report of `amxwatch check --json`, `.toml` a
    signal; anything else is prose. Raises: SignalError.
    """
    ending = name.rpartition(".")[2].lower()
    if ending == "xml":
        return _stamped(_junit(name, content), content)
    text = decoded(name, content)
    if ending == "toml":
        return structured_signal(name, parsed_toml(name, text))
    if ending != "json":
        return text_signal(name, text)
    fields = parsed_json(name, text)
    if "gates" in fields:
        return _stamped(_checked(name, fields), content)
    return structured_signal(name, fields)


def report_signal(name: str, content: bytes) -> Signal | None:
    """Read a report of CI, whatever its name; None where nothing failed. Raises: SignalError."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return _stamped(_junit(name, content), content)
    fields = parsed_json(name, decoded(name, content))
    if "gates" not in fields:
        raise SignalError(
            f"{name}: this is no report; allowed: JUnit XML, or what `amxwatch check --json` prints"
        )
    return _stamped(_checked(name, fields), content)


def _stamped(signal: Signal | None, content: bytes) -> Signal | None:
    """Let the same report, given twice, be one signal: it holds its own times."""
    if signal is None:
        return None
    return replace(signal, occurrence=f"report:{hashlib.sha256(content).hexdigest()}")


# -- amxwatch check --------------------------------------------------------------------------


def _checked(name: str, fields: dict[str, Any]) -> Signal | None:
    gates, profile = fields["gates"], fields.get("profile")
    if not isinstance(gates, list) or not all(isinstance(gate, dict) for gate in gates):
        raise SignalError(f"{name}: gates: allowed: a list, as `amxwatch check --json` prints it")
    failed = [str(gate.get("text", gate.get("gate"))) for gate in gates if not gate.get("ok")]
    if not failed:
        return None
    undescribed = _refs(fields.get("undescribed"), fields.get("schemas"))
    lines = [*failed, *(f"not described: {ref}" for ref in undescribed[:MAX_TOLD])]
    more = len(undescribed) - MAX_TOLD
    return Signal(
        source=IntakeSource.CI,
        title=one_line(f"amxwatch check: {failed[0]}"),
        detail=shortened("\n".join([*lines, *([f"… and {more} more"] if more > 0 else [])])),
        db_profile=profile if isinstance(profile, str) else None,
        scope=str(Scope.of(ref.owner for ref in undescribed)) if undescribed else None,
    )


def _refs(found: object, schemas: object) -> list[ObjectRef]:
    """Return the objects that a report names; what has no name is passed over.

    `schemas` says under which live name each of the models' schemas goes: the report speaks of
    live names, and the item is about the models.
    """
    names = schemas.items() if isinstance(schemas, dict) else ()
    own = {str(live): str(models) for models, live in names}
    refs = []
    for each in found if isinstance(found, list) else []:
        parts = each if isinstance(each, dict) else {}
        schema, table, column = (parts.get(key) or "" for key in ("schema", "table", "column"))
        if all(isinstance(part, str) for part in (schema, table, column)) and schema:
            named = own.get(schema, schema)
            refs.append(ObjectRef(schema=named, table=table, column=column if table else ""))
    return refs


# -- JUnit -----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Failure:
    test: str
    says: list[str] = field(default_factory=list)

    def line(self) -> str:
        words = " ".join(" ".join(self.says).split())[:MAX_WORDS]
        return f"{self.test}: {words}" if words else self.test


class _JUnit:
    """Gathers the failed tests while expat reads; a document type is refused before any use.

    Entities are declared in a document type alone, so none is ever expanded.
    See: the Python library's notes on XML vulnerabilities.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tests = 0
        self.failures: list[_Failure] = []
        self.suite = ""
        self._path: list[str] = []
        self._test = ""
        self._open: _Failure | None = None

    def read(self, content: bytes) -> None:
        """Raises: SignalError."""
        parser = expat.ParserCreate()
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, UnicodeError, LookupError, ValueError) as error:
            raise SignalError(f"{self.name}: this is no XML: {error}") from None

    def _refuse(self, *_: object) -> None:
        raise SignalError(
            f"{self.name}: it has a document type or an entity; allowed: JUnit XML without them"
        )

    def _start(self, element: str, values: dict[str, str]) -> None:
        if not self._path and element not in ("testsuites", "testsuite"):
            raise SignalError(
                f"{self.name}: the root is <{element[:60]}>; allowed: JUnit XML, whose root is"
                f" <testsuites> or <testsuite>"
            )
        self._path.append(element)
        if len(self._path) > MAX_DEPTH:
            raise SignalError(f"{self.name}: it is nested more than {MAX_DEPTH} levels deep")
        if element == "testsuite":
            self.suite = self.suite or values.get("name", "")
        elif element == "testcase":
            self.tests += 1
            names = (values.get("classname", ""), values.get("name", ""))
            self._test = ".".join(part for part in names if part)[:MAX_WORDS] or "a test"
        elif element in BAD and self._path[-2:-1] == ["testcase"]:
            self._open = _Failure(test=self._test, says=[values.get("message", "")[:MAX_WORDS]])
            self.failures.append(self._open)

    def _end(self, element: str) -> None:
        self._path.pop()
        if element in BAD:
            self._open = None

    def _text(self, text: str) -> None:
        if self._open is not None and sum(map(len, self._open.says)) < MAX_WORDS:
            self._open.says.append(text[:MAX_WORDS])


def _junit(name: str, content: bytes) -> Signal | None:
    found = _JUnit(name)
    found.read(content)
    if not found.failures:
        return None
    tests = list(dict.fromkeys(failure.test for failure in found.failures))
    where = f" in {found.suite}" if found.suite else ""
    return Signal(
        source=IntakeSource.CI,
        title=one_line(f"{len(tests)} of {found.tests} tests failed{where}: {tests[0]}"),
        detail=shortened("\n".join(_lines(found.failures))),
    )


def _lines(failures: list[_Failure]) -> Iterable[str]:
    yield from (failure.line() for failure in failures[:MAX_TOLD])
    if len(failures) > MAX_TOLD:
        yield f"… and {len(failures) - MAX_TOLD} more"
