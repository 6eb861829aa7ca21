"""Joint Policy and Prompt Optimization: train a language model and evolve its prompts together.

The path of one prompt is described in ``docs/architecture.md``; `p2o.cli.train` wires the parts.
"""

import logging

__version__ = "0.1.0"

# Where torchao is installed transformers imports it, and it tells of kernels for other machines.
logging.getLogger("torchao").setLevel(logging.ERROR)
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
