"""vLLM in the trainer's own process: weights are pushed in memory."""

import copy
import importlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from annotated_types import Gt, Lt
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from p2o.constraints import Count, Positive
from p2o.errors import EngineError, UserError
from p2o.policy.models import TorchType
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.hf import end_ids, position_limit, without_adapter
from p2o.rollout.pushed import PushedEngine
from p2o.rollout.vllm_sampling import sampling_fields
from p2o.running.distributed import rank, world_size

ENVIRONMENT = {
    # The engine has to live in this process, or weights could not be passed on in memory.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
"""What vLLM reads at import, unless the user has set it."""


def vllm_engine(
    model: PreTrainedModel,
    dtype: TorchType | None = None,
    max_length: Count | None = None,
    memory_share: Annotated[float, Gt(0), Lt(1)] = 0.4,
    sleep: bool = True,
    probe_bound: Positive = 0.1,
    options: dict[str, Any] | None = None,
) -> PushedEngine:
    """The engine of ``rollout=vllm``.

    Args:
        model: The policy; vLLM builds its architecture and takes its weights.
        dtype: Of vLLM's weights; None for that of the policy.
        max_length: Tokens of a prompt and its completion together; None for what the model allows.
        memory_share: Of the device's memory, for vLLM's weights and cache.
        sleep: Whether vLLM gives its memory back while the policy is trained; on a GPU.
        probe_bound: See `p2o.rollout.probe.WeightProbe`.
        options: Passed on to ``vllm.LLM``.

    Raises:
        UserError: vLLM is not installed.
    """
    backend = VLLMBackend(model, dtype, max_length, memory_share, sleep, dict(options or {}))
    return PushedEngine(backend, model, probe_bound)


class VLLMBackend:
    """One vLLM engine on this rank's device, started when it is first needed.

    Several ranks start their process group first; vLLM then joins it.

    Args: see `vllm_engine`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        dtype: str | None,
        max_length: int | None,
        memory_share: float,
        sleep: bool,
        options: dict[str, Any],
    ) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self.vllm = _import_vllm()
        exceptions = importlib.import_module("vllm.v1.engine.exceptions")
        self._failures = (RuntimeError, ValueError, AttributeError, exceptions.EngineDeadError)
        self.version = ""
        self.ends = end_ids(model)
        self.max_length = max_length or position_limit(model.config)
        self.sleep = sleep and torch.cuda.is_available()
        self._asleep = False
        self._llm: Any = None
        config = copy.deepcopy(model.config)
        # What transformers wrote there may be the model without its head.
        config.architectures = [type(without_adapter(model)).__name__]
        self._configs = config, GenerationConfig(eos_token_id=self.ends)
        self._options = {
            "dtype": dtype or str(model.dtype).removeprefix("torch."),
            "max_model_len": self.max_length,
            "gpu_memory_utilization": memory_share,
            "enable_sleep_mode": self.sleep,
            "enable_prefix_caching": True,
            "skip_tokenizer_init": True,
            # Weights come from the trainer.
            "load_format": "dummy",
            "logprobs_mode": "processed_logprobs",
            "disable_log_stats": True,
            **options,
        }

    @property
    def llm(self) -> Any:
        """The engine."""
        if self._llm is None:
            if world_size() > 1:
                self._options.setdefault("distributed_executor_backend", "external_launcher")
                # What torchrun would have set; Lightning's own launcher does not set all.
                os.environ.update(RANK=str(rank()), WORLD_SIZE=str(world_size()))
                os.environ.setdefault("LOCAL_RANK", "0")
            with tempfile.TemporaryDirectory() as folder:
                for config in self._configs:
                    config.save_pretrained(folder)
                try:
                    with _plain_tensors():
                        self._llm = self.vllm.LLM(folder, **self._options)
                except (ValueError, RuntimeError, AssertionError) as error:
                    raise UserError(f"vLLM does not start ({_one_line(error)})") from error
        return self._llm

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """See `Backend`."""
        if self._asleep:
            self._call("wake_up", tags=["weights"])
        self._call("collective_rpc", "reload_weights", kwargs={"weights_iterator": iter(weights)})
        if self._asleep:
            self._call("wake_up", tags=["kv_cache"])
            self._asleep = False
        self._call("reset_prefix_cache")

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """See `Backend`."""
        parameters = [
            self.vllm.SamplingParams(**sampling_fields(sampling, seed, self.ends), detokenize=False)
            for seed in seeds
        ]
        outputs = self._generate(prompts, parameters)
        return [_completion(output.outputs[0], sampling) for output in outputs]

    def score(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """See `Backend`."""
        parameters = self.vllm.SamplingParams(
            max_tokens=1, temperature=1.0, prompt_logprobs=0, detokenize=False
        )
        outputs = self._generate(sequences, [parameters] * len(sequences))
        return torch.tensor(
            [
                [
                    place[token].logprob
                    for sequence, output in zip(sequences, outputs, strict=True)
                    for token, place in zip(sequence[1:], output.prompt_logprobs[1:], strict=True)
                ]
            ]
        )

    def release(self) -> None:
        """See `Backend`."""
        if self.sleep and not self._asleep:
            # What is dropped comes anew with the next push.
            self._call("sleep", level=2)
            self._asleep = True

    def _generate(self, prompts: Sequence[Sequence[int]], parameters: list[Any]) -> list[Any]:
        inputs = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        return self._call("generate", inputs, parameters, use_tqdm=False)

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        llm = self.llm
        try:
            with _plain_tensors():
                return getattr(llm, method)(*arguments, **named)
        # Whatever vLLM's worker raises comes out of these calls, and there is no going on.
        except self._failures as error:
            raise EngineError(f"vLLM failed ({_one_line(error)})") from error


def _import_vllm() -> Any:
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise UserError(f"needs vLLM ({error}); 'pip install vllm'") from error


def _completion(output: Any, sampling: SamplingParameters) -> Completion:
    tokens = tuple(output.token_ids)
    if sampling.temperature == 0:
        log_probs = (0.0,) * len(tokens)
    else:
        log_probs = tuple(
            place[token].logprob for token, place in zip(tokens, output.logprobs, strict=True)
        )
    return Completion(tokens, "stop" if output.finish_reason == "stop" else "length", log_probs)


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """Lightning evaluates in inference mode, whose tensors could not be updated in training."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
