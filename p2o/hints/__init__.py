"""Hints, which are templates in front of a prompt: insertion, set cover, assignment."""
