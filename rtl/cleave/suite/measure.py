"""One workload on one engine: compiled, predicted, bounded, and if wanted run on the RTL and compared with both.

The prediction is that of the timing model, which equals the RTL to the cycle. *Array cycles* are those of the program's MATMULs
without their tokens (`program.matmuls_alone`): what the array takes when memory is no limit, as tools without a memory count.
"""

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compile.choose import Memory
from ..compile.gemm import CompiledGemm, compile_gemm
from ..compile.problem import Problem
from ..config import DRAM_BYTES, DRAM_LATENCY, EngineConfig
from ..engine.isa import INSTRUCTION_BYTES, Counter
from ..model.timing import CAUSES, predict
from ..sim.simulator import BASE, Simulator
from .bounds import Bounds, bounds
from .program import Cut, Traffic, cut, matmuls_alone, traffic
from .shapes import Workload

__all__ = ["MismatchError", "Prediction", "predict_workload", "run_on_rtl"]


class MismatchError(AssertionError):
    """The RTL's result differs from numpy's, or its cycles from the model's."""


@dataclass(frozen=True)
class Prediction:
    """What a workload takes on an engine.

    Attributes
    ----------
    cycles, array_cycles
        From start to done on this memory; and of the array alone.
    utilisation, array_utilisation
        Useful MACs over (MACs x either).
    bounds
        What no program can beat.
    losses
        Where cycles above the bound go; see `losses`.
    dram_bytes
        Beats on the bus in both directions, the program's included.
    """

    config: EngineConfig
    macs: int
    cycles: int
    array_cycles: int
    bounds: Bounds
    cut: Cut
    traffic: Traffic
    losses: dict[str, int]
    dram_bytes: int
    gemm: CompiledGemm = field(repr=False, compare=False)

    @property
    def utilisation(self) -> float:
        """Useful MACs over (MACs x cycles)."""
        return self.macs / (self.config.array.macs * self.cycles)

    @property
    def array_utilisation(self) -> float:
        """Useful MACs over (MACs x array cycles)."""
        return self.macs / (self.config.array.macs * self.array_cycles)

    @property
    def reached(self) -> float:
        """Bound over cycles, 0 to 1."""
        return self.bounds.cycles / self.cycles

    def as_dict(self) -> dict[str, Any]:
        """Give everything for JSON, with units in the names."""
        return {
            "cycles": self.cycles,
            "array_cycles": self.array_cycles,
            "utilisation": self.utilisation,
            "array_utilisation": self.array_utilisation,
            "bound": self.bounds.name,
            "bound_cycles": self.bounds.cycles,
            "reached": self.reached,
            **{f"{name}_bound_cycles": cycles for name, cycles in asdict(self.bounds).items()},
            "lost_cycles": self.losses,
            "dram_bytes": self.dram_bytes,
            **asdict(self.traffic),
            **asdict(self.cut),
        }


def predict_workload(
    parts: tuple[int, ...], k: int, n: int, config: EngineConfig, *, latency: int = DRAM_LATENCY, bandwidth: float | None = None
) -> Prediction:
    """Compile products of INT8 parts with a K x N matrix each, int32 results, and say what they take.

    Parameters
    ----------
    parts, k, n
        As a `Workload` has them.
    latency, bandwidth
        Of the memory: cycles, and bytes a cycle, by default one beat.

    Raises
    ------
    ValueError
        If the compiler refuses the problem, or operands, result and program do not fit `DRAM_BYTES`.
    """
    problem = Problem(sum(parts), k, n, parts=parts)
    gemm = compile_gemm(problem, config, memory=Memory(latency, bandwidth), window=DRAM_BYTES)
    counters = predict(
        gemm.program, config, latency=latency, bandwidth=bandwidth, base=BASE, offset=gemm.start
    ).counters
    # Latency and bandwidth of the instruction fetch alone, which waits for nothing.
    alone = predict(matmuls_alone(gemm.program), config, latency=1).counters
    least = bounds(parts, k, n, config, bandwidth=bandwidth)
    apart = sum(bounds((part,), k, n, config, bandwidth=bandwidth).cycles for part in parts)
    return Prediction(
        config=config,
        macs=sum(parts) * k * n,
        cycles=counters[Counter.CYCLES],
        array_cycles=alone[Counter.ARRAY_CYCLES],
        bounds=least,
        cut=cut(gemm.program),
        traffic=traffic(gemm.program, config),
        losses=losses(counters, least, apart, len(gemm.program), config, bandwidth),
        dram_bytes=(counters[Counter.READ_BEATS] + counters[Counter.WRITE_BEATS]) * config.axi_bytes,
        gemm=gemm,
    )


def losses(
    counters: Mapping[Counter, int], least: Bounds, apart: int, program: int, config: EngineConfig, bandwidth: float | None
) -> dict[str, int]:
    """Say where cycles above the bound go, largest first.

    If DRAM is the bound: to the program's beats, to beats of padding and of operands that are read again, and to idle cycles.
    Else to padding of passes, and to what slabs wait for. Besides, in either case, to parts with different bounds that come one
    after the other: `apart` is the sum of the bounds of each.
    """
    if least.name == "dram":
        slow = config.axi_bytes / (bandwidth or config.axi_bytes)
        above = counters[Counter.CYCLES] - least.dram
        lost = {"program": min(above, round(program / config.axi_bytes * slow))}
        beats = round((counters[Counter.READ_BEATS] + counters[Counter.WRITE_BEATS]) * slow) - least.dram
        lost["padding, reloads"] = min(above, max(beats, lost["program"])) - lost["program"]
        lost["idle bus"] = above - lost["program"] - lost["padding, reloads"]
    else:
        slabs = config.array.slabs
        lost = {cause.name.removeprefix("STALL_").lower(): counters[cause] // slabs for cause in CAUSES}
        lost["padding"] = max(0, counters[Counter.STREAMING] // slabs - least.compute)
    lost["parts in turn"] = apart - least.cycles
    return dict(sorted(lost.items(), key=lambda item: -item[1]))


def operands(workload: Workload) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]]:
    """Draw operands by the workload's name, and give A [M, K], the stationary matrices [part, K, N], and the product by numpy.

    float64 holds every sum exactly: |sum| < 2**53.
    """
    rng = np.random.default_rng(zlib.crc32(workload.name.encode()))
    a = rng.integers(-128, 128, (workload.m, workload.k), np.int8)
    b = rng.integers(-128, 128, (len(workload.parts), workload.k, workload.n), np.int8)
    starts = np.cumsum((0, *workload.parts))
    rows = [a[start:stop].astype(np.float64) for start, stop in pairwise(starts)]
    products = [part @ w for part, w in zip(rows, b.astype(np.float64), strict=True)]
    return a, b, np.concatenate(products).astype(np.int32)


def run_on_rtl(workload: Workload, prediction: Prediction, simulator: Simulator) -> None:
    """Run a predicted workload on the RTL, with the simulator's memory as the prediction had it.

    Raises
    ------
    MismatchError
        If a bit of the product, or a cycle, is not as it must be.
    """
    a, b, expected = operands(workload)
    gemm = prediction.gemm
    gemm.place(simulator.memory, a, b)
    counters = simulator.run(gemm.start, len(gemm.program) // INSTRUCTION_BYTES).counters
    computed = gemm.result(simulator.memory)
    wrong = np.count_nonzero(computed != expected)
    where = f"{workload.name} on {prediction.config.name}"
    if wrong:
        raise MismatchError(f"{where}: {wrong} of {expected.size} values differ from numpy's")
    if counters[Counter.CYCLES] != prediction.cycles:
        raise MismatchError(f"{where}: the RTL takes {counters[Counter.CYCLES]} cycles, not {prediction.cycles} as the model says")
