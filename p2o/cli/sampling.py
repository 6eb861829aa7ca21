"""How a run samples, read from its configuration and compared with what the engine can do."""

from omegaconf import DictConfig
from transformers import PreTrainedTokenizerBase

from p2o.configuration.build import build
from p2o.errors import UserError, located
from p2o.rollout.engine import SamplingParameters, check_training_sampling

SAMPLED_IN = ("train", "evolution", "held_out")
"""Keys of ``sampling``."""


def make_sampling(
    config: DictConfig, tokenizer: PreTrainedTokenizerBase, limit: int | None
) -> dict[str, SamplingParameters]:
    """How a run samples in training, in searches and in evaluations, by their keys.

    Args:
        config: Of ``p2o-train``.
        tokenizer: The policy's.
        limit: Tokens of a prompt and a response that the engine takes; None for any number.

    Raises:
        UserError: Nothing could be trained on such samples, or there is no room for them.
    """
    sampling = {name: build(config.sampling[name], f"sampling.{name}") for name in SAMPLED_IN}
    with located("sampling.train"):
        check_training_sampling(sampling["train"])
    for name, each in sampling.items():
        check_room(config, name, limit)
        unknown = [token for token in each.stop_token_ids if token >= len(tokenizer)]
        if unknown:
            raise UserError(
                f"sampling.{name}.stop_token_ids: there is no token {unknown[0]}; the tokenizer "
                f"has 0 to {len(tokenizer) - 1}"
            )
    return sampling


def check_room(config: DictConfig, name: str, limit: int | None) -> None:
    """Refuse lengths that an engine has no room for, before it gets a prompt that shows it.

    Args:
        config: Of ``p2o-train``.
        name: Of what is sampled, a key of ``sampling``.
        limit: Tokens of a prompt and a response that the engine takes; None for any number.

    Raises:
        UserError: Names both settings and the engine's limit.
    """
    budget, length = config.data.max_prompt_tokens, config.sampling[name].max_new_tokens
    if limit is not None and budget + length > limit:
        raise UserError(
            f"sampling.{name}.max_new_tokens={length} and data.max_prompt_tokens={budget} are more "
            f"than the {limit} tokens that the engine takes; lower one of them, or raise "
            "rollout.max_length where that is what limits it"
        )
