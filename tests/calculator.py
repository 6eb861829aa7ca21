"""An environment of several turns for the embedded world, used by tests of rollouts and of runs."""

from itertools import accumulate

from p2o.rollout.environment import EnvironmentFailed


class Calculator:
    """Writes the running totals where the policy calls it, and lets the policy give the answer.

    Args:
        word: What the policy says to call it.
        fails_at: Number of digits of the problems for which it is down.
    """

    def __init__(self, word: str = "Let", fails_at: int = 0) -> None:
        self.word, self.fails_at = word, fails_at

    async def run(self, problem, hint, sampler):
        call, answer = sampler.token(self.word), sampler.token("Answer:")
        digits = digits_of(problem)
        if len(digits) == self.fails_at:
            raise EnvironmentFailed(f"no totals of {len(digits)} digits")
        await sampler.sample(stop_token_ids=[call, answer])
        if sampler.token_ids[-1] == call:
            sampler.insert(" ".join(said(problem)))
            await sampler.sample(stop_token_ids=[answer])
        if sampler.token_ids[-1] == answer:
            await sampler.sample(max_new_tokens=2)


def digits_of(problem) -> list[int]:
    """The digits that a problem asks about."""
    return [int(word) for word in problem.question.split() if word.isdigit()]


def said(problem) -> list[str]:
    """The words that the calculator puts into a response."""
    return ["us", "go", "slowly.", *map(str, accumulate(digits_of(problem)))]
