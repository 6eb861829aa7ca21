"""Which prompts are used: those with a gold answer that can be checked, within the budget."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from p2o.data.rejected import Rejected, leave_out
from p2o.data.sources import Split
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.rollout.rendering import ChatRenderer
from p2o.verifiers.base import Verifier

logger = logging.getLogger(__name__)

LOOKED_AT = 100
"""Prompts whose tokens are looked at."""
MOSTLY_UNKNOWN = 0.3
"""Share of unknown tokens above which a prompt cannot be read; a chat template's own are known."""


def each_once(split: Split) -> Split:
    """Drop prompts that are there again, and training prompts that are held out.

    A source of another's need not look for them. A held-out prompt that is there twice would count
    twice, as accuracies are known by the ids of prompts.
    """
    seen: set[str] = set()
    held_out = _not_seen(split.held_out, seen)
    train = _not_seen(split.train, seen)
    dropped = len(split.train) + len(split.held_out) - len(train) - len(held_out)
    if dropped:
        logger.warning(
            "%d prompts are there more than once, or held out and in training as well; each "
            "counts once, as a held-out one where it is both",
            dropped,
        )
    return Split(train, held_out)


def unusable_golds(prompts: Sequence[Prompt], verifier: Verifier) -> list[tuple[Prompt, str]]:
    """Prompts whose gold answer a verifier cannot use, whatever is answered, and why.

    None if the verifier is no `GoldChecker`.
    """
    check = getattr(verifier, "check_gold", None)
    if check is None:
        return []
    reasons: Sequence[str | None] = check(prompts)
    return [(p, reason) for p, reason in zip(prompts, reasons, strict=True) if reason is not None]


def with_usable_golds(
    split: Split, unusable: Sequence[tuple[Prompt, str]], max_unusable_golds: float
) -> Split:
    """Drop prompts whose gold answer the verifier cannot use.

    Args:
        split: All prompts.
        unusable: What `unusable_golds` found among them.
        max_unusable_golds: Highest share of them.

    Raises:
        UserError: There are more; ten of them are named.
    """
    prompts = [*split.train, *split.held_out]
    reasons = {prompt.id: reason for prompt, reason in unusable}
    leave_out(
        [Rejected(_row_name(p), reasons[p.id]) for p in prompts if p.id in reasons],
        len(prompts),
        max_unusable_golds,
        "gold answers that the verifier cannot use",
        "max_unusable_golds",
    )
    return _without(split, reasons)


def within_budget(
    split: Split, renderer: ChatRenderer, max_prompt_tokens: int, overlong: str
) -> Split:
    """Drop or refuse prompts that are over the prompt budget without any template; never cut one.

    Args:
        split: All prompts.
        renderer: Makes tokens of them.
        max_prompt_tokens: The budget.
        overlong: ``drop`` or ``refuse``.

    Raises:
        UserError: There are such prompts and they are to be refused, or no prompt is left.
    """
    if overlong not in ("drop", "refuse"):
        raise UserError(f"overlong={overlong}: give drop or refuse")
    excess: dict[str, int] = {}
    for name, prompts in (("train", split.train), ("held_out", split.held_out)):
        lengths = {prompt.id: _length(prompt, renderer) for prompt in prompts}
        excesses = {key: length - max_prompt_tokens for key, length in lengths.items()}
        over = {key: tokens for key, tokens in excesses.items() if tokens > 0}
        if over and overlong == "refuse":
            worst = max(over, key=over.__getitem__)
            raise UserError(
                f"max_prompt_tokens={max_prompt_tokens}: {len(over)} of {len(prompts)} {name} "
                f"prompts are longer, {worst} by {over[worst]} tokens; raise it, or leave them out "
                "by overlong=drop"
            )
        if over:
            logger.warning(
                "%d of %d %s prompts are over max_prompt_tokens=%d and left out",
                len(over),
                len(prompts),
                name,
                max_prompt_tokens,
            )
        excess |= over
    return _without(split, excess)


def warn_of_unknown_words(split: Split, renderer: ChatRenderer) -> None:
    """Say so where the policy's tokenizer has no tokens for most of what is asked.

    Args:
        split: The prompts that are used; the first hundred are looked at.
        renderer: Makes tokens of them.
    """
    unknown: Any = renderer.tokenizer.unk_token_id
    if unknown is None:
        return
    tokens = [token for p in split.train[:LOOKED_AT] for token in renderer.render(p.messages)]
    share = tokens.count(unknown) / max(1, len(tokens))
    if share > MOSTLY_UNKNOWN:
        logger.warning(
            "%.0f %% of the tokens of these prompts are unknown words to the model, which cannot "
            "read them; choose another model",
            100 * share,
        )


def _not_seen(prompts: Sequence[Prompt], seen: set[str]) -> list[Prompt]:
    """Those whose ids are not in `seen`, each once; adds theirs to it."""
    kept = []
    for prompt in prompts:
        if prompt.id not in seen:
            seen.add(prompt.id)
            kept.append(prompt)
    return kept


def _without(split: Split, ids: Mapping[str, object]) -> Split:
    kept = {
        "train": [prompt for prompt in split.train if prompt.id not in ids],
        "held_out": [prompt for prompt in split.held_out if prompt.id not in ids],
    }
    for name, prompts in kept.items():
        if not prompts:
            raise UserError(f"no {name} prompts are left; check the source and its sizes")
    return Split(**kept)


def _length(prompt: Prompt, renderer: ChatRenderer) -> int:
    try:
        return len(renderer.render(prompt.messages))
    except UserError as error:
        raise UserError(f"{_row_name(prompt)}: {error}") from error


def _row_name(prompt: Prompt) -> str:
    row = prompt.meta.get("row")
    name = f"prompt {prompt.id}" if row is None else f"row {row}"
    return f"{name} of {prompt.source}" if prompt.source else name
