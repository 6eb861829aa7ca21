"""The model card: results, spending and configuration of the run that trained a model."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from p2o.export.run_directory import hydra_as, locate_model
from p2o.export.weights import CheckpointWeights
from p2o.learning.metrics import MEAN_REWARD, partial_reward
from p2o.policy.models import EMBEDDED
from p2o.records.labels import how_asked, in_words
from p2o.running.secrets import without_secrets

PARTS = ("data", "verifier", "algorithm", "distillation", "evolution")
"""Groups whose chosen option the model card names."""


def model_card(
    run: Path,
    config: DictConfig,
    hydra: DictConfig,
    weights: CheckpointWeights,
    model: Any,
    name: str,
) -> str:
    """What the folder holds, how it came about and how to use it, in Markdown.

    Args:
        run: Directory of the run; what it has no record of is left out.
        config: Of the run.
        hydra: Hydra's own configuration of the run.
        weights: What was exported.
        model: The model as it is saved.
        name: Of the folder.
    """
    shown, chosen = _resolve(config), OmegaConf.select(hydra, "hydra.runtime.choices") or {}
    with hydra_as(hydra):
        path = locate_model(config, hydra)
    base = path if _is_hub_id(path) else None
    front = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **({"base_model": base} if base else {}),
        "tags": ["p2o", *filter(None, [chosen.get("algorithm")]), "reinforcement-learning"],
    }
    file = weights.path.resolve()
    updates = "" if weights.updates is None else f" after {weights.updates:,} updates"
    kind = str(next(model.parameters()).dtype).removeprefix("torch.")
    facts = {
        "trained from": f"`{shown['model']['path']}`",
        "checkpoint": f"`{file.name}`{updates}",
        "parameters": f"{model.num_parameters():,}, {kind}",
        **{part: f"`{chosen[part]}`" for part in PARTS if chosen.get(part)},
    }
    summary = _read_summary(run)
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {Path(path.removeprefix(EMBEDDED)).name}, trained with p2o",
        _introduction(shown),
        _markdown_table([["", ""], *([key, value] for key, value in facts.items())]),
        *(_outcome(run, summary, weights, shown) if summary else ["The run left no summary."]),
        "## Use it",
        _fenced(_usage(shown, name), "python"),
        "## Configuration",
        "<details>\n<summary>of the run</summary>",
        _fenced(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).strip(), "yaml"),
        "</details>",
    ]
    return "\n\n".join(sections) + "\n"


def _is_hub_id(path: str) -> bool:
    return not Path(path).exists() and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) is not None


def _read_summary(run: Path) -> dict[str, Any] | None:
    try:
        return json.loads((run / "summary.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _introduction(config: Mapping[str, Any]) -> str:
    text = "A language model, trained with rewards that a program computes from its answers."
    if config.get("evolution") is None:
        return text
    return (
        f"{text} As it trains, [P²O](https://arxiv.org/abs/2603.21877) searches prompt templates "
        "for the problems that the model fails, and the gradient is taken on these problems "
        f"without a template. The results below are measured {how_asked(config, 'template')}."
    )


def _outcome(
    run: Path, summary: dict[str, Any], weights: CheckpointWeights, config: Mapping[str, Any]
) -> list[str]:
    before, after = (
        (summary["accuracy"][when], summary["hard_accuracy"][when]) for when in ("before", "after")
    )
    columns: dict[str, Sequence[float | None]] = {"before training": before}
    said = f"Accuracy on held-out problems, {how_asked(config, 'template')}."
    is_last, late = _are_last(run, summary, weights), _updates_since_measured(summary)
    end = "at the last evaluation" if late else "at the run's end"
    if late or not is_last:
        columns["this checkpoint"] = _accuracy_after(run, weights.updates)
    if not is_last:
        said += " The run ended with other weights than these."
    if late:
        plural = "" if late == 1 else "s"
        said += f" The last evaluation was {late:,} update{plural} before the run's end."
    columns[end] = after
    numbers = (("all", "held_out"), ("hard: none right before", "held_out_hard"))
    rows = [["problems", "number", *columns]] + [
        [label, str(summary[key]), *(_percent(column[row]) for column in columns.values())]
        for row, (label, key) in enumerate(numbers)
    ]
    if reward := partial_reward(summary):
        shown = {"before training": reward["before"], end: reward["after"]}
        values = (shown.get(column) for column in columns)
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        rows.append([MEAN_REWARD, str(summary["held_out"]), *cells])
        said += " Accuracy is the share of responses that are solved."
    sections = ["## Results", said, _markdown_table(rows)]
    if summary.get("collapse"):
        sections.append(f"The run was stopped: {summary['collapse']}")
    sections += ["## What was spent", _spending(summary["ledger"])]
    if summary["templates"]:
        sections += [
            "## Templates in use at the end",
            "Problems that were hard were sampled with these."
            # Of other weights that is not known.
            + (f" {_moved(summary, config)}" if is_last and not late else ""),
            *(_fenced(in_words(template["text"])) for template in summary["templates"]),
        ]
    return sections


def _are_last(run: Path, summary: Mapping[str, Any], weights: CheckpointWeights) -> bool:
    """Whether the run ended with these weights; a checkpoint may have several names, or copies."""
    updates = summary.get("updates")
    if updates is not None and weights.updates is not None:
        return updates == weights.updates
    last = run / "checkpoints" / "last.ckpt"
    return last.exists() and weights.path.samefile(last)


def _updates_since_measured(summary: Mapping[str, Any]) -> int:
    """Updates between the last evaluation and the run's end, where both are known."""
    measured, updates = summary.get("measured_at"), summary.get("updates")
    return 0 if measured is None or updates is None else updates - measured


def _moved(summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """What was measured on held-out problems, before and after training with templates."""
    hard = summary["hard_accuracy"]["after"]
    before, after = summary["accuracy"]["before"], summary["accuracy"]["after"]
    if before is None or after is None:
        return "What the model does on held-out problems was not measured."
    way = "stayed at" if after == before else "rose to" if after > before else "fell to"
    if config.get("held_out_hint") is not None:
        return (
            f"Accuracy on held-out problems was {before:.1%} without one, before training, and "
            f"is {after:.1%} {how_asked(config, 'template')}."
        )
    said = f"Without them, accuracy on held-out problems was {before:.1%} and {way} {after:.1%}"
    if hard is None:
        return f"{said}."
    return f"{said}; of those that it never solved before, it now solves {hard:.1%}."


def _accuracy_after(run: Path, updates: int | None) -> list[float | None]:
    """Accuracy on all held-out problems and on hard ones, where it was measured."""
    found: list[float | None] = [None, None]
    if updates is None or not (run / "metrics.csv").is_file():
        return found
    with (run / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row.get("val/accuracy") and float(row.get("val/updates") or -1) == updates:
                cells = row["val/accuracy"], row.get("val/hard_accuracy")
                found = [float(cell) if cell else None for cell in cells]
    return found


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _spending(ledger: Mapping[str, Mapping[str, float]]) -> str:
    rows = [["", *ledger, "all"]]
    for counter in next(iter(ledger.values())):
        values = [counts[counter] for counts in ledger.values()]
        if any(values):
            cells = [f"{value:,.0f}" for value in [*values, sum(values)]]
            rows.append([counter.replace("_", " "), *cells])
    return _markdown_table(rows)


def _usage(config: dict[str, Any], name: str) -> str:
    """A program that asks as the run asked held-out problems."""
    ask, sampling = config.get("renderer") or {}, config.get("sampling", {}).get("held_out", {})
    around = ask.get("prefix"), ask.get("suffix")
    before, after = (repr(text) if text else "" for text in around)
    content = " + ".join(filter(None, [before, "question", after]))
    messages = f'{{"role": "user", "content": {content}}}'
    if ask.get("system_prompt") is not None:
        messages = f'{{"role": "system", "content": {ask["system_prompt"]!r}}}, {messages}'
    options = "".join(f", {key}={value!r}" for key, value in (ask.get("options") or {}).items())
    temperature = sampling.get("temperature", 0.0)
    draw = f"do_sample=True, temperature={temperature}" if temperature else "do_sample=False"
    return f"""\
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {name!r}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
question = "..."
messages = [{messages}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"{options}
)
output = model.generate(**inputs, {draw}, max_new_tokens={sampling.get("max_new_tokens", 256)})
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))"""


def _resolve(config: DictConfig) -> dict[str, Any]:
    """Plain values; what a resolver would look up elsewhere stays as it was written."""
    raw: Any = OmegaConf.to_container(config)
    try:
        kept = OmegaConf.create(_keep_resolvers(raw))
        return without_secrets(OmegaConf.to_container(kept, resolve=True))
    except OmegaConfBaseException:
        return without_secrets(raw)


def _keep_resolvers(value: Any) -> Any:
    """Escape ``${hydra:...}``, ``${oc.env:...}`` and the like: they name places and secrets.

    p2o's own look at other settings alone.
    """
    if isinstance(value, dict):
        return {key: _keep_resolvers(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_keep_resolvers(child) for child in value]
    return re.sub(r"\$\{(?=(?!p2o\.)[\w.]+:)", r"\\${", value) if isinstance(value, str) else value


def _fenced(text: str, language: str = "") -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---", *["---:"] * (len(head) - 1)] if len(head) > 2 else ["---"] * len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))
