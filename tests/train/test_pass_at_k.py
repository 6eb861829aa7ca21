"""Several samples of each held-out problem tell what more attempts would."""

import csv

import pytest


@pytest.mark.slow
def test_every_evaluation_logs_pass_at_k_beside_accuracy(train_here):
    run = train_here(
        *("data.source.train=8", "data.source.held_out=16", "data.batch=8", "data.mini_batch=8"),
        *("data.group_size=2", "evolution=none", "trainer.max_epochs=1"),
        *("data.held_out_samples=5", "sampling.held_out.temperature=1.0"),
    )
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    assert len(rows) == 2
    for row in rows:
        # Of five samples pass@8 cannot be estimated.
        assert "val/pass_at_8" not in row
        accuracy, two, four = (
            float(row[f"val/{name}"]) for name in ("accuracy", "pass_at_2", "pass_at_4")
        )
        assert 0 < accuracy < two < four < 1
