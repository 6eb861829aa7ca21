# pyright: reportMissingImports=false
"""The server's side of a push through files; imported by vLLM's worker alone."""

from dataclasses import dataclass
from typing import Any

from safetensors import safe_open
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.model_loader.reload import (
    finalize_layerwise_reload,
    initialize_layerwise_reload,
)


@dataclass
class FilesInit(WeightTransferInitInfo):
    """Nothing has to be agreed on."""


@dataclass
class FilesUpdate(WeightTransferUpdateInfo):
    """One part of the weights.

    Attributes:
        path: A safetensors file with names as transformers has them.
    """

    path: str


class FilesTransferEngine(WeightTransferEngine[FilesInit, FilesUpdate]):
    """Reads weights from files on a disk that trainer and server share."""

    init_info_cls = FilesInit
    update_info_cls = FilesUpdate

    def init_transfer_engine(self, init_info: FilesInit) -> None:
        """Nothing to prepare."""

    def start_weight_update(self) -> None:
        """Let layers take weights in the form they have in a checkpoint."""
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Load one part. Files are read when this returns, so that there is nothing to wait for."""
        self.receive_weights(self.parse_update_info(update_info))

    def receive_weights(self, update_info: FilesUpdate) -> None:
        """Load one part."""
        with safe_open(update_info.path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            self.model.load_weights((name, file.get_tensor(name).to(self.device)) for name in names)

    def finish_weight_update(self) -> None:
        """Bring weights into the form that kernels want."""
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """Nothing is held."""
