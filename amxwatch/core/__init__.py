"""Nouns and rules: values in, values out.

Nothing here awaits, reads a clock, opens a file or a socket. A new noun is a new file.
"""
