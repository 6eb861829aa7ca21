"""Generation configs that can be saved."""

import logging
import tempfile

from transformers import GenerationConfig

logger = logging.getLogger(__name__)


def savable(config: GenerationConfig, name: str = "model") -> GenerationConfig:
    """The same where transformers can save it, else one with its special tokens alone.

    Transformers loads many a config that it refuses to save, such as one with a temperature but
    without sampling. That must not be found out after the training, nor cost the weights.

    Args:
        config: A model's.
        name: Of the model, for the warning.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            config.save_pretrained(folder)
        return config
    except (ValueError, TypeError) as error:
        logger.warning(
            "%s: its generation config could not be saved (%s), so its special tokens alone are "
            "kept",
            name,
            " ".join(str(error).split())[:200],
        )
    padding = config.pad_token_id
    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        # A negative one is among what is refused.
        pad_token_id=None if padding is None or padding < 0 else padding,
    )
