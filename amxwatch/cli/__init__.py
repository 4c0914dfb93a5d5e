"""The command line: what people type, what they see, and nothing that decides.

A command opens an install (`session`), hands its pieces to the flows and shows what comes back
(`output`). No rule, no SQL and no back end lives here. To add a command: write it in the file of
its noun, and add its line to `COMMANDS` in `app`, which a test compares with the command itself.
"""
