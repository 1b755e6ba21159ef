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
    partition: str = ""
    cycles: int = 0
    array_cycles: int = 0
    useful_macs: int = 0

    def add(self, stats: Stats) -> None:
        """Add a run of the engine."""
        self.partition = str(stats.partition)
        self.cycles += stats.cycles
        self.array_cycles += stats.array_cycles
        self.useful_macs += stats.useful_macs

    @property
    def utilisation(self) -> float:
        """Useful MACs over MACs x cycles, with all loads and stores."""
        return self.useful_macs / (self.macs * self.cycles)

    @property
    def array_utilisation(self) -> float:
        """Useful MACs over MACs x cycles from the first pass's start to the last result."""
        return self.useful_macs / (self.macs * self.array_cycles)

    def to_json(self) -> dict[str, Any]:
        """Give the account as JSON, with units in the keys."""
        return {
            "engine": self.engine, "layer": self.layer, "m": self.m, "k": self.k, "n": self.n,
            "macs_per_cycle_peak": self.macs, "partition": self.partition, "cycles": self.cycles,
            "array_cycles": self.array_cycles, "useful_macs": self.useful_macs,
            "utilisation_percent": 100 * self.utilisation, "array_utilisation_percent": 100 * self.array_utilisation,
        }  # fmt: skip


@dataclass
class Result:
    """What a run showed; it exists only if every bit was as it must be."""

    config: EngineConfig
    backend: str
    images: int
    right: dict[str, int]
    """Images recognised by the engine, by the integer reference and by the float network."""
    checked: int
    """Values that were compared with the integer reference."""
    wall_seconds: float
    """Time spent in the engine during the main run."""
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

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON, with units in the keys."""
        return {
            "config": self.config.name,
            "backend": self.backend,
            "images": self.images,
            "images_right": self.right,
            "accuracy_percent": {name: 100 * right / self.images for name, right in self.right.items()},
            "values_checked": self.checked,
            "cycles": self.cycles,
            "useful_macs": self.useful_macs,
            "wall_seconds": self.wall_seconds,
            "simulated_macs_per_second": self.useful_macs / self.wall_seconds,
            "layers": [work.to_json() for work in self.layers],
            "comparison": [work.to_json() for work in self.comparison],
        }
