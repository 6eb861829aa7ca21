"""Hints, which stand around a prompt: insertion, columns, set cover, assignment, the problems."""
