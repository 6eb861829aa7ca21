"""What came of a bench as a page of Markdown, which names the command that repeats it."""

from collections.abc import Iterable

from p2o.bench.findings import Findings
from p2o.bench.outcomes import ENOUGH_SEEDS, Result
from p2o.bench.tables import accuracy_cells, claim_cells, markdown, spending_cells
from p2o.running.secrets import hide_settings


def page(findings: Findings, title: str, text: str, command: str, figure: str | None) -> str:
    """The page.

    Args:
        findings: What came of the bench.
        title: Its heading.
        text: What it is about.
        command: That makes the page anew.
        figure: Where the curves are, seen from the page; None without.
    """
    results = findings.results.values()
    parts = [
        f"# {title}\n",
        f"{text.strip()}\n",
        f"```bash\n{command}\n```\n",
        f"Every run may spend {findings.budget}; template search counts, held-out evaluation does "
        f"not. Up to {max(len(result.outcomes) for result in results)} seeds an arm.\n",
        "## Accuracy\n",
        markdown(accuracy_cells(findings)),
        f"{ACCURACY} *{findings.learned:.0%} at*: what had been spent, and how many seeds got "
        "there.\n",
    ]
    if figure is not None:
        parts += [f"![Held-out accuracy over what was spent]({figure})\n", SHADE]
    if findings.verdicts:
        parts += ["## Claims\n", markdown(claim_cells(findings)), CLAIMS]
    parts += ["## What was spent\n", markdown(spending_cells(findings)), SPENDING]
    parts += ["## The arms\n", markdown(_arms(results), right=False)]
    if findings.failures:
        rows = [["run", "last line of its log"], *map(list, findings.failures.items())]
        parts += ["## What did not end\n", markdown(rows, right=False)]
    return "\n".join(parts)


ACCURACY = (
    "All figures are per cent on held-out problems, without any template unless the arm says "
    "otherwise; mean ± standard deviation over seeds. *end*: when the budget was spent; *hard*: "
    "the same on problems that the untrained policy never solved. *along*: mean accuracy while the "
    "budget was spent, each measurement holding until the next; it tells arms apart that all end "
    "alike. *minus*: difference of that, seed by seed, with its 95 % bootstrap interval over seeds "
    f"where there are at least {ENOUGH_SEEDS}."
)
SHADE = (
    "The line is the mean over seeds, and the shade its 95 % bootstrap interval; of fewer than "
    f"{ENOUGH_SEEDS} seeds their range.\n"
)
CLAIMS = (
    "Measured is the difference between two arms, seed by seed, in points of per cent: of the mean "
    "along the way or, where the claim says so, of accuracy at the end, which is all that an arm "
    "measured with templates has. A claim is held where the whole interval is above 0, not held "
    "where no part of it is, and open in between or without an interval.\n"
)
SPENDING = (
    "Means over seeds. Metric calls are rollouts of the search, and are counted among the rollouts "
    "too. Generated tokens are those of rollouts, reflection tokens those of whoever writes "
    "templates. Scored tokens went through the network without a gradient, for old "
    "log-probabilities and masks, trained ones with it. Seconds depend on what else the machine "
    "does.\n"
)


def _arms(results: Iterable[Result]) -> list[list[str]]:
    rows = [["arm", "what it is", "settings"]]
    for result in results:
        settings = " ".join(map(hide_settings, result.arm.overrides))
        rows.append([result.arm.label, result.arm.sentence, f"`{settings}`" if settings else ""])
    return rows
