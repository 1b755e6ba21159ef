"""What no program can beat: bounds of a workload's cycles on an engine, from sizes alone.

With A moving, each slab's pass holds `rows` of K and `columns` of N of one part's stationary matrix, and takes
max(M of the part, rows / load_rows) cycles; with the operands swapped, M and N change places. Either may be chosen, so the one with
the lower bound counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from ..compile.problem import cuts
from ..config import ACCUMULATOR_BYTES, ArrayConfig, EngineConfig

__all__ = ["Bounds", "bounds", "scale_sim_cycles"]


@dataclass(frozen=True)
class Bounds:
    """Least cycles of a workload, by what it waits for.

    Attributes
    ----------
    compute
        Passes of all slabs, evenly spread.
    scratchpad
        What LOAD writes to the banks, as many slabs' words or rows in each cycle as it can, or what DRAIN reads of the
        accumulators, `drain_lanes` a cycle.
    dram
        A and each stationary matrix read once, INT8, and the int32 result written once.
    """

    compute: int
    scratchpad: int
    dram: int

    @property
    def cycles(self) -> int:
        """The largest of them."""
        return max(self.compute, self.scratchpad, self.dram)

    @property
    def name(self) -> str:
        """Which one that is."""
        return max(("compute", "scratchpad", "dram"), key=lambda name: getattr(self, name))


def bounds(parts: tuple[int, ...], k: int, n: int, config: EngineConfig, *, bandwidth: float | None = None) -> Bounds:
    """Give the bounds of INT8 products with int32 results, on a memory of `bandwidth` bytes a cycle, by default one beat."""
    m = sum(parts)
    transferred = m * k + len(parts) * k * n + m * n * ACCUMULATOR_BYTES
    speed = config.axi_bytes if bandwidth is None else min(bandwidth, config.axi_bytes)
    dram = ceil(transferred / Fraction(speed))
    ways = [
        Bounds(_compute(shapes, k, config.array), _scratchpad(shapes, k, config), dram)
        for shapes in ([(part, n) for part in parts], [(n, part) for part in parts])
    ]
    return min(ways, key=lambda way: way.cycles)


def _compute(shapes: Iterable[tuple[int, int]], k: int, array: ArrayConfig) -> int:
    """Give the cycles of products [moving rows, columns] of so many slabs."""
    slab_cycles = sum(cuts(columns, array.columns) * max(moving, array.load_cycles) for moving, columns in shapes)
    return cuts(cuts(k, array.rows) * slab_cycles, array.slabs)


def _scratchpad(shapes: list[tuple[int, int]], k: int, config: EngineConfig) -> int:
    """Give the cycles of LOAD or DRAIN, each of which works on all slabs' banks in turn."""
    array = config.array
    moving = sum(rows * cuts(k, array.rows) for rows, _ in shapes)
    stationary = sum(k * cuts(columns, array.columns) for _, columns in shapes)
    load = cuts(moving, config.segments) + cuts(stationary, max(config.stationary_segments, config.stationary_rows))
    drain = sum(rows * cuts(columns, config.drain_lanes) for rows, columns in shapes)
    return max(load, drain)


def scale_sim_cycles(parts: Iterable[int], k: int, n: int, array: ArrayConfig) -> int:
    """Give the cycles that SCALE-Sim 3.0 counts for a weight-stationary array of the same size, one product after the other.

    Every fold of a product, R rows of K by C columns of N, is charged its loading, R, its rows, and filling and draining the array:

        ceil(K / R) * ceil(N / C) * (M + 2 R + C - 2) - 1
    """
    rows, columns = array.slabs * array.rows, array.columns
    folds = cuts(k, rows) * cuts(n, columns)
    return sum(folds * (part + 2 * rows + columns - 2) - 1 for part in parts)
