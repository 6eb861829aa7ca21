"""What a report shows: its tables and its charts, of one run and of several together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean
from typing import Any

from p2o.report.arms import Arms, by_seed, differences, final, has_ended
from p2o.report.asked import OTHER_PROBLEMS, same_problems
from p2o.report.chart_health import panel
from p2o.report.chart_hints import hint_tree
from p2o.report.chart_problems import river_chart, two_by_two_chart
from p2o.report.chart_spending import accuracy_chart, cost_chart
from p2o.report.charts import Spec, for_file, side_by_side
from p2o.report.health import flat_settings, guards, panels
from p2o.report.hints import HintNode
from p2o.report.intervals import FEWEST_SEEDS, Difference, bootstrap_mean
from p2o.report.problems import CELLS, STATES
from p2o.report.searches import Search
from p2o.report.spending import AXES, PHASES, cost, total
from p2o.report.story import RunStory
from p2o.report.tables import Table

MOST_REJECTED = 200
"""Candidates of a search that the page shows; the table of its files has all."""
UNCOUNTED = "what they spent is without evaluation"


@dataclass(frozen=True)
class Contents:
    """Everything that is shown.

    Attributes:
        stories: The runs, in the order in which they were given.
        arms: The same runs by arm.
        against: The arm that the others are compared with.
    """

    stories: Sequence[RunStory]
    arms: Arms
    against: str

    def differences(self, measure: str) -> dict[str, Difference]:
        """Of a final accuracy, each other arm against the chosen one; see `final`."""
        found = differences(self.arms, self.against, measure)
        return {
            arm: replace(each, says=f"{each.says} {OTHER_PROBLEMS}")
            if each.pairs and arm in self.asked_others
            else each
            for arm, each in found.items()
        }

    @cached_property
    def asked_others(self) -> set[str]:
        """Arms that were asked other held-out problems than the chosen one, for the same seed."""
        return {
            arm
            for arm in self.arms
            for own in self._ended(arm)
            for base in self._ended(self.against)
            if own.run.seed == base.run.seed and not same_problems(own, base)
        }

    def of_arm(self, arm: str) -> list[RunStory]:
        """The stories of an arm's runs."""
        runs = self.arms[arm]
        return [story for story in self.stories if any(story.run is run for run in runs)]

    def _ended(self, arm: str) -> list[RunStory]:
        return [story for story in self.of_arm(arm) if has_ended(story.run)]

    def _drawn(self, arm: str) -> list[RunStory]:
        """Those that an arm's curve is the mean of; a single run is drawn as far as it is."""
        own = self.of_arm(arm)
        return own if len(own) == 1 else self._ended(arm)

    def arm_of(self, story: RunStory) -> str:
        """The name of a run's arm."""
        return next(a for a, runs in self.arms.items() if any(story.run is run for run in runs))

    @cached_property
    def joint_charts(self) -> dict[str, Spec]:
        """Charts that all runs share, by name."""
        found: dict[str, Spec] = {}
        held_out = self.stories[0].run.summary.get("held_out") if len(self.stories) == 1 else None
        for axis in AXES:
            curves = {
                arm: [story.curves[axis] for story in self._drawn(arm) if axis in story.curves]
                for arm in self.arms
            }
            shown = {arm: own for arm, own in curves.items() if own}
            if shown:
                found[f"accuracy:{axis}"] = accuracy_chart(shown, axis, held_out)
        spent = {arm: cost(runs) for arm, runs in self.arms.items()}
        if any(spent.values()):
            found["cost"] = cost_chart(spent)
        return found

    @cached_property
    def run_charts(self) -> dict[RunStory, dict[str, dict[str, Spec]]]:
        """Charts of each run; see `run_charts`."""
        return {story: run_charts(story) for story in self.stories}

    @cached_property
    def tables(self) -> list[Table]:
        """All tables, those without a row left out."""
        made = [
            self._arms(),
            self._differences(),
            self._runs(),
            self._cost(),
            self._accuracy(),
            self._epochs(),
            self._river(),
            self._two_by_two(),
            self._hints(),
            self._rejected(),
            self._problems(),
            self._guards(),
            self._settings(),
        ]
        return [table for table in made if table.rows]

    def table(self, name: str) -> Table | None:
        """A table by its name; None where it has no row."""
        return next((table for table in self.tables if table.name == name), None)

    def _arms(self) -> Table:
        rows = []
        for arm, runs in self.arms.items():
            values = list(by_seed(runs, "accuracy").values())
            hard = list(by_seed(runs, "hard_accuracy").values())
            low, high = bootstrap_mean(values) if len(values) >= FEWEST_SEEDS else (None, None)
            spent = cost(runs)
            going = len(runs) - sum(map(has_ended, runs))
            row = [arm, len(values), going, mean(values) if values else None, low, high]
            row += [mean(hard) if hard else None]
            row += [total(spent, "rollouts") or None, total(spent, "seconds") or None]
            rows.append(row)
        columns = [
            "arm",
            "seeds",
            "not ended",
            "accuracy",
            "low",
            "high",
            "hard accuracy",
            "rollouts",
            "seconds",
        ]
        title = f"Final held-out accuracy, means over seeds; {UNCOUNTED}"
        return Table("arms", title, columns, rows)

    def _differences(self) -> Table:
        rows = []
        for measure, name in (("accuracy", "accuracy"), ("hard_accuracy", "hard accuracy")):
            for arm, each in self.differences(measure).items():
                low, high = each.interval or (None, None)
                rows.append([arm, name, each.pairs, each.mean, low, high, each.chance, each.says])
        columns = ["arm", "measure", "pairs", "difference", "low", "high", "p", "says"]
        return Table("differences", f"Differences to {self.against}, seed by seed", columns, rows)

    def _runs(self) -> Table:
        rows = []
        for story in self.stories:
            run = story.run
            spent = [
                total(story.cost, c) or None for c in ("rollouts", "generated_tokens", "seconds")
            ]
            before = (run.summary.get("accuracy") or {}).get("before")
            stopped = (
                "a guard" if run.summary.get("collapse") else "" if run.summary else "unfinished"
            )
            ends = [final(run, "accuracy"), final(run, "hard_accuracy")]
            rows.append([run.name, self.arm_of(story), run.seed, before, *ends, *spent, stopped])
        columns = ["run", "arm", "seed", "before", "after", "hard, after", "rollouts", "tokens"]
        return Table("runs", f"Runs; {UNCOUNTED}", [*columns, "seconds", "stopped by"], rows)

    def _cost(self) -> Table:
        phases = list(PHASES.values())
        rows = []
        for story in self.stories:
            for counter in dict.fromkeys(row["counter"] for row in story.cost):
                own = {
                    row["phase"]: row["amount"] for row in story.cost if row["counter"] == counter
                }
                amounts = [own[phase] for phase in phases]
                rows.append([story.run.name, counter, *amounts, sum(amounts)])
        return Table("cost", "What was spent", ["run", "of", *phases, "all"], rows)

    def _accuracy(self) -> Table:
        rows = [
            [story.run.name, axis, x, y]
            for story in self.stories
            for axis, curve in story.curves.items()
            for x, y in zip(*curve, strict=True)
        ]
        return Table(
            "accuracy", "Accuracy over spending", ["run", "axis", "spent", "accuracy"], rows
        )

    def _epochs(self) -> Table:
        rows = [[s.run.name, *row.values()] for s in self.stories for row in s.epochs]
        first = next((s.epochs[0] for s in self.stories if s.epochs), {})
        named = [column.replace("_", " ") for column in first]
        return Table("epochs", "Epochs", ["run", *named], rows)

    def _river(self) -> Table:
        rows = [
            [s.run.name, row["epoch"], *(row[k] for k in STATES)]
            for s in self.stories
            for row in s.river
        ]
        return Table("river", "Problems by state", ["run", "epoch", *STATES.values()], rows)

    def _two_by_two(self) -> Table:
        rows = []
        for story in self.stories:
            if story.two_by_two:
                for weights, hints in CELLS:
                    cell = story.two_by_two.cells[weights, hints]
                    rows.append([story.run.name, weights, hints, cell.share, cell.number])
        columns = ["run", "weights", "hint", "success rate", "problems"]
        return Table("two_by_two", "Weights and hints", columns, rows)

    def _hints(self) -> Table:
        rows = []
        for story in self.stories:
            for node in story.nodes:
                use = story.hint_use.get(node.hint)
                row: list[Any] = [story.run.name, *node.search, node.index, node.text]
                row += [" ".join(map(str, node.parents)), node.score, len(node.solved), node.in_use]
                row += [len(use.first), len(use.internalised), use.reliance] if use else [None] * 3
                rows.append(row)
        columns = ["run", "epoch", "step", "hint", "text", "parents"]
        columns += ["dev score", "dev solved", "in use"]
        columns += ["first solved", "later without it", "reliance"]
        return Table("hints", "Hints of each search", columns, rows)

    def _rejected(self) -> Table:
        rows = [
            [story.run.name, *node.search, node.index, node.text]
            + [" ".join(map(str, node.parents)), node.before, node.after, node.rejected]
            for story in self.stories
            for node in story.rejected
        ]
        columns = ["run", "epoch", "step", "hint", "text", "parents", "parent's score", "own score"]
        return Table("rejected", "Candidates that were not kept", [*columns, "why not"], rows)

    def _problems(self) -> Table:
        rows = [[s.run.name, *life.values()] for s in self.stories for life in s.lives]
        lived = next((list(s.lives[0]) for s in self.stories if s.lives), [])
        return Table("problems", "Lives of training problems", ["run", *lived], rows)

    def _guards(self) -> Table:
        rows = [
            [s.run.name, guard.name, guard.watches, guard.settings, "off" if guard.off else "on"]
            for s in self.stories
            for guard in guards(s.run)
        ]
        return Table("guards", "Guards", ["run", "guard", "watches that", "settings", "is"], rows)

    def _settings(self) -> Table:
        rows = [[s.run.name, k, v] for s in self.stories for k, v in flat_settings(s.run.config)]
        return Table("settings", "Configuration", ["run", "setting", "value"], rows)

    def figures(self) -> Iterator[tuple[str, Spec]]:
        """Charts as files: a name and what is drawn."""
        for name, spec in self.joint_charts.items():
            yield name.replace(":", "_over_"), for_file(spec)
        for number, story in enumerate(self.stories, start=1):
            suffix = f"_run{number}" if len(self.stories) > 1 else ""
            own = self.run_charts[story]
            for kind in ("river", "two"):
                if kind in own:
                    name = {"two": "two_by_two"}.get(kind, kind)
                    yield f"{name}{suffix}", for_file(own[kind][""])
            for search, spec in own.get("tree", {}).items():
                yield f"hints_{search}{suffix}", for_file(spec)
            if "health" in own:
                yield f"health{suffix}", side_by_side(list(own["health"].values()))


def searches(story: RunStory) -> dict[Search, list[HintNode]]:
    """The templates of a run by search."""
    found: dict[Search, list[HintNode]] = {}
    for node in story.nodes:
        found.setdefault(node.search, []).append(node)
    return found


def rejected(story: RunStory) -> dict[Search, list[HintNode]]:
    """What each search did not keep, at most `MOST_REJECTED`."""
    found: dict[Search, list[HintNode]] = {}
    for node in story.rejected:
        found.setdefault(node.search, []).append(node)
    return {search: nodes[:MOST_REJECTED] for search, nodes in found.items()}


def run_charts(story: RunStory) -> dict[str, dict[str, Spec]]:
    """Charts of one run: kind to name to chart; kinds of which there is one have the name ""."""
    found: dict[str, dict[str, Spec]] = {}
    if story.river:
        found["river"] = {"": river_chart(story.river)}
    if story.two_by_two:
        found["two"] = {"": two_by_two_chart(story.two_by_two)}
    trees = {
        search.key: hint_tree(nodes, story.hint_use)
        for search, nodes in searches(story).items()
        if any(node.text.strip() for node in nodes)
    }
    if trees:
        found["tree"] = trees
    kept = searches(story)
    whole = {
        search.key: hint_tree([*kept.get(search, []), *nodes], story.hint_use)
        for search, nodes in rejected(story).items()
    }
    if whole:
        found["whole"] = whole
    shown = panels(story.run)
    if shown:
        found["health"] = {
            str(place): panel(title, series) for place, (title, series) in enumerate(shown.items())
        }
    return found
