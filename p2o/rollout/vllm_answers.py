"""What a vLLM server answers, and whether that is what it was asked."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from p2o.rollout.engine import Completion, SamplingParameters

LARGEST_LOG_PROB = 1e-3
"""What rounding may make of the logarithm of one."""


class Model(BaseModel):
    """What a server says of a model that it serves."""

    id: str
    max_model_len: int = Field(gt=0)


class Models(BaseModel):
    """All models of a server."""

    data: list[Model] = Field(min_length=1)


class _LogProbs(BaseModel):
    token_logprobs: list[FiniteFloat]


class _LogProb(BaseModel):
    logprob: FiniteFloat


class _Choice(BaseModel):
    # A number that is written as text, or with a point, is none.
    model_config = ConfigDict(strict=True)
    token_ids: list[int] = Field(default=[])
    finish_reason: Literal["stop", "length"]
    logprobs: _LogProbs | None = None
    prompt_logprobs: list[dict[str, _LogProb] | None] | None = None


class _Completions(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


def read(kind: type[BaseModel], answer: bytes) -> Any:
    """An answer of a kind.

    Raises:
        ValueError: It is of another kind; says where, in one line.
    """
    try:
        return kind.model_validate_json(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


def read_completion(sampling: SamplingParameters, vocabulary: int, answer: bytes) -> Completion:
    """The completion of an answer.

    Raises:
        ValueError: It is none that was asked for.
    """
    choice: _Choice = read(_Completions, answer).choices[0]
    tokens = tuple(choice.token_ids)
    if not 1 <= len(tokens) <= sampling.max_new_tokens:
        raise ValueError(
            f"{len(tokens)} tokens where 1 to {sampling.max_new_tokens} were asked for"
        )
    strange = [token for token in tokens if not 0 <= token < vocabulary]
    if strange:
        raise ValueError(f"token {strange[0]} is none of the {vocabulary} of the vocabulary")
    log_probs = (0.0,) * len(tokens)
    if sampling.temperature != 0:
        log_probs = tuple(choice.logprobs.token_logprobs) if choice.logprobs else ()
    if len(log_probs) != len(tokens) or max(log_probs) > LARGEST_LOG_PROB:
        raise ValueError(f"no log-probability for each of {len(tokens)} tokens")
    return Completion(tokens, choice.finish_reason, log_probs)


def read_scores(sequence: Sequence[int], answer: bytes) -> list[float]:
    """Log-probabilities of all tokens of a sequence but the first.

    Raises:
        ValueError: They are not there.
    """
    places = read(_Completions, answer).choices[0].prompt_logprobs or []
    found = [
        place[str(token)].logprob
        for token, place in zip(sequence[1:], places[1:], strict=False)
        if place and str(token) in place
    ]
    if len(places) != len(sequence) or len(found) != len(sequence) - 1:
        raise ValueError(f"no log-probability for each of {len(sequence)} tokens of a prompt")
    return found
