"""Evaluation on benchmarks: every completion kept, intervals, templates at inference time."""
