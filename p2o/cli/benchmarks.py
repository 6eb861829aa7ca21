"""The benchmarks that an evaluation asks for."""

import logging
from dataclasses import replace

from omegaconf import DictConfig

from p2o.configuration.build import build
from p2o.errors import UserError, located
from p2o.evaluation.benchmark import Benchmark
from p2o.rollout.engine import SamplingParameters

logger = logging.getLogger(__name__)


def load_benchmarks(config: DictConfig) -> tuple[list[Benchmark], dict[str, str]]:
    """The benchmarks of a configuration, and why some cannot be had.

    Raises:
        UserError: None can be had.
    """
    found: list[Benchmark] = []
    missing: dict[str, str] = {}
    for name, node in config.benchmarks.items():
        key = f"benchmarks.{name}"
        if node.samples > 1 and node.temperature == 0:
            raise UserError(f"{key}.samples={node.samples}: at temperature 0 all are the same")
        more = {name: node[name] for name in ("top_p", "top_k", "stop_token_ids") if name in node}
        limit = config.max_new_tokens
        sampling = SamplingParameters(node.temperature, max_new_tokens=limit, **more)
        table = build(node.table, f"{key}.table")
        try:
            with located(f"{key}.table"):
                prompts = [
                    replace(prompt, source=prompt.source or str(name))
                    for prompt in table.prompts()[: config.limit]
                ]
        except UserError as error:
            missing[str(name)] = str(error)
            continue
        drops = node.get("drops_unusable", False)
        found.append(Benchmark(str(name), prompts, node.samples, sampling, drops))
    if not found:
        raise UserError("no benchmark can be had\n" + "\n".join(missing.values()))
    for name, reason in missing.items():
        logger.warning("%s is left out: %s", name, reason)
    return found, missing
