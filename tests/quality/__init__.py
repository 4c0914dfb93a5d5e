"""How good drafts are: scored against descriptions that people wrote for real schemas.

`python -m tests.quality` prints the table of docs/quality.md. Here live the measures, the gold
sets' reader and the score sheet; nothing here may know what a set says.
"""
