"""A verifier for each source of prompts."""

from collections.abc import Iterator, Mapping, Sequence

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.base import Score, Verifier, highest_reward
from p2o.verifiers.checked import ask


class BySource:
    """Has each response scored by the verifier of its prompt's source, in one call a verifier.

    Args:
        verifiers: By the name of a source, `Prompt.source`: in training those of a mixture, in an
            evaluation the benchmarks. Null leaves one out.

    Raises:
        UserError: There is none.
    """

    def __init__(self, verifiers: Mapping[str, Verifier | None]) -> None:
        self.verifiers = {name: each for name, each in verifiers.items() if each is not None}
        if not self.verifiers:
            raise UserError("verifiers: give one for each source, {NAME: {_target_: ...}}")
        for name, verifier in self.verifiers.items():
            if not isinstance(verifier, Verifier):
                raise UserError(f"verifiers.{name}: it scores nothing; name a class with score")

    @property
    def highest(self) -> float:
        """What each of them can give: the least of the most that they give."""
        return min(map(highest_reward, self.verifiers.values()))

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            UserError: A source has no verifier, or its verifier does not give one score for each.
        """
        scores: dict[int, Score] = {}
        for name, verifier, places in self._parts(prompts):
            given = ask(
                f"verifiers.{name}",
                verifier,
                [responses[place] for place in places],
                [prompts[place] for place in places],
            )
            scores |= zip(places, given, strict=True)
        return [scores[place] for place in range(len(responses))]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `p2o.verifiers.GoldChecker`.

        Raises:
            UserError: A source has no verifier.
        """
        reasons: dict[int, str | None] = dict.fromkeys(range(len(prompts)))
        for _, verifier, places in self._parts(prompts):
            check = getattr(verifier, "check_gold", None)
            if check is not None:
                reasons |= zip(places, check([prompts[place] for place in places]), strict=True)
        return [reasons[place] for place in range(len(prompts))]

    def _parts(self, prompts: Sequence[Prompt]) -> Iterator[tuple[str, Verifier, list[int]]]:
        """Each verifier that is needed, and where its prompts stand."""
        places: dict[str, list[int]] = {}
        for place, prompt in enumerate(prompts):
            places.setdefault(prompt.source, []).append(place)
        for name in places:
            if name not in self.verifiers:
                there = ", ".join(self.verifiers)
                wanted = f"source {name}" if name else "prompts without a source"
                raise UserError(f"verifiers: none for {wanted}; there are {there}; add it")
        for name, own in places.items():
            yield name, self.verifiers[name], own
