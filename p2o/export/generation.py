"""Generation configs that can be saved."""

import logging
import tempfile

from transformers import GenerationConfig

logger = logging.getLogger(__name__)


def savable(config: GenerationConfig) -> GenerationConfig:
    """The same where transformers can save it, else one with its special tokens alone.

    Transformers loads many a config that it refuses to save, such as one with a temperature but
    without sampling. That must not cost the weights.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            config.save_pretrained(folder)
        return config
    except (ValueError, TypeError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        logger.warning(
            "model: its generation config cannot be saved (%s); only its special tokens are",
            " ".join(lines[:2]),
        )
    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
