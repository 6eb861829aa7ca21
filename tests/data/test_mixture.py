"""Several sources in one run: whose prompts are whose, and what counts once."""

import json
import logging

import pytest
import torch
from omegaconf import OmegaConf

from p2o.configuration.build import build
from p2o.data.mixture import Mixture
from p2o.data.selection import unusable_golds, with_usable_golds
from p2o.data.sources import DigitLists, Split, TableSource
from p2o.errors import UserError
from p2o.learning.evaluation import EvaluationBatch
from p2o.learning.metrics import rollout_metrics
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers import Numeric, Score, Status
from p2o.verifiers.by_source import BySource

SHORT, LONG = DigitLists(20, 6, 1.0), DigitLists(30, 8, 0.0)


def table(path, rows, held_out=2) -> TableSource:
    path.write_text("".join(json.dumps({"q": q, "answer": a}) + "\n" for q, a in rows))
    return TableSource(str(path), question="q", held_out=held_out)


def test_prompts_are_those_of_all_sources_and_know_theirs():
    split = Mixture({"short": SHORT, "long": LONG}).load(3)
    for name, source in (("short", SHORT), ("long", LONG)):
        own = source.load(3)
        assert [p.id for p in split.train if p.source == name] == [p.id for p in own.train]
        assert [p.id for p in split.held_out if p.source == name] == [p.id for p in own.held_out]
    assert len(split.train) == 50
    assert len(split.held_out) == 14


def test_the_order_in_which_sources_are_written_changes_nothing():
    one, other = Mixture({"a": SHORT, "b": LONG}), Mixture({"b": LONG, "a": SHORT})
    assert one.load(0) == other.load(0)


def test_what_is_in_several_sources_counts_once_and_is_never_on_both_sides(tmp_path, caplog):
    rows = [(f"What is {n} + {n}?", str(2 * n)) for n in range(40)]
    mixture = Mixture(
        {
            "b": table(tmp_path / "b.jsonl", rows[:30]),
            "a": table(tmp_path / "a.jsonl", rows[10:], held_out=20),
        }
    )
    with caplog.at_level(logging.WARNING):
        split = mixture.load(0)
    ids = [prompt.id for prompt in (*split.train, *split.held_out)]
    assert len(set(ids)) == len(ids) == 40
    assert {prompt.gold for prompt in (*split.train, *split.held_out)} == {r[1] for r in rows}
    # Held out in "a" or, alone, in "b"; the rest of what both have is the first one's by name.
    own = {p.question: p.source for p in (*split.train, *split.held_out)}
    assert all(own[q] == "a" for q, _ in rows[30:])
    assert all(own[q] == "b" for q, _ in rows[:10])
    assert "are in a source before it and count there" in caplog.text
    assert "are held out in another source and left out" in caplog.text


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({}, r"data.source.sources: give at least one"),
        (
            {"a/b": {"_target_": "p2o.data.sources.DigitLists"}},
            r"data.source.sources: 'a/b' is no name; give letters",
        ),
        ({"a": None}, r"data.source.sources: give at least one"),
        ({"a": 3}, r'data.source.sources={"a":3}: give a mapping, {name: value}'),
        (
            {"a": 3, "b": {"_target_": "p2o.data.sources.DigitLists"}},
            r"data.source.sources.a: it makes no prompts",
        ),
        (
            {"a": {"_target_": "p2o.data.sources.DigitLists", "train": 0}},
            r"data.source.sources.a.train=0: give at least 1",
        ),
        (
            {"a": {"_target_": "p2o.data.sources.DigitLists", "held_uot": 3}},
            r"data.source.sources.a.held_uot: no such key; did you mean held_out",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(sources, message):
    node = OmegaConf.create({"_target_": "p2o.data.mixture.Mixture", "sources": sources})
    with pytest.raises(UserError, match=message):
        build(node, "data.source")


def test_a_file_that_is_not_there_is_named_with_its_source(tmp_path):
    there = table(tmp_path / "rows.jsonl", [("1 + 1?", "2")])
    mixture = Mixture({"a": there, "b": TableSource("none.jsonl", question="q")})
    with pytest.raises(UserError, match=r"^sources.b.path=none.jsonl: "):
        mixture.check_there()
    with pytest.raises(UserError, match=r"^sources.b.path=none.jsonl: "):
        Mixture({"b": TableSource("none.jsonl", question="q")}).load(0)


def test_a_gold_answer_is_looked_at_by_the_verifier_of_its_source(tmp_path):
    rows = [("Which?", "a word"), *[(f"{n} + 1?", str(n + 1)) for n in range(9)]]
    source = table(tmp_path / "rows.jsonl", rows)
    split = Mixture({"numbers": source}).load(0)
    [(prompt, reason)] = found = unusable_golds([*split.train, *split.held_out], _by_source())
    assert prompt.gold == "a word"
    assert "'a word'" in reason
    with pytest.raises(UserError, match="row 0 of numbers: "):
        with_usable_golds(split, found, 0.0)
    nameless = Split(*([p for p in source.load(0).train if p.gold != "a word"],) * 2)
    with pytest.raises(UserError, match=r"^verifiers: none for prompts without a source"):
        unusable_golds([*nameless.train, *nameless.held_out], _by_source())


def _by_source() -> BySource:
    return BySource({"numbers": Numeric()})


def _group(source: str, *rewards: float | None) -> list[Rollout]:
    prompt = Prompt((), "", source or "none", source=source)
    scores = [
        Score(0.0, Status.ERROR) if reward is None else Score(reward, Status.OK)
        for reward in rewards
    ]
    ids = (1,)
    return [
        Rollout(prompt, "", ids, ids, Context.BARE, Completion((1,) * 4, "stop", (0.0,) * 4), "", s)
        for s in scores
    ]


def test_metrics_of_training_are_told_for_each_source():
    groups = [_group("a", 1.0, 1.0), _group("b", 0.0, 0.5), _group("b", 1.0, None)]
    metrics = rollout_metrics(groups)
    assert metrics["reward/solved"] == 3 / 5
    assert metrics["reward/a/solved"] == 1.0
    assert metrics["reward/b/solved"] == 1 / 3
    assert metrics["reward/b/mean"] == 0.5
    assert metrics["groups/a/dead"] == 1.0
    assert metrics["groups/b/dead"] == 0.5
    assert metrics["verifier/a/failed"] == 0.0
    assert metrics["verifier/b/failed"] == 0.25
    one = rollout_metrics([_group("", 1.0, 0.0)])
    assert not [name for name in one if name.count("/") > 1]


def test_accuracies_of_an_evaluation_are_told_for_each_source():
    accuracies = torch.tensor([1.0, 0.0, 0.5])
    hard = torch.zeros(3, dtype=torch.bool)
    batch = EvaluationBatch(accuracies, 0.5, 0.0, hard, 0, ["b", "a", "b"])
    assert {name: values.tolist() for name, values in batch.by_source().items()} == {
        "a": [0.0],
        "b": [1.0, 0.5],
    }
    assert EvaluationBatch(accuracies, 0.5, 0.0, hard, 0, ["", "", ""]).by_source() == {}
