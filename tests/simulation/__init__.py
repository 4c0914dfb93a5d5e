"""The whole scheduler under a virtual clock and seeded faults, watched by an oracle.

What is simulated is the machine: time, the file system's locks, the databases and when a process
dies. What runs on it is the real program: service loop, turns, flows, engine and the SQL ledger.
`python -m tests.simulation --seed N --trace` replays one seed, always the same way.
"""
