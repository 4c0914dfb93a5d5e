"""Steps from each released set of tables to the next, run by Alembic inside `open_ledger`.

A new file gets the tables as they are now and takes none of these steps.

A new one is a file in `versions`, which names its predecessor, and a new `HEAD` here. A
released one is never edited. `tests/contracts/test_ledger_file.py` compares the end with `tables`.
"""

HEAD = "0004"
"""The version of the tables that this program writes."""
