"""Accepted descriptions as files that people keep: each form is one module with a `render`.

Here live the forms themselves, as text in and text out. What is accepted, and where a file lies,
does not. A new form is a module, and one line in `FORMS`.
"""

from __future__ import annotations

import importlib

from amxwatch.ports.export import Dossier

FORMS = {
    "sql": "amxwatch.exports.migration",
    "dbt": "amxwatch.exports.schema_yml",
    "markdown": "amxwatch.exports.dictionary",
    "json": "amxwatch.exports.document",
}
"""Each form and its module, loaded only when used."""


def render(form: str, dossier: Dossier, before: str) -> str:
    """Return the new text of a file; `before` is what it holds now, or nothing.

    Raises: UsageError where `before` cannot be merged with.
    """
    text: str = importlib.import_module(FORMS[form]).render(dossier, before)
    return text
