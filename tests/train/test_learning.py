"""Training learns: the default reaches the bare prompt, and without either half it does not.

The embedded policy solves a quarter of the held-out problems before. See docs/embedded-world.md.
"""

import json

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ((), 0.9, 1.0),
        (("evolution=none",), 0.0, 0.4),
        (("distillation=no_distillation",), 0.0, 0.4),
    ],
    ids=["default", "without evolution", "without distillation"],
)
def test_the_bare_prompt_is_learned_with_templates_and_distillation_alone(
    p2o_train, tmp_path, settings, least, most
):
    run = p2o_train(*settings, "save_policy=null", f"hydra.run.dir={tmp_path}/run", timeout=1800)
    assert run.returncode == 0, run.stderr[-2000:]
    accuracy = json.loads((tmp_path / "run" / "summary.json").read_text())["accuracy"]
    assert accuracy["before"] < 0.3
    assert least <= accuracy["after"] <= most
