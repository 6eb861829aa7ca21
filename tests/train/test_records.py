"""A run leaves records of all that it did."""

import json

import pytest

from p2o.cli.show import show
from p2o.prompt import hint_id
from p2o.records import epochs, lives, read

pytestmark = pytest.mark.slow

SMALL = (
    *("data.source.train=24", "data.source.short_share=0.25", "data.source.held_out=8"),
    *("data.batch=8", "data.mini_batch=4", "trainer.max_epochs=3", "seed=3"),
    *("evolution.evolver.budget=200", "evolution.evolver.dev_size=6"),
    *("evolution.evolver.minimum=4", "save_policy=null"),
)
PLACE = ["phase", "epoch", "step", "group", "index"]


@pytest.fixture
def run(train_here):
    return train_here(*SMALL)


def test_every_rollout_that_was_paid_for_is_on_record_once(run, capsys):
    records = read(run)
    summary = json.loads((run / "summary.json").read_text())
    paid = {phase: counts["rollouts"] for phase, counts in summary["ledger"].items()}
    places = list(records.rows("rollouts", PLACE))
    assert len(set(places)) == len(places) == sum(paid.values())
    for phase, name in (("training", "train"), ("evolution", "evolution")):
        assert sum(place[0] == phase for place in places) == paid[name]
    # Before training and after each epoch.
    held_out = {place[1] for place in places if place[0] == "held_out"}
    assert held_out == {-1, 0, 1, 2}
    accuracy = epochs(records).to_pylist()[-1]["held_out_accuracy"]
    assert accuracy == pytest.approx(summary["accuracy"]["after"])
    assert_hints(run, summary)
    assert_learned(records)
    assert_tokens(records)
    capsys.readouterr()
    show(run)
    said = capsys.readouterr().out
    for question in ("What did it learn to say?", "Which problems", "Do they still need it?"):
        assert question in said


def assert_hints(run, summary):
    """Hints, pool and candidates are those of the files of the evolution."""
    records = read(run)
    texts = records.texts()
    for template in summary["templates"]:
        assert texts[hint_id(template["text"])] == template["text"]
    found: set[str] = set()
    for path in sorted((run / "evolution").glob("epoch_*.json")):
        pool, epoch = json.loads(path.read_text()), int(path.stem.removeprefix("epoch_"))
        given = {
            (problem, index, "" if drawn is None else pool["templates"][drawn]["text"])
            for problem, indices in pool["assignment"].items()
            for index, drawn in enumerate(indices)
        }
        rows = records.rows("pool", ["problem", "index", "hint"], epoch=epoch)
        assert {(problem, index, texts[hint]) for problem, index, hint in rows} == given
        rows = records.rows("candidates", ["hint"], epoch=epoch, accepted=True)
        accepted = [texts[hint] for (hint,) in rows]
        # Behind them stand templates of earlier searches that still work.
        before, names = found, [template["text"] for template in pool["templates"]]
        assert names[: len(accepted)] == accepted
        found = before | {*accepted}
        assert {*names[len(accepted) :]} <= before
    assert any(life["unlocked"] is not None for life in lives(records).to_pylist())
    assert {split for (split,) in records.rows("problems", ["split"])} == {"train", "held_out"}
    assert records.problems().num_rows == 32


def assert_learned(records):
    """Advantages sum to nothing in a group; what a template adds is known where it was scored."""
    groups = {}
    columns = ["epoch", "group", "reward", "advantage", "hinted", "reliance", "kept", "weight"]
    for row in records.rows("rollouts", columns, phase="training"):
        groups.setdefault(row[:2], []).append(row[2:])
    assert len(groups) == 3 * 24
    for rows in groups.values():
        assert sum(row[1] for row in rows) == pytest.approx(0, abs=1e-4)
        for reward, advantage, hinted, reliance, kept, _ in rows:
            assert (reward == max(row[0] for row in rows)) >= (advantage > 0)
            assert (reliance is None) == (kept is None)
            assert reliance is None or hinted
    assert any(row[3] is not None for rows in groups.values() for row in rows)
    assert {row[5] for rows in groups.values() for row in rows} > {1.0}


def assert_tokens(records):
    """Of each problem and epoch one success with a hint, whose ratios make up its reliance."""
    columns = ["epoch", "group", "index", "problem", "hint"]
    trained = {
        row[:5]: row[5:]
        for row in records.rows(
            "rollouts",
            [*columns, "response", "reliance", "tokens"],
            phase="training",
            hinted=True,
            solved=True,
        )
    }
    rows = records.tokens().to_pylist()
    assert rows
    assert len({(row["epoch"], row["problem"]) for row in rows}) == len(rows)
    for row in rows:
        response, reliance, tokens = trained[tuple(row[name] for name in columns)]
        assert len(row["tokens"]) == len(row["log_ratios"]) == tokens
        assert "".join(row["tokens"]).startswith(response)
        assert -sum(row["log_ratios"]) / tokens == pytest.approx(reliance, abs=1e-4)


@pytest.mark.parametrize(("kept", "fewest"), [("sampled", 1), ("none", 0)])
def test_fewer_rollouts_are_kept_where_that_is_asked_for(train_here, kept, fewest):
    records = read(train_here(*SMALL, "trainer.max_epochs=1", f"records.rollouts={kept}"))
    problems = {problem for (problem,) in records.rows("rollouts", ["problem"])}
    assert fewest <= len(problems) <= fewest * 16
    for problem in problems:
        number = records.query("rollouts", problem=problem, epoch=0, phase="training").num_rows
        assert number in (0, 6)
    assert records.problems().num_rows == 32
    assert records.hard().num_rows > 0
