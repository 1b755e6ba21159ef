"""What no program can beat: bounds of a workload's cycles on an engine, from sizes alone.

With A moving, each slab's pass holds `rows` of K and `columns` of N of one part's stationary matrix, and takes
max(M of the part, rows / load_rows) cycles; with the operands swapped, M and N change places. Either may be chosen, so the one with
the lower bound counts; for parts of different size, what is less of each bound for each part.
"""

from collections.abc import Iterable, Sequence
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
    """Give the bounds of INT8 products with int32 results, on a memory of `bandwidth` bytes a cycle, by default one beat.

    Reads and writes share the bandwidth, and each go through a bus of one beat a cycle.
    """
    parts = tuple(part for part in parts if part)
    m = sum(parts)
    read, written = m * k + len(parts) * k * n, m * n * ACCUMULATOR_BYTES
    shared = ceil((read + written) / Fraction(config.axi_bytes if bandwidth is None else bandwidth))
    dram = max(shared, cuts(max(read, written), config.axi_bytes))
    moving, swapped = [(part, n) for part in parts], [(n, part) for part in parts]
    uneven = len(set(parts)) > 1
    ways = [list(zip(moving, swapped, strict=True))] if uneven else [list(zip(moving)), list(zip(swapped))]
    found = [Bounds(_compute(way, k, config.array), _scratchpad(way, k, config), dram) for way in ways]
    return min(found, key=lambda each: each.cycles)


Ways = Sequence[tuple[tuple[int, int], ...]]
"""Of each part the products, as [moving rows, columns], of which any may be chosen."""


def _compute(parts: Ways, k: int, array: ArrayConfig) -> int:
    """Give the cycles of so many slabs."""
    slab_cycles = sum(
        min(cuts(columns, array.columns) * max(moving, array.load_cycles) for moving, columns in part) for part in parts
    )
    return cuts(cuts(k, array.rows) * slab_cycles, array.slabs)


def _scratchpad(parts: Ways, k: int, config: EngineConfig) -> int:
    """Give the cycles of LOAD or DRAIN, each of which works on all slabs' banks in turn."""
    array = config.array
    side_by_side = max(config.stationary_segments, config.stationary_rows)

    def load(rows: int, columns: int) -> Fraction:
        return Fraction(rows * cuts(k, array.rows), config.segments) + Fraction(k * cuts(columns, array.columns), side_by_side)

    loads = sum(min(load(*shape) for shape in part) for part in parts)
    drain = sum(min(rows * cuts(columns, config.drain_lanes) for rows, columns in part) for part in parts)
    return max(ceil(loads), drain)


def scale_sim_cycles(parts: Iterable[int], k: int, n: int, array: ArrayConfig) -> int:
    """Give the cycles that SCALE-Sim 3.0 counts for a weight-stationary array of the same size, one product after the other.

    Every fold of a product, R rows of K by C columns of N, is charged its loading, R, its rows, and filling and draining the array:

        ceil(K / R) * ceil(N / C) * (M + 2 R + C - 2) - 1
    """
    rows, columns = array.slabs * array.rows, array.columns
    folds = cuts(k, rows) * cuts(n, columns)
    return sum(folds * (part + 2 * rows + columns - 2) - 1 for part in parts)
