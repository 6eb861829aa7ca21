"""Prompts: sources, rendering, and the loader that turns prompts into scored mini-batches."""
