"""What rolls prompts out, made in one place for training, evaluation and a look at the data."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig
from transformers import PreTrainedTokenizerBase

from p2o.configuration.build import build, call
from p2o.configuration.sections import Makes
from p2o.configuration.validation import ASKS
from p2o.errors import UserError
from p2o.rollout.engine import RolloutEngine
from p2o.rollout.environment import Environment
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.verifiers import GuardedVerifier, Verifier
from p2o.world.ancestry import is_of_the_world


@dataclass(frozen=True)
class RolloutParts:
    """A policy with all that its rollouts need.

    Attributes:
        model: The policy's network.
        tokenizer: Its tokenizer.
        engine: Samples tokens.
        renderer: Makes token ids of conversations.
        verifier: Scores responses.
        environment: What a response is sampled in.
        max_prompt_tokens: The prompt budget.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    engine: RolloutEngine
    renderer: ChatRenderer
    verifier: GuardedVerifier
    environment: Environment
    max_prompt_tokens: int

    def runner(
        self, engine: RolloutEngine | None = None, environment: Environment | None = None
    ) -> RolloutRunner:
        """What rolls prompts out.

        Args:
            engine: One around `engine`, such as one that counts; `engine` itself when left out.
            environment: The same, around `environment`.
        """
        return RolloutRunner(
            engine or self.engine,
            self.renderer,
            self.verifier,
            self.max_prompt_tokens,
            environment or self.environment,
        )


def assemble_rollout_parts(
    config: DictConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    verifier: GuardedVerifier,
    max_prompt_tokens: int,
) -> RolloutParts:
    """Put an engine and a renderer around a policy.

    Args:
        config: Of ``p2o-train`` or ``p2o-eval``; ``rollout``, ``renderer`` and
            ``environment`` are read.
        model: The policy's network, on its device.
        tokenizer: Its tokenizer.
        verifier: Scores responses.
        max_prompt_tokens: The prompt budget.

    Raises:
        UserError: A part refuses what it is given.
    """
    engine = build(config.rollout, "rollout", model=model)
    renderer = make_renderer(config, tokenizer)
    environment = build(config.environment, "environment")
    return RolloutParts(
        model, tokenizer, engine, renderer, verifier, environment, max_prompt_tokens
    )


def make_verifier(config: DictConfig) -> GuardedVerifier:
    """The configured verifier behind its guard.

    It needs no policy, which may take minutes to load, and it may not work on this machine; so
    commands make it first.

    Raises:
        UserError: A part refuses what it is given.
    """
    verifier = build(config.verifier, "verifier")
    objection = Makes(Verifier).objection_to(verifier)
    if objection is not None:
        raise UserError(f"verifier._target_={config.verifier._target_}: makes what {objection}")
    return call(GuardedVerifier, "verifier_guard", verifier=verifier, **config.verifier_guard)


def make_renderer(config: DictConfig, tokenizer: PreTrainedTokenizerBase) -> ChatRenderer:
    """The configured renderer.

    Raises:
        UserError: The tokenizer cannot be used, or a setting does not fit.
    """
    settings = {**config.renderer, "suffix": asked_suffix(config)}
    return call(ChatRenderer, "renderer", tokenizer=tokenizer, **settings)


def asked_suffix(config: DictConfig) -> str:
    """What stands behind each prompt: ``renderer.suffix``, or else the verifier's own sentence.

    The policies of the embedded world answer in the verifier's form anyway, and cannot read a
    sentence, so that theirs is empty.

    Args:
        config: Of ``p2o-train`` or ``p2o-eval``.
    """
    given: str | None = config.renderer.suffix
    if given is not None:
        return given
    sentence: str = config.verifier.get(ASKS) or ""
    return "" if not sentence or is_of_the_world(config.model.path) else f"\n\n{sentence}"
