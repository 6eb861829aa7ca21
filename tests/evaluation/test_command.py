"""``p2o-eval`` from end to end, on the embedded world and on real benchmarks."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from p2o.errors import UserError
from p2o.evaluation.completions import Completions, read_completions
from p2o.evaluation.rescore import rescore
from p2o.verifiers import ExactMatch

DIGITS = (
    *("model=digits", "suite=digits", "verifier=numeric"),
    *("max_new_tokens=24", "max_prompt_tokens=160", "limit=24", "chunk=4"),
)

# Of the tests' own parts, and of whatever else is on the path.
PATHS = (str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")]))

# Short lists come first, and are solved without a template.
LONG = "+benchmarks.digits.table.source.short_share=0"


def start(folder, *arguments, run="out"):
    return subprocess.Popen(
        [sys.executable, "-m", "p2o.cli.eval", *arguments, f"hydra.run.dir={folder}/{run}"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(PATHS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def evaluate(forks):
    """Evaluate in a folder; returns status, output and errors."""

    def evaluate(folder, *arguments, run="out"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}
        given = [*arguments, f"hydra.run.dir={folder}/{run}"]
        done = forks.run("p2o.cli.eval", given, folder, environment)
        return done.returncode, done.stdout, done.stderr

    return evaluate


def results(folder):
    return json.loads((folder / "results.json").read_text())["benchmarks"]


@pytest.fixture(scope="module")
def whole(evaluate, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    several = ("benchmarks.digits.samples=4", "benchmarks.digits.temperature=1.0")
    status, output, errors = evaluate(folder, *DIGITS, *several)
    assert status == 0, errors
    return folder, several, output


@pytest.mark.slow
def test_the_table_fits_a_terminal_and_every_completion_is_kept(whole):
    folder, _, output = whole
    assert max(map(len, output.splitlines()[:8])) <= 80
    rows = read_completions(folder / "out")
    assert len(rows) == 24 * 4
    assert {row["status"] for row in rows} <= {"ok", "no_answer", "parse_error"}
    assert len({row["seed"] for row in rows}) == 24 * 4
    result = results(folder / "out")["digits"]
    assert result["accuracy"] == pytest.approx(sum(row["reward"] for row in rows) / len(rows))
    assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
    assert result["pass_at"]["1"] == pytest.approx(result["accuracy"])
    assert result["pass_at"]["4"] >= result["pass_at"]["1"]


@pytest.mark.slow
def test_several_turns_are_evaluated_as_they_are_trained(evaluate, tmp_path):
    calculator = "environment._target_=tests.calculator.Calculator"
    short = ("limit=6", "+environment.word=must", LONG)
    status, _, errors = evaluate(tmp_path, *DIGITS, *short, calculator)
    assert status == 0, errors
    rows = read_completions(tmp_path / "out")
    assert all("must us go slowly." in row["response"] for row in rows)
    assert max(row["tokens"] for row in rows) < min(len(row["response"].split()) for row in rows)
    status, _, errors = evaluate(tmp_path, *DIGITS, "limit=6", LONG)
    assert status == 2
    assert "holds completions of other settings (environment" in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 0), (signal.SIGINT, 130)]
)
def test_a_stopped_evaluation_goes_on_and_ends_the_same(evaluate, whole, tmp_path, number, status):
    folder, several, _ = whole
    process = start(tmp_path, *DIGITS, *several)
    parts = tmp_path / "out" / "completions"
    while len(list(parts.glob("*.parquet"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == status
    if number != signal.SIGKILL:
        name = "SIGTERM" if number == signal.SIGTERM else "Ctrl-C"
        way = f"the same command with hydra.run.dir={tmp_path / 'out'} goes on"
        assert said.strip().splitlines()[-1] == f"stopped by {name}; {way}"
    done = {path: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert len(done) < 24
    assert not (tmp_path / "out" / "results.json").exists()
    status, _, errors = evaluate(tmp_path, *DIGITS, *several)
    assert status == 0, errors
    # What was there has not been sampled again.
    assert all(path.stat().st_mtime_ns == written for path, written in done.items())
    assert read_completions(tmp_path / "out") == read_completions(folder / "out")
    assert results(tmp_path / "out") == results(folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("seed=1", "seed: 0, now 1"),
        # What is solved stands in the completions.
        ("verifier_guard.solved_reward=0.5", "verifier_guard.solved_reward: 1.0, now 0.5"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused_and_its_record_stays(
    evaluate, whole, other, told
):
    folder, several, _ = whole
    record = folder / "out" / ".hydra" / "overrides.yaml"
    before = record.read_text()
    assert "suite=digits" in before
    status, _, errors = evaluate(folder, *DIGITS, *several, other)
    assert status == 2
    said = f"holds completions of other settings ({told}); delete them, or give another"
    assert f"{said} hydra.run.dir\n" in errors
    assert record.read_text() == before


@pytest.mark.slow
def test_what_an_earlier_start_sampled_of_a_benchmark_that_is_away_does_not_count(
    evaluate, tmp_path
):
    """And templates without room are told of, whichever start asked with them."""
    rows = [{"question": f"Add the digits: {n} 1", "answer": f"#### {n + 1}"} for n in range(6)]
    file = tmp_path / "gsm8k" / "test.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = ("suite=[digits,gsm8k]", f"data_root={tmp_path}", "limit=6", "max_prompt_tokens=24")
    template = f"template='{'Go slowly. ' * 9}'"
    both, alone = [], []
    for found in (both, alone):
        status, output, errors = evaluate(tmp_path, *DIGITS, *own, template)
        assert status == 0, errors
        found += [json.loads((tmp_path / "out" / "results.json").read_text()), output]
        file.unlink(missing_ok=True)
    assert list(both[0]["benchmarks"]) == ["digits", "gsm8k"]
    assert both[0]["templates_too_long"] == 12
    assert list(alone[0]["benchmarks"]) == ["digits"]
    assert list(alone[0]["not_evaluated"]) == ["gsm8k"]
    assert alone[0]["templates_too_long"] == 6
    assert "left out" in alone[1]
    assert alone[0]["benchmarks"]["digits"] == both[0]["benchmarks"]["digits"]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["run=nowhere", "max_prompt_tokens=3", "model.path=nowhere"])
def test_a_refused_evaluation_leaves_no_folder(evaluate, tmp_path, wrong):
    status, _, errors = evaluate(tmp_path, *DIGITS, wrong)
    assert status == 2
    assert wrong.partition("=")[0] in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_sweep_of_evaluations_ends_in_a_table(forks, tmp_path):
    settings = [each for each in DIGITS if not each.startswith("limit")]
    sweep = ("-m", *settings, "limit=3,5", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep")
    done = forks.run("p2o.cli.eval", sweep, tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["settings"] for row in rows] == [
        f"limit={limit}, seed={seed}" for limit in (3, 5) for seed in (0, 1)
    ]
    for row in rows:
        found = results(tmp_path / "sweep" / row["folder"])["digits"]["accuracy"]
        assert float(row["digits"]) == pytest.approx(100 * found, abs=0.05)
        assert row["settings"] in done.stdout
    assert "Accuracy, %" in done.stdout
    with (tmp_path / "sweep" / "means.csv").open() as file:
        means = list(csv.DictReader(file))
    assert [(row["settings"], row["seeds"]) for row in means] == [
        ("limit=3", "2"),
        ("limit=5", "2"),
    ]


@pytest.mark.slow
def test_what_a_run_left_out_of_its_held_out_rows_its_evaluation_leaves_out(
    evaluate, p2o_train, tmp_path
):
    """Rows that are too long, and right answers that the verifier cannot use."""
    rows = [
        {
            "q": f"Add the digits: {n % 10} 1" + " 0" * 100 * (n % 5 == 0),
            "a": "none" if n % 7 == 0 else str(n % 10 + 1),
        }
        for n in range(60)
    ]
    rows = [{**row, "q": f"{row['q']} {n // 10}"} for n, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = p2o_train(
        *("data=file", "data.source.path=rows.jsonl", "data.source.question=q"),
        *("data.source.answer=a", "data.source.held_out=30", "data.max_prompt_tokens=96"),
        *("data.max_unusable_golds=0.5", "verifier=numeric", "trainer.max_epochs=1"),
        *("data.batch=6", "data.mini_batch=6", "evolution=none", "hydra.run.dir=run"),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    status, _, errors = evaluate(tmp_path, "run=run")
    assert status == 0, errors
    found = results(tmp_path / "out")["held_out"]
    assert found["questions"] == summary["held_out"] < 30
    assert found["accuracy"] == pytest.approx(summary["accuracy"]["after"])


@pytest.mark.slow
def test_without_a_terminal_it_says_how_much_there_is_to_do(whole, evaluate, tmp_path):
    status, _, errors = evaluate(tmp_path, *DIGITS)
    assert status == 0
    assert "start: 24 responses of digits" in errors


@pytest.mark.slow
def test_a_limit_gives_the_same_answers_to_fewer_questions(evaluate, whole, tmp_path):
    folder, several, _ = whole
    status, _, errors = evaluate(tmp_path, *DIGITS, *several, "limit=5", "chunk=7")
    assert status == 0, errors
    assert read_completions(tmp_path / "out") == read_completions(folder / "out")[:20]


@pytest.mark.slow
def test_saved_completions_are_scored_again_by_another_verifier(evaluate, whole):
    folder, _, _ = whole
    arguments = (f"rescore={folder}/out", "verifier=exact", "suite=digits")
    status, output, errors = evaluate(folder, *arguments, run="again")
    assert status == 0, errors
    rows = read_completions(folder / "out")
    differences = json.loads((folder / "again" / "differences.json").read_text())
    assert f"│ {len(rows)} " in output or f" {len(rows)} │" in output
    # The embedded policy writes nothing but the number behind the mark.
    assert differences == []


@pytest.mark.slow
def test_a_run_s_checkpoint_is_evaluated_with_and_without_its_templates(
    evaluate, p2o_train, tmp_path
):
    small = ("data.source.train=48", "trainer.max_epochs=2", "evolution.evolver.budget=400")
    assert p2o_train(*small, f"hydra.run.dir={tmp_path}/run").returncode == 0
    (pool,) = (tmp_path / "run" / "evolution").glob("epoch_*.json")
    accuracies = {}
    modes = ("best", "majority", "assigned")
    for name, more in {
        "bare": (),
        **{mode: (f"template={pool}", f"template_mode={mode}") for mode in modes},
    }.items():
        # Before what the templates unlock has moved into the weights.
        own = (f"run={tmp_path}/run", "checkpoint=epoch_0000.ckpt", LONG)
        status, _, errors = evaluate(tmp_path, *DIGITS, *own, *more, run=name)
        assert status == 0, errors
        accuracies[name] = results(tmp_path / name)["digits"]["accuracy"]
    assert accuracies["best"] > accuracies["bare"]
    templates = {row["template"] for row in read_completions(tmp_path / "majority")}
    assert templates
    assert "" not in templates


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chunk=0"], "chunk=0: give a whole number"),
        (["suit=aime24"], "suit: no such key"),
        (["suite=aime2"], "suite=aime2: no such option"),
        (["max_prompt_tokens=10"], "max_prompt_tokens=10: question "),
        (
            ["max_new_tokens=250"],
            "a prompt of 13 tokens and 250 new ones do not fit into the engine's 256; lower",
        ),
        (["benchmarks.digits.samples=4"], "benchmarks.digits.samples=4: at temperature 0 all are"),
        (["template_mode=all"], "template_mode=all: give best, majority or assigned"),
        (["run=nowhere"], "nowhere: not a run directory of p2o-train"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(evaluate, tmp_path, arguments, said):
    status, _, errors = evaluate(tmp_path, *DIGITS, *arguments)
    assert status == 2
    assert errors.splitlines()[-1].startswith(f"error: {said}")


def test_a_full_disk_is_said_in_one_line_and_what_is_there_stays(tmp_path, monkeypatch):
    completions = Completions(tmp_path, {"seed": 0})
    row = {"benchmark": "b", "prompt_id": "a", "sample": 0, "golds": ["1"]}
    completions.write("b", 0, [row])

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device.* what is there is kept"):
        completions.write("b", 1, [row])
    assert not completions.has("b", 1)
    assert len(read_completions(tmp_path)) == 1


ROW = {"benchmark": "b", "prompt_id": "a", "sample": 0, "golds": ["1"], "meta": "{}", "prompt": "?"}


def other_columns(content):
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"benchmark": "b"}]), sink)
    return sink.getvalue().to_pybytes()


DAMAGES = {
    "cut off": lambda content: content[:-9],
    "empty": lambda content: b"",
    "another text": lambda content: b"not parquet",
    "other columns": other_columns,
    # The answer of the model, which no structure of the file depends on.
    "a changed letter": lambda content: content.replace(b"long answer", b"wrong answe"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_completions_are_named_and_sampled_again(tmp_path, damage, caplog):
    completions = Completions(tmp_path, {"seed": 0})
    completions.write("b", 0, [ROW | {"response": "long answer " * 9}])
    completions.write("b", 1, [ROW])
    part = tmp_path / "completions" / "b-00000.parquet"
    before = part.read_bytes()
    part.write_bytes(damage(before))
    assert part.read_bytes() != before
    with pytest.raises(UserError, match="b-00000.parquet: damaged .*makes it again") as caught:
        rescore(tmp_path, ExactMatch())
    assert "\n" not in str(caught.value)
    assert not completions.has("b", 0)
    assert "b-00000.parquet: damaged" in caplog.text
    assert completions.has("b", 1)
    completions.write("b", 0, [ROW])
    assert len(read_completions(tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000], ids=len)
def test_damaged_settings_are_named_with_what_to_do(tmp_path, content):
    Completions(tmp_path, {"seed": 0}).write("b", 0, [])
    (tmp_path / "completions" / "settings.json").write_bytes(content)
    with pytest.raises(UserError, match="settings.json: damaged .*; delete that folder$"):
        Completions(tmp_path, {"seed": 0})


@pytest.mark.parametrize("before", [{"seed": 0}, {"seed": 0, "limit": 5}])
def test_a_setting_that_is_new_is_another_one(tmp_path, before):
    Completions(tmp_path, before).write("digits", 0, [])
    with pytest.raises(UserError, match="holds completions of other settings .limit: "):
        Completions(tmp_path, {"seed": 0, "limit": None})


@pytest.mark.slow
def test_a_run_is_evaluated_as_it_was_trained_unless_told_otherwise(evaluate, p2o_train, tmp_path):
    own = (
        *("data.source.train=16", "data.source.held_out=12", "trainer.max_epochs=1"),
        *("evolution=none", "save_policy=null", "renderer.prefix='Please: '", "seed=3"),
        *(
            "verifier=exact",
            r"verifier.pattern='Answer:\s*(.+)'",
            "sampling.train.max_new_tokens=20",
        ),
    )
    done = p2o_train(*own, f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    status, _, errors = evaluate(tmp_path, f"run={tmp_path}/run", "max_prompt_tokens=100")
    assert status == 0, errors
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    result = written["benchmarks"]["held_out"]
    assert (result["questions"], result["accuracy"]) == (12, summary["accuracy"]["after"])
    said = written["configuration"]
    assert said["verifier"]["_target_"] == "p2o.verifiers.ExactMatch"
    assert (said["renderer"]["prefix"], said["max_new_tokens"]) == ("Please: ", 20)
    assert said["max_prompt_tokens"] == 100
    more = ("verifier=numeric", "renderer.prefix=", "suite=[held_out,digits]", "limit=4")
    status, _, errors = evaluate(tmp_path, f"run={tmp_path}/run", *more, run="other")
    assert status == 0, errors
    written = json.loads((tmp_path / "other" / "results.json").read_text())
    assert {name: one["questions"] for name, one in written["benchmarks"].items()} == {
        "held_out": 4,
        "digits": 4,
    }
    assert written["configuration"]["verifier"]["_target_"] == "p2o.verifiers.Numeric"
    assert written["configuration"]["renderer"]["prefix"] == ""


@pytest.mark.slow
def test_what_a_run_names_is_meant_from_where_it_was_started(evaluate, p2o_train, tmp_path):
    rows = [{"q": f"Add the digits: {n} 1", "a": str(n + 1)} for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.py").write_text(
        "def right(completion, answer): return answer in completion\n"
    )
    done = p2o_train(
        *("data=file", "data.source.path=rows.jsonl", "data.source.question='{q}'"),
        *("data.source.answer=a", "data.source.held_out=3", "data.max_prompt_tokens=96"),
        *("verifier=function", "verifier.path=mine.py:right", "trainer.max_epochs=1"),
        *("data.batch=6", "data.mini_batch=6", "evolution=none", "hydra.run.dir=run"),
    )
    assert done.returncode == 0, done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    status, _, errors = evaluate(elsewhere, f"run={tmp_path}/run", "max_prompt_tokens=96")
    assert status == 0, errors


@pytest.mark.slow
def test_held_out_rows_are_those_of_a_run(evaluate, tmp_path):
    status, _, errors = evaluate(tmp_path, "suite=held_out", "model=digits")
    assert status == 2
    assert "benchmarks.held_out.table.source: no value and no default" in errors
