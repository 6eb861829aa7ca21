"""One bare attempt and one reflection for each hard sample."""

from dataclasses import replace

from p2o.evolution import single_turn
from p2o.evolution.single_turn import SingleTurnReflection
from p2o.running.seeds import derive_seed
from p2o_callbacks import Evolution, PromptPool, Template, TemplateTrial

HARD = ["c", "a", "b"]


class World:
    def __init__(self):
        self.asked = []

    def evaluate(self, pairs):
        self.asked.append(list(pairs))
        return [
            TemplateTrial(0.0, False, f"question {s}", f"reply {s}", f"not {s}") for s, _ in pairs
        ]


class Writer:
    """Answers with what it was shown; fails for some questions."""

    def __init__(self, *, silent=(), same=False):
        self.batches, self.silent, self.same = [], silent, same

    def bind(self, engine, renderer):
        raise AssertionError("evolution does not bind")

    def reflect(self, requests) -> list[str | None]:
        self.batches.append(requests)
        return [self.write(request.records[0]["Inputs"]) for request in requests]

    def write(self, question):
        if question in self.silent:
            return None
        return "the same" if self.same else f" for {question}\n"


def evolve(world, writer, hard=HARD, **options):
    reports = []
    found = SingleTurnReflection(writer, **options).evolve(
        hard, world.evaluate, group_size=4, seed=7, report=reports.append
    )
    return found, reports


def test_every_sample_gets_the_template_written_for_it():
    world, writer = World(), Writer()
    found, reports = evolve(world, writer)
    assert world.asked == [[("a", ""), ("b", ""), ("c", "")]]
    [requests] = writer.batches
    assert [request.template for request in requests] == ["", "", ""]
    assert requests[1].records == [
        {
            "Inputs": "question b",
            "Generated Outputs": "reply b",
            "Feedback": "not b",
            "score": 0.0,
            "solved": False,
        }
    ]
    assert [request.seed for request in requests] == [derive_seed(7, sample) for sample in "abc"]
    assert found.metric_calls == 3
    assert {s: found.pool.text_for(s, 3) for s in HARD} == {
        sample: f"for question {sample}" for sample in HARD
    }
    assert all(drawn == (drawn[0],) * 4 for drawn in found.pool.assignment.values())
    assert all(template.score is None for template in found.pool.templates)
    assert reports[-1].metric_calls == reports[-1].budget == 3


def test_a_sample_whose_reflection_failed_stays_bare():
    found, _ = evolve(World(), Writer(silent=["question a"]))
    assert found.pool.text_for("a", 0) == ""
    assert set(found.pool.assignment) == {"b", "c"}


def test_equal_texts_are_one_template():
    found, _ = evolve(World(), Writer(same=True))
    assert found.pool.templates == (Template("the same", score=None),)
    assert found.pool.assignment == {sample: (0, 0, 0, 0) for sample in HARD}


def test_too_few_samples_spend_nothing():
    world, writer = World(), Writer()
    assert evolve(world, writer, minimum=4)[0] == Evolution(PromptPool())
    assert evolve(world, writer, hard=[])[0] == Evolution(PromptPool())
    assert world.asked == writer.batches == []


def test_later_hard_samples_keep_their_own_template_or_draw_that_of_another():
    evolver, world = SingleTurnReflection(Writer()), World()
    pool = evolver.evolve(HARD, world.evaluate, group_size=4, seed=7, report=lambda p: None).pool
    later = ["b", *(f"new-{number}" for number in range(60))]
    dealt = evolver.deal(pool, later, group_size=4, seed=7)
    assert list(dealt) == sorted(later)
    assert dealt["b"] == pool.assignment["b"]
    assert all(len(drawn) == 4 and len(set(drawn)) == 1 for drawn in dealt.values())
    assert {drawn[0] for drawn in dealt.values()} == set(pool.cover)
    assert evolver.deal(pool, later[::-1], group_size=4, seed=7) == dealt


def test_a_sample_whose_attempt_got_no_verdict_stays_bare():
    class Unjudged(World):
        def evaluate(self, pairs):
            return [
                replace(
                    trial,
                    score=1.0 if pair[0] == "a" else 0.0,
                    solved=None if pair[0] == "b" else False,
                )
                for pair, trial in zip(pairs, super().evaluate(pairs), strict=True)
            ]

    writer = Writer()
    found, reports = evolve(Unjudged(), writer)
    assert set(found.pool.assignment) == {"a", "c"}
    assert len(writer.batches[0]) == 2
    assert reports[0].best_score == 0.5


def test_a_pool_of_many_templates_compares_none_with_all_others():
    compared = []

    class Counted(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(other)
            return str.__eq__(self, other)

    used = {f"s{number}": Counted(f"Think {number % 200}.") for number in range(400)}
    pool = single_turn._pool(used, 2)
    assert len(pool.templates) == 200
    assert pool.assignment["s3"] == pool.assignment["s203"] == (3, 3)
    assert all(pool.text_for(sample, 1) == str(text) for sample, text in used.items())
    assert len(compared) <= 2000
