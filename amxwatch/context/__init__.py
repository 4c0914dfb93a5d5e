"""Evidence for a draft, from rows, SQL and files.

`profile` and `formats` reduce what was counted of rows, `lineage` reads the SQL of views, `docs`
and `code` index folders of files (`walking`, `chunking`, `pdf`, `uses`, `indexing` serve them).
Nothing here asks a database or a model. A new kind of evidence is a new file, whose result
`core.evidence` holds.
"""
