"""Runs code that nobody has read: in processes of its own that can compute, and nothing else.

The files here import the standard library and each other alone. They also run in the bare
interpreters that this package starts, under the name ``sandbox``.
"""
