"""A slip is taken for the key beside it; what a part really takes never is."""

from importlib.util import find_spec

import pytest
import yaml
from omegaconf import OmegaConf

from p2o.configuration.files import CONFIG_NAME, conf_directory
from p2o.configuration.misnamed import keys_beside
from p2o.configuration.overrides import check_overrides
from p2o.configuration.validation import find_target
from p2o.constraints import arguments_of
from p2o.errors import UserError


def parts(node):
    """Mappings with a target, at any depth."""
    if isinstance(node, dict):
        yield from [node] if "_target_" in node else []
        for child in node.values():
            yield from parts(child)
    elif isinstance(node, list):
        for child in node:
            yield from parts(child)


@pytest.mark.slow
def test_no_argument_that_a_file_leaves_out_is_taken_for_a_slip():
    looked_at = 0
    for path in sorted(conf_directory().rglob("*.yaml")):
        for part in parts(yaml.safe_load(path.read_text())):
            if find_spec(part["_target_"].partition(".")[0]) is None:
                continue
            found = arguments_of(find_target(OmegaConf.create(part), path.stem)).hints
            looked_at += len(found)
            left_out = [name for name in found if name not in part]
            assert [name for name in left_out if keys_beside(name, list(part))] == [], path
    assert looked_at > 500


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    ["trainer.gradient_clip_algorithm=norm", "trainer.min_epochs=1"],
)
def test_an_argument_that_resembles_a_key_is_told_how_to_be_given(setting):
    with pytest.raises(UserError, match=f"not in the configuration so far; write .{setting}$"):
        check_overrides([setting], CONFIG_NAME)
