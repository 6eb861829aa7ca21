"""What came of a run: a summary, tables, a picture."""
