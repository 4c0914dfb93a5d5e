"""Evidence for a draft, made from what back ends return: `profile` (statistics), `formats`.

Nothing here asks a database or a model. A new kind of evidence is a new file, whose result
`core.evidence` holds.
"""
