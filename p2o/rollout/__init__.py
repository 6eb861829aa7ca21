"""Engines, rendering, and the runner that turns (prompt, template) pairs into scored rollouts."""
