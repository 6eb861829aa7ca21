"""Packed rows are their samples: nothing is lost, added or seen that a sample does not have."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2o.policy.attention import visible_blocks
from p2o.policy.packing import ALWAYS, Packer, common_beginning, nothing
from p2o.sample import Sample
from tests.unpack import seen

# Of so few tokens that samples begin alike, repeat each other and end where others go on.
TOKENS = st.integers(0, 2)


@st.composite
def samples(draw, least=1):
    """Any samples; some tokens in the middle are not learned, and the first never is."""
    contexts = draw(st.lists(st.lists(TOKENS, min_size=1, max_size=6), min_size=1, max_size=3))
    made = []
    for _ in range(draw(st.integers(least, 12))):
        context = draw(st.sampled_from(contexts))
        completion = draw(st.lists(TOKENS, min_size=1, max_size=6))
        size = len(completion)
        chosen = draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
        made.append(Sample.of(context, completion, chosen))
    return made


def test_a_first_token_cannot_be_learned():
    with pytest.raises(ValueError, match="first token"):
        Sample.of([], [1, 2])


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, 4])
@given(samples(), st.builds(Packer, longest=st.just(ALWAYS), pass_tokens=st.integers(1, 60)))
def test_blocks_of_a_sparse_mask_are_those_in_which_something_is_seen(size, made, packer):
    for packed, _ in packer.pack(made):
        if packed.tree is None:
            continue
        mask = packed.tree.mask()[:, 0]
        length = mask.shape[-1]
        # Padding is seen by padding alone, and nobody reads it.
        there = torch.arange(length) < packed.lengths[:, None]
        mask = mask & there[:, :, None] & there[:, None, :]
        blocks = visible_blocks(packed.tree, size)
        for row, query, key in product(range(len(mask)), *[range(blocks.shape[-1])] * 2):
            part = mask[row, query * size :, key * size :][:size, :size]
            whole = bool(there[row, query * size :][:size].all())
            assert not part.any() or blocks[row, query, key]
            if whole:
                assert bool(blocks[row, query, key]) == bool(part.any())


PACKERS = st.builds(
    Packer,
    longest=st.sampled_from([0, 1, 3, 5, 8, ALWAYS]),
    width=st.sampled_from([None, 1, 4, 64]),
    pass_tokens=st.integers(1, 60),
    alone_above=st.sampled_from([None, 2, 4, 7]),
)


def learned(sample: Sample) -> list[tuple[tuple[int, ...], int]]:
    """Each learned token, and all that stands before it."""
    places = sample.loss_mask.nonzero()[:, 0].tolist()
    return [(sample.token_ids[:place], sample.token_ids[place]) for place in places]


def prefixes(made: list[Sample]) -> set[tuple[int, ...]]:
    return {s.token_ids[:end] for s in made for end in range(1, len(s.token_ids) + 1)}


def places(sample: Sample, paths: dict[tuple[int, ...], int]) -> list[int]:
    """Where in its row a sample's tokens are."""
    return [paths[sample.token_ids[: end + 1]] for end in range(len(sample.token_ids))]


@given(samples(), PACKERS)
def test_every_learned_token_is_there_once_and_predicted_from_what_its_sample_has_before_it(
    made, packer
):
    passes = packer.pack(made)
    assert sorted(index for _, indices in passes for index in indices) == [*range(len(made))]
    for packed, indices in passes:
        expected = [pair for index in indices for pair in learned(made[index])]
        assert list(zip(seen(packed), packed.targets.tolist(), strict=True)) == expected


@given(samples(), PACKERS)
def test_a_token_of_a_row_sees_its_own_beginning_and_stands_for_no_other(made, packer):
    """The definition: what is seen, in order, is a beginning of a sample, each of them once."""
    for packed, indices in packer.pack(made):
        rows, width = packed.input_ids.shape
        masks = torch.ones(width, width, dtype=torch.bool).tril().expand(rows, -1, -1)
        positions = torch.arange(width).expand(rows, -1)
        if packed.tree is not None:
            masks, positions = packed.tree.mask()[:, 0], packed.tree.positions
        of_rows = []
        for row, length in enumerate(packed.lengths.tolist()):
            paths: dict[tuple[int, ...], int] = {}
            for place in range(length):
                path = tuple(packed.input_ids[row][masks[row, place]].tolist())
                assert positions[row, place] == len(path) - 1
                assert path not in paths
                paths[path] = place
            of_rows.append(paths)
        mine = [made[index] for index in indices]
        # All tokens of the rows are beginnings of samples, and all beginnings are there.
        assert set().union(*of_rows) == prefixes(mine)
        for row, paths in enumerate(of_rows):
            here = [sample for sample in mine if sample.token_ids in paths]
            assert set(paths) == prefixes(here)
            # By brute force: a token sees exactly the tokens before it in a sample that it is of.
            expected = torch.zeros(width, width, dtype=torch.bool)
            for sample in here:
                own = places(sample, paths)
                for depth, place in enumerate(own):
                    expected[place, own[: depth + 1]] = True
            length = int(packed.lengths[row])
            assert torch.equal(masks[row, :length], expected[:length])
        assert packed.tokens == sum(map(len, of_rows))


@given(samples(), PACKERS)
def test_only_what_fits_into_a_window_is_under_a_mask(made, packer):
    for packed, indices in packer.pack(made):
        if packed.tree is not None:
            assert max(len(made[index].token_ids) for index in indices) <= packer.longest


@given(samples(), PACKERS, st.integers(1, 12))
def test_a_sample_that_others_would_suffer_from_has_a_pass_of_its_own(made, packer, alone_above):
    packer = replace(packer, alone_above=alone_above)
    few = [sample for sample in made if len(sample.token_ids) <= alone_above]
    passes = packer.pack(made)
    long = [indices for _, indices in passes if len(made[indices[0]].token_ids) > alone_above]
    assert all(len(indices) == 1 for indices in long)
    assert len(long) == len(made) - len(few)
    # The others are where they would be without it.
    assert [(p.input_ids.tolist(), p.tree is None) for p, _ in passes[len(long) :]] == [
        (p.input_ids.tolist(), p.tree is None)
        for p, _ in replace(packer, alone_above=None).pack(few)
    ]


def test_samples_that_are_read_one_by_one_are_told_of_once(caplog):
    short, long = (Sample.of([1] * size, [2]) for size in (3, 60))
    for samples in ([short], [short, long], [long]):
        Packer(59).pack(samples)
        Packer(ALWAYS, alone_above=58).pack(samples)
    Packer(0).pack([long])
    assert [record.getMessage()[:34] for record in caplog.records] == [
        "rollouts of more than 59 tokens, t",
        "rollouts of more than 58 tokens, w",
    ]


@given(samples(), st.integers(1, 60))
def test_where_sharing_is_free_no_beginning_is_read_twice(made, pass_tokens):
    everything = sum(len(sample.token_ids) for sample in made)
    whole = Packer(ALWAYS, None, everything).pack(made)
    assert sum(packed.tokens for packed, _ in whole) == len(prefixes(made))
    apart = Packer(0, None, pass_tokens).pack(made)
    assert sum(packed.tokens for packed, _ in apart) == everything
    assert all(packed.tree is None for packed, _ in apart)


@given(samples(), PACKERS)
def test_a_pass_has_no_more_tokens_than_it_may_unless_it_is_one_sample(made, packer):
    for packed, indices in packer.pack(made):
        rows, width = packed.input_ids.shape
        assert len(indices) == 1 or rows * width <= packer.pass_tokens
        assert width == packed.lengths.max()


@given(samples(), PACKERS)
def test_no_row_could_stand_where_another_is_padded(made, packer):
    for packed, indices in packer.pack(made):
        if max(len(made[index].token_ids) for index in indices) <= packer.longest:
            one, other = [*sorted(packed.lengths.tolist()), packed.lengths.max()][:2]
            assert len(packed.lengths) == 1 or one + other > packed.lengths.max()


@given(samples(), st.integers(1, 60))
def test_nothing_is_padded_under_a_sparse_mask_but_what_no_row_has_room_for(made, pass_tokens):
    passes = Packer(ALWAYS, None, pass_tokens).pack(made)
    cells = [packed.input_ids.numel() for packed, _ in passes]
    assert len(passes) == 1 or sum(cells[:2]) > pass_tokens


def test_samples_without_a_common_beginning_stand_in_one_row_where_padding_would_stand():
    """30 tokens as three rows of 12 would be 36 cells, 6 of them padding."""
    made = [Sample.of([first], [first] * (size - 1)) for first, size in ((1, 12), (2, 6), (3, 5))]
    [(packed, indices)] = Packer(ALWAYS, 8).pack(made)
    assert packed.input_ids.tolist() == [[1] * 12, [2] * 6 + [3] * 5 + [0]]
    assert indices == [0, 1, 2]
    assert packed.tree is not None
    assert packed.tree.positions.tolist()[1][:11] == [*range(6), *range(5)]
    # A model that cannot be told what a token sees gets them one by one.
    [(apart, _)] = Packer(0, 8).pack(made)
    assert apart.input_ids.shape == (3, 12)
    assert apart.tree is None


@given(samples(), PACKERS)
def test_no_token_has_a_position_that_no_sample_has(made, packer):
    """Padding neither: a model may have no such position, or turn others by the largest."""
    for packed, indices in packer.pack(made):
        if packed.tree is not None:
            longest = max(len(made[index].token_ids) for index in indices)
            assert packed.tree.positions.max() == longest - 1


@pytest.mark.slow
@given(samples(), PACKERS, st.randoms())
def test_the_order_of_samples_does_not_change_the_rows(made, packer, random):
    def rows(samples):
        return [(p.input_ids.tolist(), p.lengths.tolist()) for p, _ in packer.pack(samples)]

    shuffled = [*made]
    random.shuffle(shuffled)
    tokens = [sum(sum(lengths) for _, lengths in rows(order)) for order in (made, shuffled)]
    assert tokens[0] == tokens[1]
    assert rows(made) == rows(shuffled)


def test_branches_share_a_dense_row_where_that_costs_less_than_what_they_share():
    """Pairs of tokens that see nothing of each other are paid for under a dense mask."""

    def tokens(prompt, response, width):
        made = [Sample.of([1] * prompt, [branch] * response) for branch in (2, 3)]
        return sum(packed.tokens for packed, _ in Packer(ALWAYS, width).pack(made))

    # 10 tokens saved of 24 * 8^2 operations, for 2 * 5 * 15 pairs of 4 * 8.
    assert tokens(10, 5, 8) == 20
    assert tokens(10, 50, 8) == 120
    assert tokens(10, 50, 1000) == 110
    assert tokens(10, 50, None) == 110


@given(samples(least=0), st.integers(1, 5))
def test_parts_have_every_sample_once_and_about_equally_many_tokens(made, parts):
    shares = Packer(ALWAYS).split_evenly(made, parts)
    assert len(shares) == parts
    assert sorted(index for share in shares for index in share) == [*range(len(made))]
    # Siblings stay together: one part after another is in lexicographic order.
    order = [made[index].token_ids for share in shares for index in share]
    assert order == sorted(order)
    costs = {}
    before: tuple[int, ...] = ()
    for index in (index for share in shares for index in share):
        ids = made[index].token_ids
        costs[index] = sum(ids[: end + 1] != before[: end + 1] for end in range(len(ids)))
        before = ids
    sizes = [sum(costs[index] for index in share) for share in shares]
    fair = sum(sizes) / parts
    assert all(abs(size - fair) <= max(costs.values(), default=0) for size in sizes)


@pytest.mark.parametrize(
    ("packer", "halves"),
    [
        # 16 tokens and 4 more are as many as 20, where the first prompt is read once.
        (Packer(ALWAYS), [[0, 1, 2, 3, 4], [5, 6]]),
        # Three are read for 48 tokens of 100.
        (Packer(), [[0, 1, 2], [3, 4, 5, 6]]),
        (Packer(15), [[0, 1, 2], [3, 4, 5, 6]]),
        (Packer(ALWAYS, alone_above=15), [[0, 1, 2], [3, 4, 5, 6]]),
    ],
    ids=["shared", "rows", "window", "alone"],
)
def test_a_prompt_that_is_not_shared_counts_for_each_sample(packer, halves):
    siblings = [Sample.of([1] * 15, [branch]) for branch in range(2, 7)]
    others = [Sample.of([branch] * 5, [2] * 5) for branch in (7, 8)]
    assert packer.split_evenly([*siblings, *others], 2) == halves


def test_a_sample_that_shares_no_row_is_not_shared_with_either():
    """Its neighbours share with each other what they have in common."""
    long = Sample.of([1] * 20, [3] * 10)
    others = [Sample.of([1] * 20, [branch]) for branch in (2, *range(4, 24))]
    # 21 tokens, 30, and 1 for each of twenty: the middle of the long one is the 36th of 71.
    shares = Packer(25).split_evenly([long, *others], 2)
    assert shares == [[1], [0, *range(2, 22)]]


def test_a_filler_is_one_short_row():
    packed = nothing()
    assert packed.input_ids.shape == (1, 2)
    assert packed.tree is None
    assert len(packed.targets) == len(packed.predictors) == 1


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [("", "", 0), ("a", "", 0), ("ab", "abc", 2), ("abd", "abc", 2), ("abc", "abc", 3)],
)
def test_common_beginnings(one, other, common):
    arrays = (torch.tensor([ord(letter) for letter in text]).numpy() for text in (one, other))
    assert common_beginning(*arrays) == common


def test_a_sample_keeps_what_belongs_to_its_tokens_beside_them():
    sample = Sample.of([1, 2], [5, 6, 7, 8], [True, False, True, True]).with_streams(
        advantages=2.0, old_log_probs=torch.tensor([-1.0, -2.0, -3.0]), token_weights=None
    )
    assert sample.learned == 3
    assert sample.streams.keys() == {"advantages", "old_log_probs"}
    kept = sample.keep(torch.tensor([True, False, True]))
    assert kept.token_ids == sample.token_ids
    assert kept.loss_mask.tolist() == [False, False, True, False, False, True]
    assert kept.streams["old_log_probs"].tolist() == [-1.0, -3.0]
    assert kept.streams["advantages"].tolist() == [2.0, 2.0]
    # What it was made of is as it was.
    assert sample.loss_mask.sum() == 3
