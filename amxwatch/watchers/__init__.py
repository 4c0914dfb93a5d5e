"""Watching what the operating system can announce: files, for now.

Lives here: wake-ups (`files`, hints that may be lost or doubled) and the walk that is the truth
(`walk`). What must not: deciding what a moved file means. To watch something else, add a module
with an async context manager that yields wake reasons, and say in it what can be missed.
"""
