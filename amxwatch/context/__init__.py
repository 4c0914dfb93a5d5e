"""Evidence for a draft: `profile` and `formats` from rows, `lineage` from the SQL of views.

Nothing here asks a database or a model. A new kind of evidence is a new file, whose result
`core.evidence` holds.
"""
