"""The search that comes with the callbacks."""

from itertools import starmap

import pytest

from p2o_callbacks import (
    ConfigurationError,
    HardSampleMiner,
    PromptEvolution,
    PromptPool,
    TemplateList,
    TemplateTrial,
)

HARD = [f"sum-{number}" for number in range(6)]


def helps(**solved_by):
    """An evaluation in which templates solve the samples that end in these digits."""

    def evaluate(pairs):
        solved = [sample[-1] in solved_by.get(text, "") for sample, text in pairs]
        return [TemplateTrial(float(right), right, "", "", "") for right in solved]

    return evaluate


def search(evaluate, templates=("think", "check", "guess"), hard=HARD, **options):
    reports = []
    found = TemplateList(templates, **options).evolve(
        hard, evaluate, group_size=4, seed=3, report=reports.append
    )
    return found, reports


def texts(pool):
    return [pool.templates[index].text for index in pool.cover]


def test_it_keeps_templates_that_solve_what_the_others_and_the_bare_prompt_do_not():
    found, _ = search(helps(think="0123", check="234", guess="01", **{"": "5"}))
    assert texts(found.pool) == ["think", "check"]
    assert [template.score for template in found.pool.templates] == [1 / 6, 4 / 6, 3 / 6, 2 / 6]


def test_a_sample_draws_among_the_templates_that_solve_it_and_else_among_all():
    found, _ = search(helps(think="01", check="234"))
    drawn = {
        sample: {found.pool.templates[index].text for index in indices if index is not None}
        for sample, indices in found.pool.assignment.items()
    }
    assert drawn["sum-0"] == drawn["sum-1"] == {"think"}
    assert drawn["sum-2"] == {"check"}
    assert drawn["sum-5"] <= {"think", "check"}
    assert all(len(indices) == 4 for indices in found.pool.assignment.values())


def test_where_nothing_helps_all_are_rolled_out_bare():
    found, _ = search(helps(**{"": "1", "think": "1"}))
    assert not found.pool.in_use
    assert not found.pool.assignment
    assert found.metric_calls == 24


def test_an_empty_hard_set_costs_nothing():
    found, reports = search(helps(), hard=[])
    assert found.pool == PromptPool()
    assert (found.metric_calls, reports) == (0, [])


def test_it_tries_as_many_samples_as_it_is_told_and_reports_what_that_took():
    found, reports = search(helps(think="012345"), dev_size=2)
    assert found.metric_calls == 2 * 4
    assert [(report.metric_calls, report.budget) for report in reports] == [
        (2, 8),
        (4, 8),
        (6, 8),
        (8, 8),
    ]
    assert [report.best_score for report in reports] == [0.0, 1.0, 1.0, 1.0]
    assert set(found.pool.assignment) == set(HARD)


def test_the_same_seed_finds_the_same_in_whatever_order_samples_come():
    evaluate = helps(think="012", check="345")
    assert search(evaluate)[0] == search(evaluate, hard=HARD[::-1])[0]


def test_a_trial_without_a_verdict_is_no_score(project):
    class Judged(project.Data):
        """No verdict on the first sample, nor on any that has a long template."""

        def evaluate_templates(self, pairs, seed):
            def verdict(name, text):
                return None if name == project.hard[0] or len(text) > 10 else bool(text)

            return [TemplateTrial(float(v is True), v, "", "", "") for v in starmap(verdict, pairs)]

    evolution = PromptEvolution(TemplateList(["Think.", "Think step by step."]))
    project.fit([HardSampleMiner(), evolution], epochs=2, data=Judged())
    bare, short, long = evolution.pool.templates
    assert (bare.score, short.score, long.score) == (0.0, 1.0, None)
    assert set(bare.dev_scores) == set(short.dev_scores) == set(project.hard[1:])
    assert long.dev_scores == {}
    assert texts(evolution.pool) == ["Think."]


@pytest.mark.parametrize(
    ("templates", "options"), [([], {}), ([" "], {}), (["think"], {"dev_size": 0})]
)
def test_settings_that_search_nothing_are_refused(templates, options):
    with pytest.raises(ConfigurationError, match="give at least"):
        TemplateList(templates, **options)
