"""Where our own state lives: `ledger` (small, transactional), `snapshots` (large, rebuildable).

A store implements a port and knows no flow. A new one is a package here, and passes the
contract suite of its port.
"""
