"""What a run learned, in 80 columns, whatever is left of its records."""

import re
import sys

import pytest

from p2o.cli.show import main, show
from p2o.errors import UserError
from p2o.prompt import hint_id
from p2o.records.writing import append

HINT = "Add digit by digit."
EVIL = "\x1b[31mred \x07[bold]17[/bold] :smile: \u202egnp.exe"


def rollout(epoch, problem, solved, hint="", phase="training", **more):
    return {
        "phase": phase,
        "epoch": epoch,
        "step": epoch,
        "group": 0,
        "index": 0,
        "problem": problem,
        "hint": hint_id(hint),
        "hinted": bool(hint),
        "response": f"It is {solved}.",
        "tokens": 4,
        "finish_reason": "stop",
        "status": "ok",
        "answer": "17",
        "detail": "",
        "solved": solved,
        **more,
    }


@pytest.fixture
def run(tmp_path):
    append(
        tmp_path,
        "rollouts",
        [
            rollout(0, "4f2a" * 4, False, response="A bare failure."),
            rollout(1, "4f2a" * 4, True, HINT, response="A success with a hint.", reliance=1.5),
            rollout(1, "4fff" * 4, False, HINT),
            rollout(2, "4f2a" * 4, True, response="A bare success."),
            rollout(2, "4fff" * 4, None, answer=None, status="timeout"),
        ],
    )
    append(tmp_path, "hard", [{"epoch": 0, "problem": "4f2a" * 4}])
    append(tmp_path, "hints", [{"hint": hint_id(HINT), "text": HINT}])
    append(tmp_path, "pool", [{"epoch": 1, "problem": "4f2a" * 4, "hint": hint_id(HINT)}])
    append(
        tmp_path,
        "problems",
        [{"problem": "4f2a" * 4, "split": "train", "question": "8 + 9 ?", "gold": "17"}],
    )
    seed = {"epoch": 1, "iteration": 0, "candidate": 0, "hint": "", "accepted": True}
    asked = {"epoch": 1, "iteration": 1, "candidate": 1, "hint": hint_id(HINT), "parents": [0]}
    scores = [{"problem": "4f2a" * 4, "score": 1.0}, {"problem": "b", "score": 0.5}]
    append(tmp_path, "candidates", [seed, {**asked, "dev_scores": scores, "accepted": True}])
    exchange = {"epoch": 1, "iteration": 1, "candidate": 1}
    append(tmp_path, "exchanges", [{**exchange, "prompt": "Improve it.", "answer": EVIL}])
    return tmp_path


def said(capsys, *arguments):
    show(*arguments)
    return capsys.readouterr().out


def test_the_three_questions_are_answered(run, capsys):
    text = said(capsys, run)
    assert re.search(rf"{hint_id(HINT)[:8]}\W+{re.escape(HINT)}\W+0.75\W+1\W+1\b", text)
    assert "1 of 2 training problems were hard at the end of an epoch; 1 were first" in text
    assert (
        "Of 1 unlocked problem 1 were solved without a hint later on, 1.0 epochs later"
        in " ".join(text.split())
    )
    assert f"p2o-show {run} problem 4f2a4f2a" in text
    assert max(len(line) for line in text.splitlines() if str(run) not in line) <= 80


def test_the_life_of_a_problem_has_its_rollouts(run, capsys):
    text = said(capsys, run, "problem", "4f2")
    places = [
        text.index(part)
        for part in (
            *("8 + 9 ?", "right: 17", "hard at the end of epoch 0", HINT),
            *("solved without one in epoch 2", "at the end: bare"),
            *("A bare failure.", "A success with a hint.", "A bare success."),
        )
    ]
    assert places == sorted(places)
    assert "with hint" in text
    assert "reliance 1.50" in text


def test_a_response_is_cut_unless_all_is_asked_for(run, capsys):
    append(run, "rollouts", [rollout(3, "4f2a" * 4, True, response="long " * 400)])
    append(run, "rollouts", [rollout(3, "4f2a" * 4, True, response="a second one")])
    short, whole = (said(capsys, run, "problem", "4f2", full) for full in (False, True))
    assert f"all of them: p2o-show {run} problem 4f2 --all\n" in short
    assert "--all" not in whole
    assert "more characters)" in short
    assert "a second one" not in short
    assert whole.count("long") == 400
    assert "a second one" in whole


def test_a_hint_is_shown_with_the_exchange_that_made_it(run, capsys):
    text = said(capsys, run, "hint", hint_id(HINT)[:5])
    for part in (HINT, "from the bare prompt; accepted, dev score 0.75", "Improve it."):
        assert part in text


def test_what_a_model_wrote_is_text(run, capsys):
    append(run, "rollouts", [rollout(3, "4f2a" * 4, True, response=EVIL, answer=EVIL, detail=EVIL)])
    texts = [said(capsys, run, "problem", "4f2", True), said(capsys, run, "hint", hint_id(HINT))]
    for text in texts:
        assert r"\x1b[31mred \x07[bold]17[/bold] :smile: \u202egnp.exe" in text
        assert not set("\x1b\x07\u202e") & set(text)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("problem", "4f"), "problem 4f: 2 ids begin so, 4f2a4f2a4f2a4f2a, 4fff4fff4fff4fff"),
        (("problem", "9"), "problem 9: no id begins so; ids are such as 4f2a4f2a4f2a4f2a"),
        (("hint", "zz"), f"hint zz: no id begins so; ids are such as {hint_id(HINT)}"),
    ],
)
def test_an_id_that_is_not_clear_is_one_line(run, arguments, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}") as caught:
        show(run, *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "lost",
    ["hard", "hints", "pool", "problems", "candidates", "exchanges", "rollouts"],
)
def test_a_run_that_lacks_a_table_shows_the_rest(run, capsys, lost):
    for path in (run / "records" / lost).iterdir():
        path.unlink()
    assert "Do they still need it?" in said(capsys, run)
    if lost != "hints":
        assert HINT in said(capsys, run, "hint", hint_id(HINT)[:5])
    assert "4f2a" in said(capsys, run, "problem", "4f2a")


def test_a_part_that_is_damaged_is_noted(run, capsys):
    path = run / "records" / "rollouts" / "part-000000.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert "note: rollouts/part-000000.parquet: left out" in said(capsys, run)


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["p2o-show", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr()


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_run_without_records_is_one_line(tmp_path, monkeypatch, capsys, folder):
    status, printed = command(monkeypatch, capsys, tmp_path / folder)
    assert status == 2
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.err.startswith("error: ")


def test_help_has_examples(monkeypatch, capsys):
    status, printed = command(monkeypatch, capsys, "--help")
    assert status == 0
    assert "p2o-show runs/default/TIME problem 4f2a" in printed.out


def test_a_problem_without_an_id_is_refused(run, monkeypatch, capsys):
    status, printed = command(monkeypatch, capsys, run, "problem")
    assert status == 2
    assert "give how its id begins" in printed.err


def test_lengths_and_pass_at_k_are_told_where_the_run_has_logged_them(run, capsys):
    assert "Has it drifted?" not in said(capsys, run)
    rows = (
        "step,response/tokens,val/accuracy,val/pass_at_4\n0,,0.25,0.5\n0,10,,\n1,20,,\n1,,0.5,0.4\n"
    )
    (run / "metrics.csv").write_text(rows)
    text = " ".join(said(capsys, run).split())
    assert "Has it drifted? A training response had 10.0 tokens in the first tenth" in text
    assert "They became 2.0 times longer." in text
    assert "pass@4 fell while accuracy rose" in text


def test_a_search_that_kept_nothing_is_told_with_the_reasons(tmp_path, capsys):
    append(tmp_path, "rollouts", [rollout(0, "4f2a" * 4, False)])
    left = {"epoch": 1, "iteration": 1, "accepted": False, "reason": "no better"}
    rows = [{**left, "candidate": number, "hint": hint_id(str(number))} for number in (1, 2)]
    append(tmp_path, "candidates", rows)
    text = " ".join(said(capsys, tmp_path).split())
    assert (
        "Nothing: no hint was in use. Searches tried 2 candidates and kept none: no better (2)."
        in text
    )
    assert "0 were first solved with a hint" in text
    assert "No hint has unlocked a problem" in text


def test_wrong_responses_are_those_of_the_last_epoch_that_has_any(run, capsys):
    text = said(capsys, run, "wrong")
    assert "nothing was wrong after epoch 0" in text
    assert "1 wrong response without a hint in epoch 0, to 1 problem:" in text
    for part in ("problem 4f2a4f2a, training", "8 + 9 ?", "right: 17", "A bare failure."):
        assert part in text
    more = {"phase": "held_out", "reward": 0.1}
    append(
        run,
        "rollouts",
        [
            rollout(3, "4f2a" * 4, False, HINT, response="With a hint."),
            *(rollout(3, "4f2a" * 4, False, response=f"Failure {n}.") for n in range(9)),
            rollout(3, "4fff" * 4, False, response="A held-out failure.", **more),
            rollout(3, "4fff" * 4, True, response="A held-out success.", **more),
        ],
    )
    text = said(capsys, run, "wrong")
    assert "10 wrong responses without a hint in epoch 3, to 2 problems:" in text
    assert text.index("A held-out failure.") < text.index("Failure 0.")
    assert "reward: 0.10" in text
    assert f"All 10 of them: p2o-show {run} wrong --all" in text
    assert not any(part in text for part in ("nothing was", "Failure 1.", "hint.", "success"))
    assert "Failure 8." in said(capsys, run, "wrong", "", True)


def test_where_some_problems_are_on_record_it_says_so(run, capsys):
    assert "one training problem in ten" not in said(capsys, run)
    (run / ".hydra").mkdir()
    (run / ".hydra" / "config.yaml").write_text("records: {rollouts: sampled}")
    text = " ".join(said(capsys, run).split())
    assert "note: Rollouts of one training problem in ten are on record" in text
    assert "hard: of all training problems, not of those on record alone." in text
    assert "one training problem in ten" in said(capsys, run, "wrong")


def test_a_run_that_got_nothing_wrong_says_so(tmp_path, capsys):
    append(tmp_path, "rollouts", [rollout(0, "a", True), rollout(0, "b", None)])
    assert "of 2 responses without a hint none is wrong" in said(capsys, tmp_path, "wrong")
