"""What machines can do, by their makers' data sheets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from p2o.errors import UserError


@dataclass(frozen=True)
class Device:
    """One accelerator, or a computer without one.

    Attributes:
        name: For tables.
        memory: Bytes.
        flops: Peak floating-point operations a second of dense matrix products, by torch type;
            "float32" is what `torch.set_float32_matmul_precision("high")` gives: TF32 on a GPU.
        bandwidth: Of the memory, bytes a second.
        link: To another device of the node, bytes a second in one direction.
        network: To a device of another node, likewise.
        per_node: Devices in a node.
        reserved: Share of the memory that is not ours: the driver's context, buffers for
            communication, holes between tensors. Assumed.
        source: Where the numbers come from.
    """

    name: str
    memory: float
    flops: Mapping[str, float]
    bandwidth: float
    link: float
    network: float
    per_node: int
    reserved: float
    source: str

    @property
    def usable(self) -> float:
        """Bytes of memory that a run may fill."""
        return self.memory * (1 - self.reserved)

    @property
    def is_gpu(self) -> bool:
        """Whether it has tensor cores, and torch's defaults for GPUs."""
        return "bfloat16" in self.flops

    def rate(self, dtype: str) -> float:
        """Peak operations a second in a torch type; that of float32 where it has no other."""
        return self.flops.get(dtype, self.flops["float32"])

    def between(self, ranks: int) -> float:
        """Bytes a second that go out of each of so many ranks: the slowest link counts."""
        return self.link if ranks <= self.per_node else self.network


def _gpu(
    name: str,
    memory_gb: float,
    bfloat16: float,
    bandwidth: float,
    link_gb: float,
    network_gb: float,
    source: str,
) -> Device:
    rates = {"bfloat16": bfloat16, "float16": bfloat16, "float32": bfloat16 / 2}
    return Device(
        name,
        memory_gb * 1e9,
        {dtype: rate * 1e12 for dtype, rate in rates.items()},
        bandwidth * 1e12,
        link_gb * 1e9,
        network_gb * 1e9,
        per_node=8,
        reserved=0.05,
        source=source,
    )


DEVICES = {
    "h100": _gpu(
        "H100 SXM 80 GB",
        80,
        989.4,
        3.35,
        450,
        50,
        "NVIDIA H100 data sheet (half of the rates it gives with sparsity); DGX H100 data sheet",
    ),
    "h200": _gpu(
        "H200 SXM 141 GB",
        141,
        989.4,
        4.8,
        450,
        50,
        "NVIDIA H200 data sheet (half of the rates it gives with sparsity); DGX H200 data sheet",
    ),
    "a100": _gpu(
        "A100 SXM 80 GB",
        80,
        312,
        2.039,
        300,
        25,
        "NVIDIA A100 data sheet; DGX A100 data sheet",
    ),
    "laptop": Device(
        "laptop CPU",
        16e9,
        # Four cores, 3 GHz, two units of 8 fused multiply-adds each.
        {"float32": 4 * 3e9 * 2 * 8 * 2},
        # Two channels of DDR4-3200, 8 bytes wide.
        2 * 3200e6 * 8,
        link=2 * 3200e6 * 8,
        network=125e6,
        per_node=1,
        reserved=0.25,
        source="assumed: 4 cores of 3 GHz with AVX2, DDR4-3200, 16 GB, gigabit Ethernet",
    ),
}
"""By the name that ``planning.device`` takes. GB and TB are powers of ten, as on data sheets."""


PEAKS = {
    "h100 pcie": 756.5e12,
    "h100 nvl": 835.5e12,
    "h100": DEVICES["h100"].rate("bfloat16"),
    "h200": DEVICES["h200"].rate("bfloat16"),
    "a100": DEVICES["a100"].rate("bfloat16"),
    "l40s": 362e12,
    "l4": 121e12,
    "a10": 125e12,
}
"""Operations a second in bfloat16 by words of the name that CUDA gives, from NVIDIA's data sheets:
dense products, so half of what these give with sparsity."""


def peak_flops(name: str, dtype: str) -> float | None:
    """Peak operations a second of a GPU.

    >>> peak_flops("NVIDIA A100-SXM4-80GB", "bfloat16")
    312000000000000.0

    Args:
        name: That CUDA gives.
        dtype: Of torch; "float32" as in `Device.flops`.

    Returns:
        None for one that is not in `PEAKS`, and for another type.
    """
    words = set(re.split(r"\W+", name.lower()))
    share = {"bfloat16": 1.0, "float16": 1.0, "float32": 0.5}.get(dtype)
    peak = next((peak for known, peak in PEAKS.items() if set(known.split()) <= words), None)
    return None if peak is None or share is None else peak * share


def find_device(name: str) -> Device:
    """The device of that name.

    Raises:
        UserError: There is none.
    """
    if name not in DEVICES:
        raise UserError(f"planning.device={name}: there are {', '.join(DEVICES)}")
    return DEVICES[name]
