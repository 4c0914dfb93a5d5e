"""Accepted descriptions as one JSON document."""

from __future__ import annotations

import json

from amxwatch.ports.export import Dossier


def render(dossier: Dossier, before: str) -> str:
    """Return the document; the fields of one description are stable."""
    document = {
        "db_profile": dossier.profile,
        "product": dossier.product,
        "at": dossier.at.isoformat(),
        "descriptions": [
            {
                "schema": row.target.ref.schema,
                "table": row.target.ref.table or None,
                "column": row.target.ref.column or None,
                "object_type": str(row.target.type),
                "description": row.text,
                "current": row.found,
                "statement": row.statement,
                "run_id": row.run_id,
            }
            for row in dossier.rows
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
