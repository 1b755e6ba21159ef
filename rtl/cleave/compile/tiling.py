"""How a GEMM is cut for the array: the choice of partition and tile sizes, by a cost estimate.

Names used throughout: M x K times K x N. A partition is `count` fused slabs and multiplies `depth = count * rows` of
K by a tile of N per pass: `columns`, or with two lanes twice as many. `groups` partitions side by side work on different
output tiles at once, spread over N (they share the moving operand) or over M (they share the stationary operand). A block
is what is computed between two drains of the same accumulators: `tile_rows` of M (times the groups, if spread over M) by
`tiles` column sets (each one tile, times the groups, if spread over N). Inside a block, K goes by in chunks of `passes`
passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BYTES, MAX_CONTRACTION, EngineConfig
from ..engine.isa import FIELDS, INSTRUCTION_BYTES, Opcode
from ..numerics.formats import FP32, Format
from ..numerics.quantise import ScaleRule
from ..numerics.rounding import Rounding

MAX_TILES = 4
MAX_SLOTS = 4

LONGEST_ROW = 2 ** next(item.width for item in FIELDS[Opcode.LOAD] if item.name == "row_bytes") - 1
"""Most bytes of a memory row."""

ROUND_TRIP = 64
"""Cycles, by assumption, from a request of the engine to the use of the memory's answer."""


def cuts(total: int, part: int) -> int:
    """Parts of at most `part` that make `total`."""
    return -(-total // part)


def dimensions(a: NDArray[np.generic], b: NDArray[np.generic]) -> tuple[int, int, int]:
    """Give M, K and N of the product of `a` [M, K] and `b` [K, N].

    Raises
    ------
    ValueError
        If they are no matrices, are empty, or do not fit each other.
    """
    for name, operand in [("a", a), ("b", b)]:
        if operand.ndim != 2:
            raise ValueError(f"{name} must have 2 dimensions, not {operand.ndim}")
        if 0 in operand.shape:
            raise ValueError(f"{name} must have at least 1 row and 1 column, not shape {operand.shape}")
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"a's columns must equal b's rows (K), not {a.shape[1]} and {b.shape[0]}")
    return *a.shape, b.shape[1]


@dataclass(frozen=True)
class Scaling:
    """How a product's elements are decoded and scaled, and its accumulators rounded.

    Attributes
    ----------
    elements
        Number of the moving and of the stationary element's format.
    blocks
        Whether passes are scaled.
    shift
        Of every pass, besides its scales.
    widths
        Elements of each slab's piece of K that are no padding.
    target, mode, saturate
        What accumulators are rounded to, and how.
    block_rule
        How scales are found, for results in blocks.
    """

    elements: tuple[int, int]
    blocks: bool
    shift: int
    widths: tuple[int, ...] = field(repr=False)
    target: Format = FP32
    mode: Rounding = Rounding.NEAREST_EVEN
    saturate: bool = False
    block_rule: ScaleRule | None = None


@dataclass(frozen=True)
class Problem:
    """A GEMM: `m` x `k` times `k` x `n`, with int32 results, int8 ones if `requantised`, or rounded ones with `scaling`.

    With `pairs`, a number in `PAIRS`, stationary operands are codes of 4 bits, two of which share a place in the array.
    """

    m: int
    k: int
    n: int
    requantised: bool = False
    relu: bool = False
    scaling: Scaling | None = None
    pairs: int = 0

    def __post_init__(self) -> None:
        if min(self.m, self.k, self.n) < 1:
            raise ValueError(f"M, K and N must be at least 1, not {self.m}, {self.k} and {self.n}")
        if self.k > MAX_CONTRACTION and self.scaling is None:
            raise ValueError(f"K must be at most {MAX_CONTRACTION} for int32 sums that cannot overflow, not {self.k}")

    @property
    def result_bytes(self) -> int:
        """Bytes of one element of the result."""
        if self.scaling is not None:
            return self.scaling.target.storage_bytes
        return 1 if self.requantised else ACCUMULATOR_BYTES

    @property
    def in_blocks(self) -> bool:
        """Whether the result is in blocks."""
        return self.scaling is not None and self.scaling.block_rule is not None

    @property
    def lanes(self) -> int:
        """Lanes of the array that have results of their own."""
        return 2 if self.pairs else 1

    @property
    def blocks(self) -> bool:
        """Whether operands have block scales."""
        return self.scaling is not None and self.scaling.blocks

    @property
    def has_parameters(self) -> bool:
        """Whether the drain needs a record for each column."""
        return self.requantised or self.scaling is not None


@dataclass(frozen=True)
class Tiling:
    """One way to cut a problem; see the module's text for the words."""

    config: EngineConfig
    problem: Problem
    count: int
    groups: int
    over_columns: bool
    tile_rows: int
    tiles: int
    passes: int

    @cached_property
    def depth(self) -> int:
        """K per pass."""
        return self.count * self.config.array.rows

    @cached_property
    def block_rows(self) -> int:
        """M per block."""
        return self.tile_rows * self.row_tiles

    @cached_property
    def set_tiles(self) -> int:
        """Tiles of `columns` in a column set: what one stationary LOAD brings."""
        return self.groups if self.over_columns else 1

    @cached_property
    def line_rows(self) -> int:
        """Rows of W in a memory row: a slab's whole tile, if it is loaded alone and LOAD writes several of its rows at once."""
        array = self.config.array
        alone = self.set_tiles * self.count == 1 and self.config.stationary_rows > 1
        return array.rows if alone and array.rows * array.columns <= LONGEST_ROW else 1

    @cached_property
    def tile_columns(self) -> int:
        """N of a tile: the columns of the array, in each lane."""
        return self.problem.lanes * self.config.array.columns

    @cached_property
    def column_tiles(self) -> int:
        """Tiles in N."""
        return cuts(self.problem.n, self.tile_columns)

    @cached_property
    def lane_tiles(self) -> int:
        """Tiles in N, those of each lane by themselves, as the drain sees them."""
        return cuts(self.problem.n, self.config.array.columns)

    @cached_property
    def block_lane_tiles(self) -> int:
        """Such tiles in a block along N."""
        return self.tiles * self.set_tiles * self.problem.lanes

    @cached_property
    def column_sets(self) -> int:
        """Column sets in N."""
        return cuts(self.column_tiles, self.set_tiles)

    @cached_property
    def row_blocks(self) -> int:
        """Blocks along M."""
        return cuts(self.problem.m, self.block_rows)

    @cached_property
    def column_blocks(self) -> int:
        """Blocks along N."""
        return cuts(self.column_sets, self.tiles)

    @cached_property
    def total_passes(self) -> int:
        """Passes along K."""
        return cuts(self.problem.k, self.depth)

    @cached_property
    def parameter_words(self) -> int:
        """Parameter memory words of one lane's tile."""
        return cuts(self.config.array.columns, self.config.drain_lanes)

    @cached_property
    def tile_words(self) -> int:
        """Words of a stationary tile."""
        return self.config.array.load_cycles + self.problem.blocks * self.problem.lanes

    @cached_property
    def row_words(self) -> int:
        """Row parameter words of one output tile, if its rows have records."""
        return cuts(self.tile_rows, self.config.drain_lanes) if self.problem.scaling is not None else 0

    @cached_property
    def row_tiles(self) -> int:
        """Output tiles of a block that have rows of their own."""
        return 1 if self.over_columns else self.groups

    @cached_property
    def row_slots(self) -> int:
        """Blocks along M whose row parameters the drain holds, at most 2."""
        return min(2, self.config.parameter_depth // max(1, self.row_tiles * self.row_words))

    @cached_property
    def moving_slots(self) -> int:
        """Chunks that the moving banks hold."""
        return self._slots(self.config.moving_depth // (self.passes * self.tile_rows))

    @cached_property
    def stationary_slots(self) -> int:
        """Chunks of one column set that the stationary banks hold."""
        return self._slots(self.config.stationary_depth // (self.passes * self.tile_words))

    @cached_property
    def accumulator_slots(self) -> int:
        """Tiles that an accumulator bank holds."""
        return min(self.config.accumulator_depth // self.tile_rows, 2 * self.tiles, 2**self.config.token_bits - 1)

    @cached_property
    def parameter_slots(self) -> int:
        """Blocks along N whose parameters the drain holds, at most 2."""
        return min(2, self.config.parameter_depth // (self.block_lane_tiles * self.parameter_words))

    def _slots(self, fit: int) -> int:
        return min(fit, MAX_SLOTS, 2**self.config.token_bits - 1)

    def legal(self) -> bool:
        """Whether everything fits."""
        return (
            min(self.moving_slots, self.stationary_slots) >= 1
            and self.accumulator_slots >= self.tiles
            and (self.parameter_slots >= 1 or not self.problem.has_parameters)
            and self.row_slots >= 1
        )

    def cycles(self) -> int:
        """Estimate the cycles from the first instruction to the last result.

        The bound is the array, the memory, which reads and writes share, or a ring of buffers: a slot is taken from the
        request for its contents to the end of their use, and `slots` of them overlap.
        """
        array, bus = self.config.array, self.config.axi_bytes
        blocks = self.row_blocks * self.column_blocks
        sets = self.row_blocks * self.column_sets
        chunks = cuts(self.total_passes, self.passes)

        # One step: a train for one chunk and column set, its operands, and the drain of one finished column set.
        moving_row = max(cuts(self.depth, bus), cuts(self.count, self.config.segments))
        segments = self.set_tiles * self.count
        line_chunks = cuts(segments, self.config.stationary_segments)
        if self.line_rows > 1:
            line_chunks = array.load_cycles * cuts(array.load_rows, self.config.stationary_rows)
        line_beats = cuts(self.line_rows * segments * array.columns, bus)
        pass_stationary = array.rows // self.line_rows * max(line_beats, line_chunks)
        if self.problem.blocks:
            moving_row += cuts(1 + self.count, bus)
            pass_stationary += self.set_tiles * self.problem.lanes * (1 + self.count) * cuts(array.columns, bus)
        drain_row = self.problem.lanes * cuts(array.columns, self.config.drain_lanes)
        pass_compute = max(self.tile_rows, self.tile_words)
        drain = self.tile_rows * self.groups * drain_row

        compute = sets * self.total_passes * pass_compute
        moving = self.problem.m * self.column_blocks * self.total_passes * moving_row
        stationary = sets * self.total_passes * pass_stationary
        loads = sets * self.total_passes + blocks * self.total_passes * (self.block_rows // self.tile_rows)
        instructions = loads + sets * (chunks * self.groups + self.problem.lanes * self.groups)
        store = self.problem.m * self.lane_tiles * cuts(array.columns * self.problem.result_bytes, bus)
        memory = moving + stationary + instructions * cuts(INSTRUCTION_BYTES, bus) + store

        rings = [
            (blocks * chunks, moving + compute, self.moving_slots),
            (sets * chunks, stationary + compute, self.stationary_slots),
            (sets, compute + sets * drain, self.accumulator_slots),
        ]
        waits = max((uses * ROUND_TRIP + busy) / slots for uses, busy, slots in rings)
        drains = self.problem.m * self.column_tiles * drain_row
        fill = self.passes * (self.block_rows * moving_row + pass_stationary) + drain + 2 * ROUND_TRIP
        return round(fill + max(compute, memory, drains, waits))


def choose(problem: Problem, config: EngineConfig, partition: int | None = None) -> Tiling:
    """Give the tiling with the lowest estimate, with partitions of `partition` slabs if that is given.

    Raises
    ------
    ValueError
        If the array has no such partition.
    """
    slabs = config.array.slabs
    if partition is not None and not 1 <= partition <= slabs:
        raise ValueError(f"partition must be 1 to {slabs} slabs, not {partition}")
    counts = range(1, slabs + 1) if partition is None else [int(partition)]
    return min((tiling for count in counts for tiling in _candidates(problem, config, count)), key=Tiling.cycles)


def _candidates(problem: Problem, config: EngineConfig, count: int) -> Iterator[Tiling]:
    side_by_side = config.array.slabs // count
    column_tiles = cuts(problem.n, config.array.columns * problem.lanes)
    for over_columns in (True, False):
        groups = min(side_by_side, column_tiles if over_columns else problem.m)
        sets = cuts(column_tiles, groups if over_columns else 1)
        for tiles in range(1, min(MAX_TILES, sets) + 1):
            for tile_rows in _tile_rows(problem, 1 if over_columns else groups, tiles, config):
                passes = 1
                while True:
                    tiling = Tiling(config, problem, count, groups, over_columns, tile_rows, tiles, passes)
                    if not tiling.legal():
                        break
                    yield tiling
                    if passes >= tiling.total_passes:
                        break
                    passes *= 2


def _tile_rows(problem: Problem, groups: int, tiles: int, config: EngineConfig) -> set[int]:
    """Give tile heights that cut M evenly and leave 1, 2 or 4 times `tiles` accumulator slots."""
    heights = set()
    for slots in (1, 2, 4):
        most = min(config.accumulator_depth // (slots * tiles), config.moving_depth // 2)
        if problem.scaling is not None:
            most = min(most, config.parameter_depth // groups * config.drain_lanes)
        if most:
            heights.add(cuts(problem.m, groups * cuts(problem.m, groups * most)))
    return heights
