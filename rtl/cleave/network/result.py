"""What running a network on an engine showed: right answers, and the cost of each layer."""

from dataclasses import dataclass, field
from typing import Any

from ..api import Stats
from ..config import EngineConfig


@dataclass
class Work:
    """What one layer cost on one engine, summed over batches."""

    engine: str
    layer: int
    m: int
    k: int
    n: int
    macs: int
    """MACs per cycle that the array could do."""
    partition: int = 0
    """Slabs fused into one partition."""
    cycles: int = 0
    """From start to done, operands and results in memory; 0 on a backend without timing."""
    resident_cycles: int = 0
    """Of the array alone, for as many passes with operands in the scratchpad; 0 if not measured."""
    useful_macs: int = 0
    wall_seconds: float = 0.0
    """Time that the engine took, from operands to results."""

    def add(self, stats: Stats, seconds: float) -> None:
        """Add a run of the engine."""
        self.wall_seconds += seconds
        assert stats.partition is not None
        self.partition = stats.partition
        self.cycles += stats.cycles or 0
        self.useful_macs += stats.useful_macs

    def utilisation(self, cycles: int) -> float | None:
        """Useful MACs over MACs x cycles; None without timing."""
        return self.useful_macs / (self.macs * cycles) if cycles else None

    def to_json(self) -> dict[str, Any]:
        """Give the account as JSON, with units in the keys."""
        percent = {
            name: None if value is None else 100 * value
            for name, value in [
                ("utilisation_percent", self.utilisation(self.cycles)),
                ("resident_utilisation_percent", self.utilisation(self.resident_cycles)),
            ]
        }
        return {
            "engine": self.engine, "layer": self.layer, "m": self.m, "k": self.k, "n": self.n,
            "peak_macs_per_cycle": self.macs, "partition_slabs": self.partition, "useful_macs": self.useful_macs,
            "cycles": self.cycles or None, "resident_cycles": self.resident_cycles or None,
            "wall_seconds": self.wall_seconds,
        } | percent  # fmt: skip


@dataclass
class Result:
    """What a run showed; it exists only if every bit was as it must be."""

    config: EngineConfig
    backend: str
    batch: int
    """Images that enter together in the main run."""
    images: int
    right: dict[str, int]
    """Images recognised by the engine, by the integer reference and by the float network."""
    checked: int
    """Values that were compared with the integer reference."""
    layers: list[Work] = field(default_factory=list)
    comparison: list[Work] = field(default_factory=list)

    @property
    def useful_macs(self) -> int:
        """Multiply-accumulates of the main run."""
        return sum(work.useful_macs for work in self.layers)

    @property
    def cycles(self) -> int:
        """Cycles of the main run."""
        return sum(work.cycles for work in self.layers)

    @property
    def wall_seconds(self) -> float:
        """Time that the engine took for the main run, from operands to results."""
        return sum(work.wall_seconds for work in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON, with units in the keys."""
        return {
            "config": self.config.name,
            "backend": self.backend,
            "batch_images": self.batch,
            "images": self.images,
            "images_right": self.right,
            "accuracy_percent": {name: 100 * right / self.images for name, right in self.right.items()},
            "values_checked": self.checked,
            "cycles": self.cycles or None,
            "useful_macs": self.useful_macs,
            "wall_seconds": self.wall_seconds,
            "simulated_macs_per_second": self.useful_macs / self.wall_seconds,
            "layers": [work.to_json() for work in self.layers],
            "comparison": [work.to_json() for work in self.comparison],
        }
