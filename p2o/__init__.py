"""Joint Policy and Prompt Optimization: train a language model and evolve its prompts together.

The path of one prompt is described in ``docs/architecture.md``; `p2o.train` wires the parts.
"""
