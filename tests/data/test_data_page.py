"""What docs/data.md says works: its files are written as they stand there, and run."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from p2o.cli.data import main
from p2o.data.sources import DigitLists
from tests.pages import run_example, write_examples

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
SMALL = ("evolution=none", "trainer.max_epochs=1", "hydra.run.dir=run")


def test_files_of_your_own(tmp_path, monkeypatch, capsys):
    [command] = re.findall(
        r"^p2o-train (experiment=own_file [^\n]*question=text .*?[^\\])$",
        PAGE.read_text(),
        re.M | re.S,
    )
    rows = [{"text": f"What is {n} + {n}?", "label": 2 * n, "level": n % 3} for n in range(110)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    more = ["+data.source.keep=[level]", "+data.source.max_rejected_share=0", "model=digits"]
    # A small model, which takes fewer tokens.
    more += ["data.max_prompt_tokens=128", "sampling.train.max_new_tokens=128"]
    given = shlex.split(command.replace("\\\n", ""))
    monkeypatch.setattr(sys, "argv", ["p2o-data", "inspect", *given, *more])
    main()
    assert "│ train    │      60 │" in capsys.readouterr().out


def test_several_sources(tmp_path, monkeypatch, capsys):
    write_examples(PAGE, tmp_path)
    [command] = re.findall(r"^# p2o-train (--config-dir .*)$", PAGE.read_text(), re.MULTILINE)
    rows = [{"text": f"{n} + 1?", "answer": str(n + 1)} for n in range(10)]
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "my_rewards.py").write_text("def reward(completion, answer): return 1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["p2o-data", "inspect", *command.split()])
    main()
    shown = capsys.readouterr().out
    for line in (
        "train           │      30",
        "train, sums     │      24",
        "held out, words │       4",
    ):
        assert line in shown


@pytest.mark.slow
def test_a_source_from_another_package(forks, tmp_path, monkeypatch, capsys):
    text = PAGE.read_text()
    assert write_examples(PAGE, tmp_path) == 3
    problems = DigitLists(24, 8).load(0)
    lines = tmp_path / "lines.txt"
    lines.write_text(
        "".join(f"{p.question}\t{p.gold}\n" for p in problems.train + problems.held_out)
    )
    commands = dict(re.findall(r"^p2o-(\w+) (.*--config-dir .*)$", text, re.MULTILINE))

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["p2o-data", *commands["data"].split()])
    main()
    assert "│ train    │      24 │" in capsys.readouterr().out
    run_example(forks, commands["train"], tmp_path, *SMALL)
    assert (tmp_path / "run" / "summary.json").is_file()

    lines.write_text("Add the digits: 1 2 = 3\n")
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: data.source.path=lines.txt: no tab in line 1\n"
