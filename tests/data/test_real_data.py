"""Named data sets, whole, on real files; these are not part of the repository."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from p2o.configuration.build import CONFIG_NAME, build, conf_directory
from p2o.data.deepmath import DeepMath, answer_kind, balanced
from p2o.errors import UserError

ROOT = Path(__file__).parents[3] / "shared" / "data"
on_real_files = pytest.mark.skipif(not ROOT.is_dir(), reason=f"real data are not in {ROOT}")


def source(*overrides: str):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        config = compose(CONFIG_NAME, overrides=[f"data_root={ROOT}", *overrides])
    OmegaConf.resolve(config.data)
    return build(config.data.source, "data.source")


@pytest.mark.slow
@on_real_files
@pytest.mark.parametrize(
    ("data", "rows", "without_answer", "twice"),
    [
        ("gsm8k", 7473, 0, 0),
        ("math", 7474, 4, 0),
        ("deepscaler", 8449, 4, 18),
        ("svamp", 1000, 0, 0),
    ],
)
def test_every_row_of_a_named_set_becomes_a_prompt(data, rows, without_answer, twice):
    table = source(f"data={data}")
    prompts, rejected = table.read()
    assert len(prompts) + len(rejected) == rows
    assert [r.reason for r in rejected] == ["no 'answer'"] * without_answer
    assert len({prompt.id for prompt in prompts}) == len(prompts) - twice
    assert all(prompt.question.strip() and prompt.gold for prompt in prompts)


@pytest.mark.slow
@on_real_files
def test_the_published_sizes_are_drawn_and_nested():
    few, more = (source("data=deepscaler", f"data.source.train={n}").load(n) for n in (5000, 7900))
    assert (len(few.train), len(few.held_out)) == (5000, 500)
    assert {p.id for p in few.train} < {p.id for p in more.train}
    assert few.held_out == more.held_out


def deepmath_rows(path: Path) -> None:
    """Rows with DeepMath's columns."""
    import pyarrow
    import pyarrow.parquet

    draw = random.Random(0)
    rows = [
        {
            "question": f"Problem {n}?",
            "final_answer": draw.choice(["Yes", "No", "12", r"\frac{1}{2}", "x^2+1", r"\infty"]),
            "difficulty": draw.choice([-1.0, 3.0, 6.5, 7.0, 8.5]),
            "topic": "Algebra",
            "r1_solution_1": "...",
            "r1_solution_2": "...",
            "r1_solution_3": "...",
        }
        for n in range(4000)
    ]
    path.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.mark.slow
def test_deepmath_is_hard_and_balanced(tmp_path):
    deepmath_rows(tmp_path / "deepmath" / "part.parquet")
    sizes = ("data.source.train=700", "data.source.held_out=100")
    split = source("data=deepmath", f"data_root={tmp_path}", *sizes).load(0)
    prompts = split.train + split.held_out
    assert len(prompts) == 800
    assert all(prompt.meta["difficulty"] >= 7 for prompt in prompts)
    kinds = Counter(answer_kind(prompt.gold) for prompt in prompts)
    assert 0 < kinds["yes or no"] <= 0.05 * 800
    for part in (split.train, split.held_out):
        own = Counter(answer_kind(prompt.gold) for prompt in part)
        assert abs(own["number"] - own["expression"]) <= 1
    fewer = source("data=deepmath", f"data_root={tmp_path}", "data.source.held_out=100")
    few = replace(fewer, train=300).load(5)
    assert few.held_out == split.held_out
    assert few.train == split.train[:300]


@on_real_files
def test_hard_problems_of_math_are_taken_in_balance():
    problems = DeepMath(
        path=str(ROOT / "deepscaler" / "train_math.json"),
        question="{problem}",
        keep=("difficulty", "type"),
        least_difficulty=5.0,
        train=600,
        held_out=100,
    )
    split = problems.load(0)
    assert (len(split.train), len(split.held_out)) == (600, 100)
    assert all(float(p.meta["difficulty"]) >= 5 and p.meta["type"] for p in split.train)
    kinds = Counter(answer_kind(prompt.gold) for prompt in split.train)
    assert kinds == {"number": 300, "expression": 300}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"keep": ()}, "keep: has no 'difficulty'"),
        ({"keep": ("difficulty",), "yes_no_share": 2}, "yes_no_share=2: give 0 to 1"),
    ],
)
def test_settings_of_deepmath_that_cannot_work_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        DeepMath(path="nowhere.json", question="{q}", **settings)


@given(
    sizes=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 40), min_size=1),
    wanted=st.integers(0, 100),
    cap=st.floats(0, 1),
)
def test_any_number_from_the_front_keeps_caps_and_is_as_even_as_it_can_be(sizes, wanted, cap):
    groups = {kind: [f"{kind}{n}" for n in range(size)] for kind, size in sizes.items()}
    chosen = balanced(groups, {"a": cap})[:wanted]
    counts = Counter(item[0] for item in chosen)
    assert len(chosen) <= wanted
    assert counts["a"] <= cap * len(chosen) + 1e-9
    for kind, size in sizes.items():
        if kind != "a" and counts[kind] < size:
            # It was not used up, so no other got two more.
            assert max(counts.values(), default=0) <= counts[kind] + 1
    if "a" not in sizes:
        assert len(chosen) == min(wanted, sum(sizes.values()))
