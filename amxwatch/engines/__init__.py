"""When and where a queued run is executed.

`execute` is shared by every engine: lease, fence, steps, time limit, settling. An engine only
decides when a run is claimed and by which process. `recover` gives back what dead workers left.
A new engine is a file here and passes `tests/contracts/test_engine.py`.
"""
