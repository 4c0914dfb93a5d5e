"""Clocks: the system's, and one that a test turns by hand.

The only room that may ask the operating system for the time or wait for it.
"""
