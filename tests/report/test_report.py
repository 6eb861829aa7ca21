"""``p2o-report`` from end to end, as far as it goes without a browser."""

import base64
import csv
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from p2o.cli.report import report
from p2o.records.writing import append
from p2o.report import payload
from p2o.report.arms import group_arms
from p2o.report.asked import OTHER_PROBLEMS
from p2o.report.contents import Contents
from p2o.report.payload import rollout_table
from p2o.report.runs import SAMPLED, read_run, told_apart
from p2o.report.sections import river
from p2o.report.story import tell
from p2o.report.words import tell_arms, tell_run
from tests.patience import HANGS
from tests.report.world import COLUMNS, HOSTILE, REJECTED, write_rejected, write_run

pytest.importorskip("vl_convert", reason="the extra `report` is not installed")

PACKED = re.compile(r'<script type="text/plain" id="rollouts-0">([A-Za-z0-9+/=]+)</script>')
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return report([write_run(tmp_path_factory.mktemp("runs") / "run")])


@pytest.mark.slow
def test_a_report_has_a_page_with_tables_and_figures_beside_it(page):
    assert page.name == "report.html"
    written = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*.*")}
    for name in (
        "accuracy_over_rollouts",
        "cost",
        "river",
        "two_by_two",
        "hints_epoch_0001",
        "health",
    ):
        assert {f"figures/{name}.png", f"figures/{name}.svg"} <= written
    for name in ("arms", "runs", "cost", "river", "two_by_two", "hints", "problems", "settings"):
        assert {f"tables/{name}.{suffix}" for suffix in ("csv", "md", "tex")} <= written
    assert not [name for name in written if name.endswith(".part")]
    for path in (page.parent / "figures").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_page_asks_no_network_for_anything(page):
    text = page.read_text()
    assert "default-src 'none'" in text
    elements = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=", elements)


def test_nothing_that_a_model_wrote_is_html(page):
    text = page.read_text()
    assert HOSTILE not in text
    assert "<img src=x" not in text
    # In the data of the page it is still there, word for word.
    [data] = DATA.findall(text)
    assert HOSTILE in {hint["text"] for hint in json.loads(data)["runs"][0]["hints"]}
    [packed] = PACKED.findall(text)
    table = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert table["response"][0] == f"a 0 {HOSTILE}"
    for path in (page.parent / "figures").glob("*.svg"):
        assert "<img src" not in path.read_text()


def test_words_answer_the_questions_with_numbers(tmp_path):
    words = tell_run(tell(read_run(write_run(tmp_path / "run"))))
    said = {heading: " ".join(sentences) for heading, sentences in words.items()}
    assert (
        f"“{COLUMNS[1]}” was the first to solve 2 problems; 1 of them"
        in said["What did it learn to say?"]
    )
    assert (
        "3 of 4 training problems were hard at some time; 2 were first solved with a hint."
        in said["Which problems did that unlock?"]
    )
    assert (
        "1 of the 2 problems that a hint unlocked were solved without one later (50.0 %)"
        in said["Do they still need it?"]
    )
    assert said["What did it cost?"].startswith(
        "30 rollouts with 300 tokens, in 1 min 30 s, evaluation not counted. "
        "The search made 33.3 % of the rollouts and took 33.3 % of the time"
    )


def test_a_run_spends_the_same_before_and_after_its_end(tmp_path):
    run = write_run(tmp_path / "run")
    ended = json.loads((run / "summary.json").read_text())
    for spent in ended["ledger"].values():
        spent["rollouts"] = 0
    ended["ledger"]["train"]["rollouts"] = 26
    (run / "summary.json").write_text(json.dumps(ended))
    told = [tell_run(tell(read_run(run)))["What did it cost?"]]
    contents = contents_of(run)
    table = table_of(contents, "runs")
    assert table.rows[0][table.columns.index("rollouts")] == 26
    assert "without evaluation" in table.title
    (run / "summary.json").unlink()
    told.append(tell_run(tell(read_run(run)))["What did it cost?"])
    assert [sentences[0].partition(" ")[0] for sentences in told] == ["26", "26"]


def contents_of(*folders):
    runs = told_apart([read_run(folder) for folder in folders])
    arms = group_arms(runs)
    return Contents([tell(run) for run in runs], arms, next(iter(arms)))


def table_of(contents, name):
    found = contents.table(name)
    assert found is not None
    return found


def test_a_run_that_has_not_ended_is_in_no_mean_of_its_arm(tmp_path):
    """Nor is the broken-off half of a run that went on in another folder."""
    half, rest, other = (
        write_run(tmp_path / name, seed=seed, after=after)
        for name, seed, after in (("half", 0, 0.1), ("rest", 0, 0.9), ("other", 1, 0.7))
    )
    going = write_run(tmp_path / "going", seed=2, after=0.2)
    for folder in (half, going):
        (folder / "summary.json").unlink()
    contents = contents_of(half, rest, other, going)
    table = table_of(contents, "arms")
    found = dict(zip(table.columns, table.rows[0], strict=True))
    assert (found["seeds"], found["not ended"]) == (2, 2)
    assert found["accuracy"] == pytest.approx((0.9 + 0.7) / 2)
    *_, points = contents.joint_charts["accuracy:rollouts"]["layer"]
    ends = [row["accuracy"] for row in points["data"]["values"] if row["x"] == 26]
    assert ends == [0.9, 0.7]
    [said] = tell_arms(contents.arms, "default", {})["What the arms came to"]
    assert said.startswith("default: 80.0 % of the held-out problems")
    assert said.endswith("2 runs of it have not ended.")
    [alone] = contents_of(going).joint_charts["accuracy:rollouts"]["data"]["values"][-1:]
    assert alone["accuracy"] == 0.2
    unknown = contents_of(half, going)
    [said] = tell_arms(unknown.arms, "default", {})["What the arms came to"]
    assert said == "default: no run has ended."


def test_runs_whose_folders_are_called_alike_keep_their_tables_apart(tmp_path):
    folders = [
        write_run(tmp_path / bench / "default" / "p2o" / "seed0", after=after)
        for bench, after in (("bench", 0.9), ("by_flops", 0.4))
    ]
    contents = contents_of(*folders)
    assert [story.run.name for story in contents.stories] == [
        "bench/default/p2o/seed0",
        "by_flops/default/p2o/seed0",
    ]
    rows = river(contents).partition('<div data-run="1"')[0].count("<tr>")
    assert rows == river(contents_of(folders[0])).count("<tr>")
    page = report(folders, tmp_path / "out", figures=False).read_text()
    assert "by_flops/default/p2o/seed0 (" in page


@pytest.mark.parametrize("recorded", [True, False])
def test_arms_that_were_asked_other_held_out_problems_are_told(tmp_path, recorded):
    folders = [
        write_run(tmp_path / name, overrides, seed, recorded=recorded)
        for name, overrides, seed in (("one", (), 0), ("two", ("data=svamp",), 0))
    ]
    same = contents_of(*folders).differences("accuracy")["data=svamp"]
    assert OTHER_PROBLEMS not in same.says
    if recorded:
        for folder, problem in zip(folders, "xy", strict=True):
            append(folder, "problems", [{"problem": problem, "split": "held_out"}])
    else:
        summary = json.loads((folders[1] / "summary.json").read_text())
        summary["config"]["data"]["source"] = {"path": "ChilleD/SVAMP"}
        (folders[1] / "summary.json").write_text(json.dumps(summary))
    contents = contents_of(*folders)
    assert contents.differences("accuracy")["data=svamp"].says.endswith(OTHER_PROBLEMS)
    [row, _] = table_of(contents, "differences").rows
    assert row[-1].endswith(OTHER_PROBLEMS)


def test_where_some_problems_are_on_record_all_that_were_trained_on_are_counted(tmp_path):
    run = write_run(tmp_path / "run")
    append(run, "problems", [{"problem": each, "split": "train"} for each in "efghij"])
    append(run, "problems", [{"problem": "z", "split": "held_out"}])
    summary = json.loads((run / "summary.json").read_text())
    summary["config"]["records"] = {"rollouts": "sampled"}
    (run / "summary.json").write_text(json.dumps(summary))
    story = tell(read_run(run))
    assert "tiny was trained for 3 epochs on 10 problems" in tell_run(story)["What was trained"][0]
    assert SAMPLED in story.notes
    assert "The column hard counts all training problems" in river(contents_of(run))


def test_a_rollout_that_was_sampled_without_its_hint_is_none_with_a_hint(tmp_path):
    story = tell(read_run(write_run(tmp_path / "run")))
    assert story.rollouts is not None
    given = [row for row, hinted in enumerate(story.rollouts["hinted"]) if hinted]
    story.rollouts["hinted"][given[0]] = False
    table = rollout_table(story)
    assert table is not None
    assert [row for row, hint in enumerate(table["hint"]) if hint >= 0] == given[1:]


def test_a_run_whose_last_updates_were_not_measured_says_so(tmp_path):
    run = write_run(tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"updates": 9, "measured_at": 6}))
    said = " ".join(tell_run(tell(read_run(run)))["What did it learn?"])
    assert "That was after 6 updates; the run ended after 9." in said
    (run / "summary.json").write_text(json.dumps(summary | {"updates": 9, "measured_at": 9}))
    assert "That was" not in " ".join(tell_run(tell(read_run(run)))["What did it learn?"])


def test_a_search_that_kept_nothing_is_told_with_what_it_tried(tmp_path):
    run = write_run(tmp_path / "run")
    write_rejected(run)
    for path in (run / "evolution").glob("epoch_*.json"):
        pool = json.loads(path.read_text())
        path.write_text(json.dumps({**pool, "templates": pool["templates"][:1], "cover": []}))
    story = tell(read_run(run))
    [said, tried] = tell_run(story)["What did it learn to say?"]
    assert said == "Nothing: 1 search found no hint."
    assert tried.startswith("They tried 2 candidates and kept none; the most frequent reason, 1 ")
    text = report([run], figures=False).read_text()
    assert "No search has found a hint." in text
    assert "<summary>2 candidates were not kept</summary>" in text
    rejected = (run / "report" / "tables" / "rejected.csv").read_text()
    assert REJECTED in rejected


def test_a_run_without_records_gives_what_its_metrics_and_summary_hold(tmp_path):
    page = report([write_run(tmp_path / "run", recorded=False)])
    text = page.read_text()
    assert "no records of rollouts" in text
    assert 'data-chart="accuracy"' in text
    assert 'data-chart="tree:epoch_0001"' in text
    assert not PACKED.findall(text)


@pytest.mark.parametrize("gone", ["summary.json", "metrics.csv", "evolution", ".hydra", "records"])
def test_a_run_with_something_missing_has_a_report(tmp_path, gone):
    run = write_run(tmp_path / "run")
    path = run / gone
    path.rename(tmp_path / "away")
    assert "<main>" in report([run], figures=False).read_text()


def test_several_runs_are_compared_seed_by_seed(tmp_path):
    runs = [write_run(tmp_path / f"p2o_{seed}", (), seed) for seed in range(3)]
    runs += [
        write_run(tmp_path / f"grpo_{seed}", ("experiment=grpo",), seed, after=0.3)
        for seed in range(3)
    ]
    page = report(runs, against="experiment=grpo", figures=False)
    assert page == tmp_path / "report" / "report.html"
    table = (page.parent / "tables" / "differences.csv").read_text().splitlines()
    [row, _] = csv.DictReader(table)
    assert (row["arm"], row["pairs"], row["p"]) == ("default", "3", "0.25")
    assert float(row["difference"]) == pytest.approx(0.7)
    assert row["says"].startswith("3 seeds allow no claim")
    assert "3 seeds allow no claim" in page.read_text()


def test_a_report_of_unchanged_runs_is_the_same_file(tmp_path):
    run = write_run(tmp_path / "run")
    one, two = (report([run], tmp_path / name, figures=False) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_the_command_says_where_the_report_is_and_refuses_in_one_line(tmp_path):
    run = write_run(tmp_path / "run")

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "p2o.cli.report", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=HANGS,
        )

    done = call(run, "--no-figures", "--output", tmp_path / "out")
    assert done.stdout == f"report: {tmp_path / 'out' / 'report.html'}\n"
    refused = call(tmp_path / "nowhere")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert "For example" in call("--help").stdout


def test_a_report_among_the_runs_is_passed_over(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"run{seed}", seed=seed)
    for _ in range(2):
        runs = [path for path in sorted(tmp_path.iterdir()) if path.is_dir()]
        assert report(runs, figures=False) == tmp_path / "report" / "report.html"


def test_the_command_loads_neither_torch_nor_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path; from p2o.cli.report import report;"
        f"report([Path({str(write_run(tmp_path / 'run'))!r})], figures=False);"
        "sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=HANGS).returncode == 0


def test_a_page_colours_as_many_tokens_as_it_can_hold(tmp_path, monkeypatch):
    story = tell(read_run(write_run(tmp_path / "run")))
    whole = rollout_table(story)
    assert whole is not None
    assert [len(texts) for texts, _ in whole["scored"].values()] == [3, 3]
    monkeypatch.setattr(payload, "MOST_TOKENS", 5)
    less = rollout_table(story)
    assert less is not None
    assert list(less["scored"]) == list(whole["scored"])[:1]
    assert less["response"] == whole["response"]
