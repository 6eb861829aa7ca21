"""What the page is given to work with: small things as JSON, rollouts packed, as they are many."""

import base64
import gzip
import json
import math
from collections.abc import Sequence
from typing import Any

from p2o.report.charts import COLOURS
from p2o.report.contents import Contents, rejected
from p2o.report.hints import HintNode, HintUse, difference
from p2o.report.problems import STATES
from p2o.report.story import RunStory
from p2o.running.finite import finite

DIGITS = 4
"""Of numbers of a rollout, behind the point."""
MOST_TOKENS = 200_000
"""Tokens that a page colours; what comes after them is shown as plain text."""
RATIO_DIGITS = 2
"""Of the log-ratio of a token, likewise."""


def page_data(contents: Contents) -> dict[str, Any]:
    """Charts and hints, of all runs."""
    names = [name for name in contents.joint_charts if name.startswith("accuracy:")]
    return {
        "colours": COLOURS,
        "axis": names[0].partition(":")[2] if names else "",
        "charts": contents.joint_charts,
        "runs": [
            {"charts": contents.run_charts[story], "hints": _hints(story)}
            for story in contents.stories
        ],
    }


def _hints(story: RunStory) -> list[dict[str, Any]]:
    left = [node for nodes in rejected(story).values() for node in nodes]
    known = {(node.search, node.index): node for node in (*story.nodes, *left)}
    found = []
    for node in known.values():
        use = None if node.rejected else story.hint_use.get(node.hint)
        found.append(
            {
                "search": node.search.key,
                "made": str(node.search),
                "index": node.index,
                "text": node.text,
                "blank": node.blank,
                "facts": "; ".join(_facts(node, use)),
                "parents": [
                    {"index": parent, "changes": difference(before.text, node.text)}
                    for parent in node.parents
                    if (before := known.get((node.search, parent))) is not None
                    and before is not node
                ],
                "exchange": [node.exchange.prompt, node.exchange.answer] if node.exchange else None,
                "first": use.first if use else [],
            }
        )
    return found


def _facts(node: HintNode, use: HintUse | None) -> list[str]:
    if node.rejected:
        scores = [
            f"{name} {value:.2f} on the problems reflected on"
            for name, value in (("its parent scored", node.before), ("it scored", node.after))
            if value is not None
        ]
        return [f"not kept: {node.rejected}", *scores]
    facts = [
        "in use in the next epoch" if node.in_use else "not in use",
        "dev score unknown" if node.score is None else f"dev score {node.score:.2f}",
        f"solves {len(node.solved)} of {node.dev} dev problems",
    ]
    if use:
        facts.append(f"first to solve {len(use.first)} training problems")
        facts.append(f"{len(use.internalised)} of them later solved without it")
        if use.reliance is not None:
            facts.append(f"reliance {use.reliance:.3f} nats a token")
    return facts


def rollout_table(story: RunStory) -> dict[str, Any] | None:
    """Rollouts by columns, with what repeats written once; None where none are on record."""
    rollouts = story.rollouts
    if rollouts is None:
        return None
    problems = list(dict.fromkeys(rollouts["problem"]))
    hints = list(dict.fromkeys(hint for hint in rollouts["hint"] if hint))
    place = {hint: number for number, hint in enumerate(hints)}
    exchanges = {node.hint: node.exchange for node in story.nodes if node.exchange}
    table: dict[str, Any] = {
        "problems": [_problem(story, each, place, exchanges) for each in problems],
        "hints": [{"id": each, "text": story.hint_texts.get(each, each)} for each in hints],
        # Some strategies sample without the hint that belongs to a rollout.
        "hint": [
            place.get(hint, -1) if hinted else -1
            for hint, hinted in zip(rollouts["hint"], rollouts["hinted"], strict=True)
        ],
    }
    numbers = {problem: number for number, problem in enumerate(problems)}
    table["problem"] = [numbers[problem] for problem in rollouts["problem"]]
    for name, column, plural in (
        ("phase", "phase", "phases"),
        ("finish", "finish_reason", "finishes"),
        ("status", "status", "statuses"),
    ):
        table[plural], table[name] = _coded(rollouts[column])
    for name in ("epoch", "step", "tokens", "response", "solved", "answer"):
        table[name] = rollouts[name]
    for name in ("advantage", "kept", "reliance"):
        table[name] = [_rounded(value) for value in rollouts[name]]
    table["scored"] = _scored(story)
    return table


def _scored(story: RunStory) -> dict[int, list[Any]]:
    """Tokens and log-ratios of the rollouts that tell of a problem, by row, as far as they go."""
    found: dict[int, list[Any]] = {}
    room = MOST_TOKENS
    for told in story.stories.values():
        for row in told.scored:
            texts, ratios = story.tokens[row]
            room -= len(texts)
            if room >= 0:
                found[row] = [texts, [_rounded(ratio, RATIO_DIGITS) for ratio in ratios]]
    return found


def _problem(
    story: RunStory, problem: str, place: dict[str, int], exchanges: Any
) -> dict[str, Any]:
    known = story.problems.get(problem, {})
    shown: dict[str, Any] = {
        "id": problem,
        "question": known.get("question") or "",
        "gold": known.get("gold") or "",
    }
    told = story.stories.get(problem)
    if told:
        exchange = exchanges.get(told.life["hint"])
        shown["life"] = {
            "failure": told.failure,
            "hinted": told.hinted,
            "internalised": told.internalised,
            "scored": list(told.scored),
            "hard": told.life["hard"],
            "relapsed": told.life["relapsed"],
            "hint": place.get(told.life["hint"] or "", -1),
            "exchange": [exchange.prompt, exchange.answer] if exchange else None,
            "state": STATES.get(told.life["state"], told.life["state"]),
        }
    return shown


def _coded(values: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Different values, and for each row the place of its own."""
    kinds = list(dict.fromkeys(values))
    place = {kind: number for number, kind in enumerate(kinds)}
    return kinds, [place[value] for value in values]


def _rounded(value: float | None, digits: int = DIGITS) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


def in_script(content: Any) -> str:
    """JSON that may stand in a ``script`` element, whatever texts are in it."""
    text = json.dumps(finite(content), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def packed(content: Any) -> str:
    """JSON, compressed and in base 64, which has no character that HTML would take for its own."""
    text = json.dumps(finite(content), ensure_ascii=False, separators=(",", ":"))
    # Lone surrogates cannot be encoded.
    data = text.encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
