"""One Protocol a file: what the flows need of the world, and what must hold of it.

A port's docstring is its contract; `tests/contracts` runs it over every implementation.
A port that wants a seventh method is two ports. Nothing is implemented here.
"""
