import json
from types import SimpleNamespace
from typing import Any

from p2o.prompt import hint_id
from p2o.records.writing import append
from p2o.report.contents import Contents
from p2o.report.hints import HintNode, difference, hint_nodes, layout
from p2o.report.runs import read_run
from p2o.report.searches import Search
from p2o.report.sections import hints
from p2o.report.story import tell
from p2o_callbacks import Hint
from tests.report.world import COLUMNS, REJECTED, write_rejected, write_run


def node(index: int, *parents: int) -> HintNode:
    return HintNode(Search(1), index, hint_id(f"hint {index}"), f"hint {index}", parents)


def test_children_stand_below_their_first_parent_each_in_a_row_of_its_own():
    places = layout([node(0), node(1, 0), node(2, 0), node(3, 1), node(4, 2, 1)])
    assert places == [(0, 0), (1, 1), (1, 3), (2, 2), (2, 4)]


def test_a_node_whose_parent_is_not_there_is_a_root():
    assert layout([node(0), node(1, 7)]) == [(0, 0), (0, 1)]


def test_a_difference_holds_both_texts():
    before, after = "Add the two\nnumbers slowly.", "Add both numbers, slowly."
    pieces = difference(before, after)
    assert "".join(text for kind, text in pieces if kind != "in") == before
    assert "".join(text for kind, text in pieces if kind != "out") == after


def test_an_epoch_that_goes_on_with_the_same_pool_is_no_search(tmp_path):
    nodes = tell(read_run(write_run(tmp_path / "run"))).nodes
    assert {each.search for each in nodes} == {Search(1)}
    assert [each.in_use for each in nodes] == [False, False, True, False]


def test_hints_know_what_came_of_them_and_which_exchange_made_them(tmp_path):
    story = tell(read_run(write_run(tmp_path / "run")))
    use = story.hint_use[hint_id(COLUMNS[1])]
    assert (use.rollouts, use.solved) == (10, 2)
    assert (use.first, use.internalised) == (["b", "c"], ["b"])
    assert use.reliance == 0.25
    made = {each.text: each.exchange for each in story.nodes}
    assert made[COLUMNS[0]] is None
    exchange = made[COLUMNS[1]]
    assert exchange is not None
    assert exchange.prompt.startswith("Improve this: Think of columns.")


def test_without_records_the_tree_is_there_all_the_same(tmp_path):
    story = tell(read_run(write_run(tmp_path / "run", recorded=False)))
    assert [each.parents for each in story.nodes] == [(), (0,), (1,), (0,)]
    assert story.hint_use == {}


def test_what_a_search_did_not_keep_stands_behind_its_pool_with_the_reason(tmp_path):
    run = write_run(tmp_path / "run")
    write_rejected(run)
    tried, empty = tell(read_run(run)).rejected
    assert (tried.index, tried.text, tried.parents) == (4, REJECTED, (2,))
    assert (tried.before, tried.after) == (0.75, 0.25)
    assert tried.rejected == "no better than its parent on the minibatch"
    assert tried.exchange is not None
    assert tried.exchange.answer == REJECTED
    assert (empty.index, empty.text, empty.parents, empty.after) == (5, "", (2,), None)
    assert empty.exchange is None


def test_a_template_that_is_in_the_pool_and_not_in_use_is_not_told_again(tmp_path):
    run = write_run(tmp_path / "run")
    again = {"epoch": 1, "iteration": 1, "candidate": 7, "accepted": False, "reason": "no cover"}
    append(run, "candidates", [{**again, "hint": hint_id(COLUMNS[0])}])
    assert tell(read_run(run)).rejected == []


def test_a_search_that_found_the_same_as_the_one_before_is_a_search(tmp_path):
    run = write_run(tmp_path / "run")
    left = {"epoch": 2, "iteration": 1, "candidate": 1, "accepted": False, "parents": [0]}
    append(run, "candidates", [{**left, "hint": "", "reason": "nothing came"}])
    story = tell(read_run(run))
    assert {node.search for node in story.nodes} == {Search(1), Search(2)}
    [rejected] = story.rejected
    assert (rejected.search, rejected.index) == (Search(2), 4)


def test_searches_of_one_epoch_are_told_apart(tmp_path):
    run = write_run(tmp_path / "run")
    template = {"text": "Go left.", "parents": [], "score": None, "dev_scores": {}, "solved": []}
    (run / "evolution" / "epoch_0002_step_00000012.json").write_text(
        json.dumps({"epoch": 2, "step": 12, "templates": [template], "cover": [0]})
    )
    tried = {"epoch": 2, "step": 12, "iteration": 1, "hint": hint_id("Go left."), "parents": []}
    found = {**tried, "candidate": 0, "accepted": True, "reason": ""}
    # It has the number that another candidate has in the search before the epoch.
    left = {**tried, "candidate": 2, "hint": "", "accepted": False, "reason": "nothing came"}
    append(run, "candidates", [found, left])
    said = {"epoch": 2, "step": 12, "iteration": 1, "candidate": 0, "prompt": "How?"}
    append(run, "exchanges", [{**said, "answer": "Go left."}])
    story = tell(read_run(run))
    within = Search(2, 12)
    assert [each.search for each in story.nodes] == [Search(1)] * 4 + [within]
    [node] = [each for each in story.nodes if each.search == within]
    assert node.exchange is not None
    assert node.exchange.answer == "Go left."
    [before] = [each for each in story.nodes if each.text == COLUMNS[1]]
    assert before.exchange is not None
    assert before.exchange.prompt.startswith("Improve this")
    [rejected] = story.rejected
    assert (rejected.search, rejected.index) == (within, 1)
    contents = Contents([story], {"": [story.run]}, "")
    assert {"tree", "river"} <= contents.run_charts[story].keys()
    assert list(contents.run_charts[story]["tree"]) == [
        "epoch_0001",
        "epoch_0002_step_00000012",
    ]
    assert "in epoch 2, after step 12: 1 hint<" in hints(contents)


def test_a_hint_that_is_more_than_a_text_is_the_one_of_the_records_and_reads_as_text():
    hint = Hint("The plan: {plan}", columns=True)
    run: Any = SimpleNamespace(pools={Search(1): {"templates": [hint.content()], "cover": [0]}})
    [node] = hint_nodes(run)
    assert (node.hint, node.text) == (hint_id(hint.label), "The plan: {plan}")
