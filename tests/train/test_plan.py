"""``plan=true`` says what a run would take and does nothing else."""


def test_a_plan_is_printed_and_nothing_is_run(p2o_train, tmp_path):
    result = p2o_train("plan=true", f"hydra.run.dir={tmp_path}/run")
    assert result.returncode == 0, result.stderr
    assert "fits: " in result.stdout
    assert "optimiser steps an epoch" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "metrics.csv").exists()
