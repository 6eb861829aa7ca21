"""Data sets: sources of prompts, how rows become prompts, and which of them are used."""
