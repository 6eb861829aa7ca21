"""What a reader sees: tables that fit 80 columns, the page, claims and numbers."""

import csv
import io

import pytest

from p2o.accounting.ledger import COUNTERS, PHASES
from p2o.bench.arms import Arm
from p2o.bench.claims import check_claims, judge
from p2o.bench.findings import Findings
from p2o.bench.outcomes import EndedRun, Result
from p2o.bench.page import page
from p2o.bench.tables import accuracy_cells, claim_cells, numbers, shown, spending_cells, without
from p2o.errors import UserError
from p2o.running.terminal import Terminal

LONG = "a long name of an arm that takes more than its share of the line"


def outcome(seed, after, learned_at=None, collapse=None):
    ledger = {phase: dict.fromkeys(COUNTERS, 100_000) for phase in PHASES}
    summary = {
        "accuracy": {"before": 0.25, "after": after},
        "hard_accuracy": {"after": after},
        "collapse": collapse,
        "ledger": ledger,
    }
    curve = [(0.0, 0.25), (5000.0 if learned_at is None else learned_at, after)]
    return EndedRun(seed, summary, curve)


def findings(**more):
    first = Arm("first", LONG, "The first | one", ("evolution=none", "seed=0"))
    second = Arm("second", "short", "The second one", ())
    results = {
        "first": Result(first, [outcome(0, 1.0, 4000.0), outcome(1, 0.5)], 0, 10_000),
        "second": Result(second, [outcome(0, 0.0, collapse="training has collapsed")], 1, 10_000),
    }
    claims = {"one": {"claim": "the first is better", "better": "first", "than": "second"}}
    return Findings(
        results,
        {"short, seed 1": "error: no such file"},
        judge(claims, results),
        "first",
        0.9,
        "10,000 rollouts",
        "rollouts",
        **more,
    )


def printed(title, cells):
    console = Terminal(width=80)
    with console.capture() as capture:
        console.print(shown(title, cells))
    return capture.get()


def test_tables_fit_80_columns_and_keep_numbers_whole_beside_a_long_name():
    found = findings()
    accuracy = printed("Accuracy", without(accuracy_cells(found), "hard"))
    for number in ("75.0 ± 35.4", "12.5", "-57.5", "4,000 (1/2)", "(0/1)"):
        assert number in accuracy
    # Of a single seed there is no deviation.
    assert "± 0.0" not in accuracy
    spending = printed("Spent", spending_cells(found))
    assert "300k" in spending
    claims = printed("Claims", claim_cells(found))
    for text in (accuracy, spending, claims):
        assert all(len(line) <= 80 for line in text.splitlines())


def test_what_did_not_end_and_what_collapsed_stands_beside_the_arm():
    rows = accuracy_cells(findings())
    assert rows[2][0] == "short (1 not ended, 1 collapsed)"


def test_an_arm_without_any_run_has_a_row_all_the_same():
    found = findings()
    results = {**found.results, "third": Result(Arm("third", "third", "", ()), [], 2, 10_000)}
    empty = Findings(results, {}, [], "first", 0.9, "10,000 rollouts", "rollouts")
    assert accuracy_cells(empty)[3] == ["third (2 not ended)", "-", "-", "-", "-", "(0/0)"]
    assert set(spending_cells(empty)[3][1:]) == {"-"}


def test_spending_is_that_of_the_method_and_not_of_evaluation():
    [_, *rows] = csv.reader(io.StringIO(numbers(findings())))
    header = next(csv.reader(io.StringIO(numbers(findings()))))
    assert [row[header.index("rollouts")] for row in rows] == ["300000"] * 3


def test_numbers_have_a_row_for_each_run():
    rows = list(csv.DictReader(io.StringIO(numbers(findings()))))
    assert [(row["arm"], row["seed"]) for row in rows] == [
        *(("first", "0"), ("first", "1"), ("second", "0"))
    ]
    assert [row["learned_at"] for row in rows] == ["4000.0", "", ""]
    assert [row["collapsed"] for row in rows] == ["False", "False", "True"]
    assert [float(row["mean_accuracy"]) for row in rows] == pytest.approx([0.7, 0.375, 0.125])


def test_the_page_repeats_no_key():
    arm = Arm("one", "One", "With a teacher", ("reflection.api_key=sk-1234567890abcdef",))
    result = Result(arm, [outcome(0, 0.5)], 0, 10_000)
    found = Findings({"one": result}, {}, [], "one", 0.9, "10,000 rollouts", "rollouts")
    text = page(found, "A title", "What it is.", "p2o-bench", None)
    assert "| `reflection.api_key=***` |" in text


def test_the_page_tells_how_to_make_it_what_it_shows_and_what_is_missing():
    text = page(findings(), "A title", "What it is.", "p2o-bench seeds=2", "curves.svg")
    assert text.startswith("# A title\n\nWhat it is.\n\n```bash\np2o-bench seeds=2\n```\n")
    assert "![Held-out accuracy over what was spent](curves.svg)" in text
    assert "| short, seed 1 | error: no such file |" in text
    assert "The first \\| one" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    bars = [line.replace("\\|", "").count("|") for line in tables]
    heads = [index for index, line in enumerate(tables) if line.startswith("| ---")]
    assert all(bars[index - 1] == bars[index] == bars[index + 1] for index in heads)
    assert len(heads) == 5


def results(one, other):
    return {
        name: Result(Arm(name, name, "", ()), [outcome(s, v) for s, v in enumerate(values)], 0, 1e4)
        for name, values in (("one", one), ("other", other))
    }


CLAIM = {"a": {"claim": "one is better", "better": "one", "than": "other", "by": "end"}}


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ([0.9, 0.8, 0.9, 1.0, 0.9], [0.2, 0.3, 0.1, 0.2, 0.3], "held"),
        ([0.2, 0.3, 0.1, 0.2, 0.3], [0.9, 0.8, 0.9, 1.0, 0.9], "not held"),
        ([0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5], "not held"),
        ([0.9, 0.1, 0.9, 0.1, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5], "open"),
        ([0.9, 0.8, 0.9], [0.1, 0.1, 0.1], "open"),
    ],
)
def test_a_claim_is_held_where_the_whole_interval_says_so(one, other, word):
    [verdict] = judge(CLAIM, results(one, other))
    assert verdict.word == word


def test_a_claim_that_is_judged_at_the_end_says_so():
    along = {"b": {key: value for key, value in CLAIM["a"].items() if key != "by"}}
    claims = {**CLAIM, **along}
    told = results([0.9], [0.2])
    found = Findings(told, {}, judge(claims, told), "one", 0.9, "10,000 rollouts", "rollouts")
    assert [row[0] for row in claim_cells(found)] == [
        *("claim", "one is better (at the end)", "one is better")
    ]


def test_a_claim_about_an_arm_that_is_left_out_is_left_out():
    only_one = {"one": results([0.5], [0.5])["one"]}
    assert judge(CLAIM, only_one) == []


def test_a_claim_about_an_arm_that_does_not_exist_is_refused():
    check_claims(CLAIM, ["one", "other"])
    with pytest.raises(UserError, match=r"^claims\.a\.than=other: no such arm; there are one$"):
        check_claims(CLAIM, ["one"])
