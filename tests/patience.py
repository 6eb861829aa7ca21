"""How long tests wait for what may never end; nothing else in them depends on the time."""

HANGS = 1800.0
"""Seconds after which a process hangs, however busy the machine."""
