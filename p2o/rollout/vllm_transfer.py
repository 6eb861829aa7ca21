"""What vLLM loads as a plugin: weights may come from files that the trainer names."""

import importlib

_registered = False


def register() -> None:
    """Add the backend ``p2o_files`` to vLLM's weight transfer; called by vLLM in each process."""
    global _registered
    if _registered:
        return
    _registered = True
    factory = importlib.import_module("vllm.distributed.weight_transfer.factory")
    factory.WeightTransferEngineFactory.register_engine(
        "p2o_files", "p2o.rollout.vllm_files", "FilesTransferEngine"
    )
