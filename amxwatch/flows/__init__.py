"""The verbs of the product: watch, dispatch, analyze, review, apply, recover.

Async functions over ports; they know no back end, no web and no command line. Each stage
commits before the next reads; no stage calls the one above it. A new verb is a new file.
"""
