"""Sentences about which arm is better, held against what was measured."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from p2o.bench.outcomes import Difference, Result
from p2o.errors import UserError


@dataclass(frozen=True)
class Verdict:
    """What the runs say to a claim.

    Attributes:
        claim: The sentence.
        by: The accuracy that decides; see `Result.accuracies`.
        difference: Of the arm that should be better minus the other; None where runs are missing.
        word: ``held``, ``not held`` or ``open``.
    """

    claim: str
    by: str
    difference: Difference | None
    word: str


def check_claims(claims: Mapping[str, Mapping[str, str]], arms: Collection[str]) -> None:
    """Refuse a claim about an arm that does not exist.

    Args:
        claims: As `p2o.bench.settings.ClaimSettings` has them.
        arms: Names of all that there are, in this bench or not.

    Raises:
        UserError: Names the claim and the arm.
    """
    for name, claim in claims.items():
        for side in ("better", "than"):
            if claim[side] not in arms:
                raise UserError(
                    f"claims.{name}.{side}={claim[side]}: no such arm; there are "
                    f"{', '.join(sorted(arms))}"
                )


def judge(claims: Mapping[str, Mapping[str, str]], results: Mapping[str, Result]) -> list[Verdict]:
    """Hold every claim against the runs whose two arms are in the bench.

    A claim is held when the whole interval of the difference is above 0, not held when it is not
    above 0 anywhere, and open in between or where seeds are too few for an interval.

    Args:
        claims: As `p2o.bench.settings.ClaimSettings` has them.
        results: Of all arms, by name.
    """
    verdicts = []
    for claim in claims.values():
        if not {claim["better"], claim["than"]} <= results.keys():
            continue
        by = claim.get("by", "along")
        difference = results[claim["better"]].compared_with(results[claim["than"]], by)
        verdicts.append(Verdict(claim["claim"], by, difference, _word(difference)))
    return verdicts


def _word(difference: Difference | None) -> str:
    if difference is None or difference.interval is None:
        return "open"
    low, high = difference.interval
    if low > 0:
        return "held"
    return "not held" if high <= 0 else "open"
