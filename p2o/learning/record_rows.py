"""What happens in a run as rows of its records; see `p2o.records.schema`."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from p2o.data.table import ROW
from p2o.learning.rolled_out import Learned, RolledOut
from p2o.prompt import Prompt, hint_id
from p2o.records.schema import Rows
from p2o.rollout.runner import Rollout
from p2o_callbacks.candidates import Candidate
from p2o_callbacks.hint import as_hint, names_text
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.pool_files import Moment

SAMPLED = 10
"""With ``records.rollouts=sampled`` the rollouts of one problem in so many are kept."""


def is_sampled(problem: str) -> bool:
    """Whether a problem is one of those whose rollouts are kept where not all are."""
    return int(hashlib.sha256(problem.encode()).hexdigest()[:8], 16) % SAMPLED == 0


def rollout_rows(told: RolledOut, places: Sequence[tuple[int, int]], epoch: int, step: int) -> Rows:
    """Rows of the table ``rollouts``.

    Args:
        told: What was rolled out.
        places: Of the groups that are kept: as the table has it, and in `told`.
        epoch: At hand.
        step: Updates that the policy has behind it.
    """
    return [
        {"phase": told.phase, "epoch": epoch, "step": step, "group": group, "index": index}
        | _rollout(rollout)
        | _learned(told.learned.get((place, index)))
        for group, place in places
        for index, rollout in enumerate(told.groups[place])
    ]


def token_rows(
    told: RolledOut,
    places: Sequence[tuple[int, int]],
    epoch: int,
    step: int,
    pieces: Callable[[Sequence[int]], list[str]],
) -> Rows:
    """Rows of the table ``tokens``: of each group the first success with a hint that was scored.

    Args:
        told: What was rolled out.
        places: See `rollout_rows`.
        epoch: At hand.
        step: Updates that the policy has behind it.
        pieces: The text of each token.
    """
    rows = []
    for group, place in places:
        for index, rollout in enumerate(told.groups[place]):
            learned = told.learned.get((place, index))
            if learned is None or learned.log_ratios is None or not rollout.templated:
                continue
            ratios = learned.log_ratios.tolist()
            rows.append(
                {
                    "epoch": epoch,
                    "step": step,
                    "group": group,
                    "index": index,
                    "problem": rollout.prompt.id,
                    "hint": hint_id(rollout.hint),
                    "tokens": pieces(rollout.completion.sampled_ids[: len(ratios)]),
                    "log_ratios": ratios,
                }
            )
            break
    return rows


def _rollout(rollout: Rollout) -> dict[str, object]:
    score, completion = rollout.score, rollout.completion
    return {
        "problem": rollout.prompt.id,
        "source": rollout.prompt.source,
        "hint": hint_id(rollout.hint),
        "hinted": rollout.templated,
        "response": _text(rollout.response),
        "tokens": len(completion.sampled_ids),
        "finish_reason": completion.finish_reason,
        "reward": score.reward,
        "solved": score.solved,
        "status": score.status.value,
        "answer": None if score.answer is None else _text(score.answer),
        "detail": _text(score.detail),
    }


def _learned(learned: Learned | None) -> dict[str, object]:
    if learned is None:
        return {}
    return {
        "advantage": learned.advantage,
        "engine_kl": learned.engine_kl,
        "kept": learned.kept,
        "reliance": learned.reliance,
        "weight": learned.weight,
    }


def problem_rows(prompts: Iterable[Prompt], split: str) -> Rows:
    """Rows of the table ``problems``."""
    return [
        {
            "problem": prompt.id,
            "split": split,
            "source": prompt.source,
            "question": prompt.question,
            "gold": prompt.gold,
            "row": prompt.meta.get(ROW),
            "meta": _text(json.dumps(_without_row(prompt.meta), default=str, ensure_ascii=False)),
        }
        for prompt in prompts
    ]


def _without_row(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if name != ROW}


def hint_rows(texts: Iterable[str]) -> Rows:
    """Rows of the table ``hints``, one for each different text that is not empty."""
    return [
        # A hint that is more than a text is named by its content; see `p2o_callbacks.Hint.label`.
        {
            "hint": hint_id(text),
            "text": text,
            "kind": "instruction" if names_text(text) else "hint",
        }
        for text in dict.fromkeys(texts)
        if text.strip()
    ]


def hints_of(pool: PromptPool, candidates: Iterable[Candidate]) -> Iterator[str]:
    """Names of all candidates of a search, and of all templates of a pool."""
    yield from (candidate.text for candidate in candidates)
    yield from (template.label for template in pool.templates)


def candidate_rows(moment: Moment, candidates: Sequence[Candidate]) -> Rows:
    """Rows of the table ``candidates``, which numbers those of a search."""
    return [
        {
            **asdict(moment),
            "iteration": each.iteration,
            "candidate": number,
            "hint": hint_id(each.text),
            "parents": list(each.parents),
            "minibatch": list(each.minibatch),
            "score_before": list(each.score_before),
            "score_after": list(each.score_after),
            "dev_scores": [
                {"problem": problem, "score": score} for problem, score in each.dev_scores.items()
            ],
            "accepted": each.accepted,
            "reason": each.reason,
        }
        for number, each in enumerate(candidates)
    ]


def exchange_rows(moment: Moment, candidates: Sequence[Candidate]) -> Rows:
    """Rows of the table ``exchanges``; see `candidate_rows`."""
    return [
        {
            **asdict(moment),
            "iteration": each.iteration,
            "candidate": number,
            "prompt": _text(each.exchange.prompt),
            "answer": _text(each.exchange.answer),
            "cut_off": each.exchange.cut_off,
        }
        for number, each in enumerate(candidates)
        if each.exchange is not None
    ]


def pool_rows(moment: Moment, pool: PromptPool) -> Rows:
    """Rows of the table ``pool``."""
    return [
        {
            **asdict(moment),
            "problem": problem,
            "index": index,
            "hint": hint_id(as_hint(pool.hint_for(problem, index)).label),
        }
        for problem, assigned in pool.assignment.items()
        for index in range(len(assigned))
    ]


def _text(text: str) -> str:
    """Text that can be encoded: halves of surrogate pairs are spelled out."""
    return text.encode(errors="backslashreplace").decode()
