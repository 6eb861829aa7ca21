"""Sampling in one batch that rows leave when they have ended, and others join.

Each distinct prompt is read once, for all its rollouts.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.prefill import Reading, joined, read, read_on
from p2o.rollout.token_draws import completion, draw_tokens, uniforms
from p2o.running.counted import advance

SPARE = 8
"""One row in so many has to have ended before the batch is put together anew, which copies it."""


class Drawn(NamedTuple):
    """What N rows have drawn so far, of at most T tokens.

    Attributes:
        places: Among the prompts of a call, `[N]`.
        numbers: To draw by, `[N, T]`.
        tokens: `[N, T]`, from `counts` on with anything.
        log_probs: Of the tokens, `[N, T]`.
        counts: Tokens drawn, `[N]`; a row goes on after its end while it stays in the batch.
        ended: Whether an end token is among them, `[N]`.
    """

    places: Tensor
    numbers: Tensor
    tokens: Tensor
    log_probs: Tensor
    counts: Tensor
    ended: Tensor

    @classmethod
    def nothing(cls, places: Sequence[int], numbers: Tensor) -> "Drawn":
        """Rows that begin."""
        counts = torch.zeros(len(places), dtype=torch.long, device=numbers.device)
        tokens = torch.zeros_like(numbers, dtype=torch.long)
        log_probs = torch.zeros_like(numbers, dtype=torch.float32)
        return cls(
            torch.tensor(places, dtype=torch.long, device=numbers.device),
            numbers,
            tokens,
            log_probs,
            counts,
            counts.bool(),
        )

    def pick(self, rows: Tensor) -> "Drawn":
        """Some of the rows."""
        return Drawn(*(part[rows] for part in self))

    def join(self, other: "Drawn") -> "Drawn":
        """These rows and others."""
        return Drawn(*(torch.cat(pair) for pair in zip(self, other, strict=True)))

    def draw(self, logits: Tensor, sampling: SamplingParameters, ends: Tensor) -> Tensor:
        """Draw the next token of each row, `[N]`."""
        column = self.counts[:, None]
        tokens, log_probs = draw_tokens(logits, self.numbers.gather(1, column)[:, 0], sampling)
        self.tokens.scatter_(1, column, tokens[:, None])
        self.log_probs.scatter_(1, column, log_probs[:, None])
        self.ended.logical_or_(torch.isin(tokens, ends))
        self.counts.add_(1)
        return tokens

    def full(self) -> Tensor:
        """Which rows have no room for another token."""
        return self.counts == self.tokens.shape[1]

    def completions(self, ends: Sequence[int]) -> dict[int, Completion]:
        """By place."""
        columns = zip(
            self.places.tolist(),
            self.counts.tolist(),
            self.tokens.cpu(),
            self.log_probs.cpu(),
            strict=True,
        )
        return {
            place: completion(tokens[:count].tolist(), log_probs[:count].tolist(), ends)
            for place, count, tokens, log_probs in columns
        }


class Waiting:
    """Prompts whose rollouts have no place in the batch yet, the shortest first.

    Args:
        model: Reads them.
        prompts: Of a call; the same one may be there many times.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self.model = model
        places: dict[tuple[int, ...], list[int]] = {}
        for place, prompt in enumerate(prompts):
            places.setdefault(tuple(prompt), []).append(place)
        self._unread = deque(sorted(places.items(), key=lambda item: (len(item[0]), item[1][0])))
        # What was read for more rollouts than there was room for: one prompt.
        self._read: Reading | None = None
        self._left: list[int] = []

    def __bool__(self) -> bool:
        """Whether any rollout waits."""
        return bool(self._unread or self._left)

    def take(self, count: int) -> tuple[Reading, list[int]]:
        """The next rollouts, `count` at most: what was read for them, and their places."""
        groups, reading = [self._left] if self._left else [], self._read
        room, prompts = count - len(self._left), []
        while room > 0 and self._unread:
            prompt, places = self._unread.popleft()
            prompts.append(prompt)
            groups.append(places)
            room -= len(places)
        if prompts:
            reading = joined(reading, read(self.model, prompts))
        assert reading is not None
        owners = [group for group, places in enumerate(groups) for _ in places][:count]
        places = [place for group in groups for place in group]
        self._left = places[count:]
        self._read = reading.picked([len(groups) - 1]) if self._left else None
        reading.pick(owners)
        return reading, places[:count]


@torch.no_grad()
def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingParameters,
    seeds: Sequence[int],
    ends: Sequence[int],
    max_rows: int,
) -> list[Completion]:
    """Sample one completion for each prompt.

    Args:
        model: See `p2o.rollout.prefill.rows_can_join`.
        prompts: Token ids.
        sampling: How to draw tokens.
        seeds: Of the prompts.
        ends: Tokens that end a completion.
        max_rows: Rows in the batch.
    """
    waiting, found = Waiting(model, prompts), {}
    end_tokens = torch.tensor(ends, device=model.device)
    reading: Reading | None = None
    nobody = torch.zeros(0, sampling.max_new_tokens, dtype=torch.float64, device=model.device)
    drawn = Drawn.nothing([], nobody)
    while waiting or reading:
        if waiting and len(drawn.places) < max_rows:
            more, places = waiting.take(max_rows - len(drawn.places))
            numbers = uniforms([seeds[place] for place in places], sampling.max_new_tokens)
            drawn = drawn.join(Drawn.nothing(places, numbers.to(model.device)))
            reading = joined(reading, more)
        assert reading is not None
        tokens = drawn.draw(reading.logits, sampling, end_tokens)
        over = drawn.ended | drawn.full()
        advance()
        if (over.sum() * SPARE >= len(over)) | drawn.full().any():
            found |= drawn.pick(over).completions(ends)
            rows = (~over).nonzero()[:, 0]
            advance(len(over) - len(rows))
            drawn, tokens = drawn.pick(rows), tokens[rows]
            if not len(rows):
                reading = None
                continue
            reading.pick(rows)
        read_on(model, reading, tokens)
    return [found[place] for place in range(len(prompts))]
