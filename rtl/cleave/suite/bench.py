"""The suite on an array, split and monolithic: `cleave bench utilisation`."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

from ..config import DRAM_LATENCY, EngineConfig
from ..sim.simulator import Simulator
from .bounds import scale_sim_cycles
from .measure import Prediction, predict_workload, run_on_rtl
from .shapes import GROUPS, Workload

__all__ = ["BASELINES", "SPLIT", "Row", "bench", "engines", "geometric_mean", "goal", "report"]

SPLIT = "split"
BASELINES = {"monolithic_same_port": "a", "monolithic_same_bandwidth": "b"}
"""One slab of all rows, with the stationary port of one of the split array's slabs, and of all of them; and their short names."""

GOALS = {"prefill": 0.99, "long": 0.97, "short": 0.90}
"""Share of the bound that is to be reached: by prefill, by contractions of twice the array's rows and more, and by shorter ones."""


@dataclass(frozen=True)
class Row:
    """A workload on all engines.

    Attributes
    ----------
    on
        What it takes on each engine.
    scale_sim_cycles
        On a monolithic array as SCALE-Sim counts.
    checked
        Engines on which the RTL has run it: its product equals numpy's in every bit, its cycles the model's.
    """

    workload: Workload
    on: dict[str, Prediction]
    scale_sim_cycles: int
    checked: set[str] = field(default_factory=set)

    @property
    def split(self) -> Prediction:
        """On the split array."""
        return self.on[SPLIT]

    def speedup(self, baseline: str) -> float:
        """Cycles on a baseline over those on the split array, both with their memory."""
        return self.on[baseline].cycles / self.split.cycles

    def array_speedup(self, baseline: str) -> float:
        """Likewise of the array alone."""
        return self.on[baseline].array_cycles / self.split.array_cycles

    @property
    def scale_sim_speedup(self) -> float:
        """SCALE-Sim's cycles over those of the split array alone."""
        return self.scale_sim_cycles / self.split.array_cycles


def engines(config: EngineConfig) -> dict[str, EngineConfig]:
    """Give the engine and its baselines.

    Raises
    ------
    ConfigError
        If there is no monolithic engine of this size.
    """
    return {
        SPLIT: config,
        "monolithic_same_port": config.monolithic(),
        "monolithic_same_bandwidth": config.monolithic(same_bandwidth=True),
    }


def bench(
    config: EngineConfig,
    workloads: Iterable[Workload],
    *,
    latency: int = DRAM_LATENCY,
    bandwidth: float | None = None,
    rtl_cycles: int = 0,
    advance: Callable[[str], None] = lambda _name: None,
) -> list[Row]:
    """Predict workloads on an engine and its baselines, and run on the RTL what takes at most `rtl_cycles`.

    Parameters
    ----------
    latency, bandwidth
        Of the memory: cycles, and bytes a cycle, by default one beat.
    advance
        Told the name of each workload when it begins.

    Raises
    ------
    ConfigError, ValueError
        If there is no such baseline, or an engine cannot hold a workload.
    MismatchError
        If the RTL differs from numpy or from the model.
    """
    configs = engines(config)
    rows = []
    with ExitStack() as stack:
        simulators: dict[EngineConfig, Simulator] = {}
        for workload in workloads:
            advance(workload.name)
            parts, k, n = workload.parts, workload.k, workload.n
            found: dict[EngineConfig, Prediction] = {}
            for each in configs.values():
                if each not in found:
                    found[each] = predict_workload(parts, k, n, each, latency=latency, bandwidth=bandwidth)
            row = Row(workload, {name: found[each] for name, each in configs.items()}, scale_sim_cycles(parts, k, n, config.array))
            for each, prediction in found.items():
                if prediction.cycles > rtl_cycles:
                    continue
                if each not in simulators:
                    simulator = Simulator(each, latency=latency, bandwidth=bandwidth)
                    simulators[each] = stack.enter_context(simulator)
                run_on_rtl(workload, prediction, simulators[each])
                row.checked.update(name for name, its in configs.items() if its == each)
            rows.append(row)
    return rows


def goal(row: Row) -> float:
    """Give the share of the bound that a workload is to reach on the split array."""
    if row.workload.group == "prefill":
        return GOALS["prefill"]
    array = row.split.config.array
    return GOALS["long" if row.workload.k >= 2 * array.slabs * array.rows else "short"]


def geometric_mean(values: Sequence[float]) -> float:
    """Give the geometric mean of positive numbers."""
    return exp(sum(log(value) for value in values) / len(values))


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Give the geometric means of some workloads."""
    return {
        **{f"speedup_over_{name}": geometric_mean([row.speedup(name) for row in rows]) for name in BASELINES},
        **{f"array_speedup_over_{name}": geometric_mean([row.array_speedup(name) for row in rows]) for name in BASELINES},
        "array_speedup_over_scale_sim": geometric_mean([row.scale_sim_speedup for row in rows]),
        "utilisation": geometric_mean([row.split.utilisation for row in rows]),
        "array_utilisation": geometric_mean([row.split.array_utilisation for row in rows]),
        "reached": geometric_mean([row.split.reached for row in rows]),
    }


def groups(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Give the geometric means of each group that there is."""
    chosen = {group: [row for row in rows if row.workload.group == group] for group in GROUPS}
    return {group: summary(members) for group, members in chosen.items() if members}


def report(rows: Sequence[Row], *, latency: int, bandwidth: float | None) -> dict[str, Any]:
    """Give everything for JSON, with units in the names."""
    first = rows[0].on
    return {
        "configurations": {name: prediction.config.name for name, prediction in first.items()},
        "memory_latency_cycles": latency,
        "memory_bytes_per_cycle": first[SPLIT].config.axi_bytes if bandwidth is None else bandwidth,
        "workloads": [_row(row) for row in rows],
        "geometric_means": groups(rows),
    }


def _row(row: Row) -> dict[str, Any]:
    workload, split = row.workload, row.split
    return {
        "name": workload.name,
        "group": workload.group,
        "m": workload.m,
        "k": workload.k,
        "n": workload.n,
        "parts": list(workload.parts),
        "source": workload.source,
        "macs": workload.macs,
        "goal": goal(row),
        **{name: prediction.as_dict() | {"rtl": name in row.checked} for name, prediction in row.on.items()},
        "scale_sim_cycles": row.scale_sim_cycles,
        **summary([row]),
        "scratchpad_read_bytes_per_mac": split.traffic.scratchpad_read_bytes / workload.macs,
        "scratchpad_written_bytes_per_mac": split.traffic.scratchpad_written_bytes / workload.macs,
        "register_hop_bytes_per_mac": split.traffic.register_hop_bytes / workload.macs,
        "dram_bytes_per_mac": split.dram_bytes / workload.macs,
    }

