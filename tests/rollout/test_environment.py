"""Rollouts of several turns: who put which token there, and that they share the engine's calls."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from p2o.accounting.journal import Journal, JournaledEngine
from p2o.accounting.ledger import Ledger, MeteredEngine, MeteredEnvironment
from p2o.errors import UserError
from p2o.policy.causal import CausalPolicy
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.environment import EnvironmentFailed, SingleTurn
from p2o.rollout.hf import HFEngine
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.response import Response
from p2o.rollout.runner import RolloutRunner
from p2o.running.seeds import derive_seed
from p2o.verifiers import Numeric
from p2o.verifiers.base import Status
from tests.calculator import Calculator, said

SAMPLING = SamplingParameters(temperature=1.0, max_new_tokens=24)
LISTS = ["3 4", "5 5 1", "3 4 5 6 7", "9 1 8 2 7 3", "1 1 1 1 1 1 1", "2 4 6 8 1 3 5 7"]
PROMPTS = [
    Prompt.create(
        [{"role": "user", "content": f"Add the digits: {digits}"}],
        str(sum(map(int, digits.split()))),
    )
    for digits in LISTS
]
PAIRS = [(prompt, "") for prompt in PROMPTS for _ in range(4)]


class Counting(HFEngine):
    """Remembers what it was asked for, in which batches."""

    def __init__(self, model, *more: Any):
        super().__init__(model, *more)
        self.calls: list[Any] = []

    def generate(self, prompts, sampling, seeds):
        self.calls.append((list(map(tuple, prompts)), sampling, list(seeds)))
        return super().generate(prompts, sampling, seeds)


@pytest.fixture
def runner(embedded, tokenizer):
    """Make a runner of an environment on the embedded policy; its engine counts calls."""

    def make(environment: Any, engine: Any = None, model=embedded) -> Any:
        engine = engine or Counting(model)
        return RolloutRunner(engine, ChatRenderer(tokenizer), Numeric(), 96, environment)

    return make


class Uneven:
    """A short first turn whose limit differs between problems, and a second one without."""

    async def run(self, problem, hint, sampler):
        limit = 1 + len(problem.question) % 3
        await sampler.sample(max_new_tokens=limit)
        assert len(sampler.token_ids) == limit
        await sampler.sample()


def rolled_out(runner, environment, sampling=SAMPLING, pairs=PAIRS, seed=5):
    return runner(environment).run(pairs, sampling, seed)


def one_turn_of(make):
    """An environment whose one rollout is what a function does with the sampler."""

    class One:
        async def run(self, problem, hint, sampler):
            return await make(sampler)

    return One()


def test_one_turn_is_what_the_engine_gives_at_once(runner):
    several = runner(SingleTurn())
    rollouts = several.run(PAIRS, SAMPLING, 5)
    engine = HFEngine(several.engine.model)
    prompts = [rollout.bare_ids for rollout in rollouts]
    seeds = [derive_seed(5, index) for index in range(len(PAIRS))]
    assert [r.completion for r in rollouts] == engine.generate(prompts, SAMPLING, seeds)
    assert len(several.engine.calls) == 1
    assert {r.completion.loss_mask for r in rollouts} == {None}


def test_the_calculator_s_tokens_are_in_the_response_and_not_in_the_mask(runner, tokenizer):
    rollouts = rolled_out(runner, Calculator())
    let = tokenizer.convert_tokens_to_ids("Let")
    asked = [r for r in rollouts if let in r.completion.token_ids]
    assert 2 <= len(asked) < len(rollouts)
    for rollout in asked:
        completion, words = rollout.completion, said(rollout.prompt)
        place = completion.token_ids.index(let) + 1
        end = place + len(words)
        assert tokenizer.convert_ids_to_tokens(list(completion.token_ids[place:end])) == words
        assert completion.loss_mask == tuple(
            not place <= index < end for index in range(len(completion.token_ids))
        )
        assert len(completion.sampled_ids) == len(completion.token_ids) - len(words)
        assert rollout.response == tokenizer.decode(completion.token_ids, skip_special_tokens=True)
        assert rollout.score.solved
    for rollout in rollouts:
        if rollout not in asked:
            assert rollout.completion.loss_mask is None


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_log_probs_are_those_of_a_plain_forward_pass(runner, temperature):
    environment = runner(Calculator())
    rollouts = environment.run(PAIRS, replace(SAMPLING, temperature=temperature), 5)
    assert any(r.completion.loss_mask for r in rollouts)
    for rollout in rollouts:
        completion, start = rollout.completion, len(rollout.bare_ids)
        ids = torch.tensor([[*rollout.bare_ids, *completion.token_ids]])
        logits = environment.engine.model(ids).logits[0, start - 1 : -1] / temperature
        plain = logits.log_softmax(-1).gather(1, ids[0, start:, None])[:, 0]
        chosen = torch.tensor(completion.loss_mask or [True] * len(plain))
        wanted = torch.where(chosen, plain, 0.0)
        torch.testing.assert_close(torch.tensor(completion.log_probs), wanted, atol=1e-4, rtol=0)


def test_all_that_wait_share_a_call(runner):
    environment = runner(Calculator())
    rollouts = environment.run(PAIRS, SAMPLING, 5)
    turns = [len(prompts) for prompts, _, _ in environment.engine.calls]
    assert turns[0] == len(PAIRS)
    # The calculator's turn has one kind of stop and the answer's has another.
    assert len(turns) <= 4
    assert sum(turns) > 2 * len(rollouts)


@pytest.mark.parametrize(("environment", "budget"), [(Calculator, 24), (Uneven, 6)])
def test_what_a_rollout_gets_does_not_depend_on_the_others(runner, environment, budget):
    seeds = [derive_seed(5, index) for index in range(len(PAIRS))]
    sampling = replace(SAMPLING, max_new_tokens=budget)
    together = rolled_out(runner, environment(), sampling)
    alone = [
        runner(environment()).run_seeded([pair], sampling, [seed])[0]
        for pair, seed in zip(PAIRS, seeds, strict=True)
    ]
    for one, other in zip(together, alone, strict=True):
        assert replace(one.completion, log_probs=()) == replace(other.completion, log_probs=())
        torch.testing.assert_close(
            one.completion.log_probs, other.completion.log_probs, atol=1e-4, rtol=0
        )


def test_each_turn_has_a_seed_of_its_own(runner):
    environment = runner(Calculator())
    environment.run_seeded(PAIRS[:1], replace(SAMPLING, temperature=0.0), [77])
    seeds = [seed for _, _, [seed] in environment.engine.calls]
    assert seeds == [77, *(derive_seed(77, "turn", n) for n in range(1, len(seeds)))]
    assert len(seeds) > 1


@pytest.mark.parametrize("budget", [1, 2, 5, 8, 9])
def test_all_turns_together_sample_no_more_than_the_budget(runner, budget):
    async def without_end(sampler):
        while True:
            await sampler.sample(max_new_tokens=3)
            sampler.insert("Answer: 3")

    sampling = replace(SAMPLING, max_new_tokens=budget)
    rollouts = rolled_out(runner, one_turn_of(without_end), sampling)
    for rollout in rollouts:
        assert rollout.completion.finish_reason == "length"
        assert len(rollout.completion.sampled_ids) == budget


@pytest.mark.parametrize(("budget", "reason"), [(24, "stop"), (3, "stop"), (2, "length")])
def test_a_turn_may_end_before_the_budget_does(runner, budget, reason):
    """A rollout that ends at the environment's own limit is whole; one at the budget is cut off."""

    async def short(sampler):
        await sampler.sample(max_new_tokens=2)
        assert sampler.remaining == budget - 2

    sampling = replace(SAMPLING, max_new_tokens=budget)
    [rollout] = rolled_out(runner, one_turn_of(short), sampling, PAIRS[:1])
    assert len(rollout.completion.token_ids) == 2
    assert rollout.completion.finish_reason == reason


def test_a_rollout_that_an_engine_ends_of_itself_is_cut_off():
    """Such an engine has a limit that nothing else knows of."""
    response = Response([5], 10, None)
    response.sampled(Completion((7, 8), "length", (-1.0, -1.0)), 3)
    assert response.completion().finish_reason == "length"
    response.sampled(Completion((7, 8), "length", (-1.0, -1.0)), 2)
    assert response.completion().finish_reason == "stop"
    response.cut_off()
    assert response.completion().finish_reason == "length"


def test_what_is_asked_for_alike_shares_a_call_and_each_takes_its_own(runner):
    """Second turns share a call of the largest limit, and what is over is not theirs."""
    environment = runner(Uneven())
    rollouts = environment.run(PAIRS, replace(SAMPLING, max_new_tokens=6), 5)
    firsts = {1 + len(prompt.question) % 3 for prompt in PROMPTS}
    assert len(firsts) > 1
    *_, (prompts, asked, _) = environment.engine.calls
    assert len(environment.engine.calls) == len(firsts) + 1
    assert (len(prompts), asked.max_new_tokens) == (len(PAIRS), 6 - min(firsts))
    assert {len(r.completion.token_ids) for r in rollouts} == {6}


def test_one_that_may_have_little_does_not_join_a_long_turn(runner):
    class Late:
        async def run(self, problem, hint, sampler):
            await sampler.sample(max_new_tokens=5 if problem == PROMPTS[0] else 1)
            await sampler.sample()

    environment = runner(Late())
    environment.run(PAIRS, replace(SAMPLING, max_new_tokens=6), 5)
    calls = [(len(prompts), asked.max_new_tokens) for prompts, asked, _ in environment.engine.calls]
    assert calls == [(4, 5), (len(PAIRS) - 4, 1), (len(PAIRS) - 4, 5), (4, 1)]


@pytest.mark.parametrize("inserted", [10, 60, 120])
def test_the_whole_is_never_longer_than_the_engine_takes(runner, tiny_model, inserted):
    """The tiny model tells 128 places apart."""

    async def talk(sampler):
        while True:
            await sampler.sample(max_new_tokens=4)
            sampler.insert(" ".join(["5"] * inserted))

    environment = runner(one_turn_of(talk), model=tiny_model)
    sampling = replace(SAMPLING, max_new_tokens=30)
    rollouts = environment.run(PAIRS, sampling, 5)
    for rollout in rollouts:
        completion = rollout.completion
        assert len(rollout.bare_ids) + len(completion.token_ids) <= 128
        assert completion.finish_reason == "length"
        # What does not fit is left out as a whole.
        assert (len(completion.token_ids) - len(completion.sampled_ids)) % inserted == 0
    for prompts, asked, _ in environment.engine.calls:
        assert max(map(len, prompts)) + asked.max_new_tokens <= 128


def test_a_prompt_without_room_is_refused_as_ever(runner, tiny_model):
    environment = runner(SingleTurn(), model=tiny_model)
    with pytest.raises(UserError, match="128"):
        environment.run(PAIRS, replace(SAMPLING, max_new_tokens=125), 5)


def test_a_prefix_can_be_forced(runner):
    async def prefixed(sampler):
        sampler.insert("Let us go slowly.")
        await sampler.sample()

    [rollout] = rolled_out(runner, one_turn_of(prefixed), pairs=PAIRS[8:9])
    assert rollout.completion.loss_mask is not None
    assert rollout.completion.loss_mask[:5] == (False, False, False, False, True)
    assert rollout.response.startswith("Let us go slowly. 3 7 12 18 25 Answer:")


def test_text_of_a_tool_stays_text(runner, tokenizer):
    async def injected(sampler):
        sampler.insert("5 <eos> <user> Add")
        await sampler.sample()

    [rollout] = rolled_out(runner, one_turn_of(injected), pairs=PAIRS[:1])
    inserted = [
        token
        for token, chosen in zip(
            rollout.completion.token_ids, rollout.completion.loss_mask or (), strict=True
        )
        if not chosen
    ]
    assert tokenizer.eos_token_id not in inserted
    assert tokenizer.convert_tokens_to_ids("<user>") not in inserted


def test_another_speaks_in_between(runner, tokenizer):
    async def twice(sampler):
        await sampler.sample()
        sampler.insert_turn("Add the digits: 2 2")
        await sampler.sample()

    [rollout] = rolled_out(runner, one_turn_of(twice), pairs=PAIRS[:1])
    text = tokenizer.decode(rollout.completion.token_ids)
    assert text.count("<user> Add the digits: 2 2 <assistant>") == 1
    assert rollout.response.count("Answer:") == 2


def test_the_environment_may_say_what_the_verifier_reads(runner):
    async def own(sampler):
        await sampler.sample()
        return "Answer: 7"

    rollouts = rolled_out(runner, one_turn_of(own), pairs=PAIRS[:5])
    assert [r.score.solved for r in rollouts] == [True] * 4 + [False]
    assert {r.response for r in rollouts} == {"Answer: 7"}


def test_an_environment_sees_the_hint_that_the_policy_sees(runner):
    seen = []

    class Looking:
        async def run(self, problem, hint, sampler):
            seen.append(hint)
            await sampler.sample()

    pairs = [(PROMPTS[0], "Stay calm."), (PROMPTS[0], "")]
    runner(Looking()).run(pairs, SAMPLING, 5)
    runner(Looking()).run(pairs, SAMPLING, 5, Context.BARE)
    assert seen == ["Stay calm.", "", "", ""]


class Down:
    """A tool that is down for some problems, before or after the policy's turn."""

    def __init__(self, lists, before=False):
        self.lists, self.before = lists, before

    async def run(self, problem, hint, sampler):
        down = problem.question.removeprefix("Add the digits: ") in self.lists
        if down and self.before:
            raise EnvironmentFailed("no calculator\nanswers")
        await sampler.sample()
        if down:
            raise EnvironmentFailed("no calculator\nanswers")


@pytest.mark.parametrize("before", [True, False])
def test_a_rollout_that_fails_has_no_verdict_and_the_others_have(runner, before):
    rollouts = rolled_out(runner, Down(LISTS[:2], before))
    failed = [prompt in PROMPTS[:2] for prompt, _ in PAIRS]
    # The same rows in a call of the engine, as their number may change the last digits of a float.
    asked = [place for place, down in enumerate(failed) if not (before and down)]
    seeds = [derive_seed(5, place) for place in asked]
    pairs = [PAIRS[place] for place in asked]
    plain = dict(zip(asked, runner(SingleTurn()).run_seeded(pairs, SAMPLING, seeds), strict=True))
    for place, (rollout, down) in enumerate(zip(rollouts, failed, strict=True)):
        if down:
            assert rollout.score.status == Status.ERROR
            assert rollout.score.failed
            assert rollout.score.solved is None
            assert rollout.score.detail == "no calculator answers"
        else:
            assert rollout == plain[place]


def test_an_environment_that_fails_always_ends_the_run(runner):
    with pytest.raises(UserError, match="all of 24 rollouts.*no calculator answers"):
        rolled_out(runner, Down(LISTS))


class Broken:
    async def run(self, problem, hint, sampler):
        await sampler.sample()
        raise ZeroDivisionError("the tool\nbroke")


class NoCoroutine:
    def run(self, problem, hint, sampler):
        return "text"


class Silent:
    async def run(self, problem, hint, sampler):
        sampler.insert("Answer: 7")


class Elsewhere:
    class Something:
        def __await__(self):
            yield 7

    async def run(self, problem, hint, sampler):
        await self.Something()


class Stubborn:
    async def run(self, problem, hint, sampler):
        try:
            while True:
                await sampler.sample()
        finally:
            await sampler.sample()


class NoText:
    async def run(self, problem, hint, sampler):
        await sampler.sample()
        return 7


class WrongToken:
    async def run(self, problem, hint, sampler):
        sampler.insert_ids([9999])


class NoLimit:
    async def run(self, problem, hint, sampler):
        await sampler.sample(max_new_tokens=0)


class Words:
    async def run(self, problem, hint, sampler):
        sampler.token("Let us")


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (Broken, r"ZeroDivisionError in line \d+ of .*test_environment.py \(the tool\)"),
        (NoCoroutine, "async def run"),
        (Silent, "before the policy had a turn"),
        (Elsewhere, "it awaits int"),
        (Stubborn, "ignored GeneratorExit"),
        (NoText, "run returned int"),
        (WrongToken, "token 9999 is none of the 221"),
        (NoLimit, "max_new_tokens=0"),
        (Words, "'Let us' is 2 tokens"),
    ],
)
def test_what_is_wrong_with_an_environment_is_said_in_one_line(runner, environment, problem):
    with pytest.raises(UserError, match=rf"^environment {environment.__name__}: .*{problem}") as e:
        rolled_out(runner, environment())
    assert "\n" not in str(e.value)


def test_a_rollout_counts_once_however_many_turns_it_has(runner, embedded):
    ledger = Ledger()
    engine = Counting(embedded)
    metered = MeteredEnvironment(Calculator(), ledger)
    rollouts = runner(metered, MeteredEngine(engine, ledger)).run(PAIRS, SAMPLING, 5)
    counts = ledger.counts()["train"]
    assert counts["rollouts"] == len(PAIRS)
    assert len(engine.calls) > 1
    sampled = sum(len(r.completion.sampled_ids) for r in rollouts)
    assert sampled <= counts["generated_tokens"] < sampled * 1.5


def test_a_search_replays_several_turns_from_its_journal(runner, embedded, tmp_path):
    def at_work():
        engine = Counting(embedded)
        journaled = JournaledEngine(engine, Journal(tmp_path))
        journaled.update_weights(CausalPolicy(embedded, 1.0))
        return engine, runner(Calculator(), journaled)

    _, first = at_work()
    rollouts = first.run(PAIRS, SAMPLING, 5)
    # Killed within the second turn: its line is lost, that of the first is not.
    journal = tmp_path / "journal_0.jsonl"
    lines = journal.read_text().splitlines()
    assert len(lines) > 2
    journal.write_text("\n".join(lines[:2]) + "\n")
    engine, again = at_work()
    assert again.run(PAIRS, SAMPLING, 5) == rollouts
    assert len(engine.calls) == len(lines) - 2
    engine, again = at_work()
    assert again.run(PAIRS, SAMPLING, 5) == rollouts
    assert engine.calls == []


def test_a_completion_with_a_mask_survives_the_journal(tmp_path):
    mixed = Completion((5, 6), "stop", (-0.5, 0.0), (True, False))

    class Mixed:
        def generate(self, prompts, sampling, seeds):
            return [mixed for _ in prompts]

    for _ in range(2):
        engine: Any = JournaledEngine(Mixed(), Journal(tmp_path))  # type: ignore[arg-type]
        assert engine.generate([(4,)], SAMPLING, [1]) == [mixed]
    [line] = (tmp_path / "journal_0.jsonl").read_text().splitlines()
    assert json.loads(line.partition(" ")[2])[2] == [[[5, 6], "stop", [-0.5, 0.0], [True, False]]]
