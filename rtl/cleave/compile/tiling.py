"""How a problem is cut for the array.

Names used throughout: M x K times K x N. A partition is `count` fused slabs and multiplies `depth = count * rows` of
K by a *tile* of N per pass: `columns`, or with two lanes twice as many. Partitions side by side, the *groups*, work on different
output tiles at once: on `part_groups` parts of the problem, in each on `row_groups` tiles along M, which share stationary operands,
times `column_groups` tiles along N, which share moving operands. A *set* is so many tiles along N.

A *block* is what is computed between two drains of the same accumulators: `tile_rows` of M in each group, by `sets` sets. Inside a
block, K goes by in *chunks* of `passes` passes. A chunk of a block is an *iteration*: it loads the moving rows of a chunk, and for
each of the sets their stationary tiles; each group then has one MATMUL for each set.

Banks are cut into *slots* of a chunk's operands each. A chunk that is still there is not loaded again: in which order blocks
come, along rows or along columns first, says which operand stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..config import EngineConfig
from ..engine.isa import INSTRUCTION_BYTES
from .problem import Integers, Problem, cuts

__all__ = ["Block", "Tile", "Tiling"]


@dataclass(frozen=True)
class Tile:
    """An output tile: what one group computes of a block in one set.

    `row` and `column` are its first ones in the result, `index` is that of its tile along N of its part.
    """

    group: int
    row: int
    rows: int
    index: int
    column: int
    columns: int


@dataclass(frozen=True)
class Block:
    """A block: a part for each group along parts, the first row in each of them, and the sets."""

    number: int
    parts: tuple[int, ...]
    row: int
    sets: range


@dataclass(frozen=True)
class Tiling:
    """One way to cut a problem; see the module's text for the words.

    Or a family of them, with arrays for the last four: then what follows from them are arrays too.
    """

    config: EngineConfig
    problem: Problem
    count: int
    part_groups: int
    row_groups: int
    column_groups: int
    tile_rows: Integers
    sets: Integers
    passes: Integers
    rows_first: Integers

    @cached_property
    def groups(self) -> int:
        """Partitions side by side."""
        return self.part_groups * self.row_groups * self.column_groups

    @cached_property
    def depth(self) -> int:
        """K per pass."""
        return self.count * self.config.array.rows

    @cached_property
    def total_passes(self) -> int:
        """Passes along K."""
        return cuts(self.problem.k, self.depth)

    @cached_property
    def chunks(self) -> Integers:
        """Iterations of a block."""
        return cuts(self.total_passes, self.passes)

    @cached_property
    def tile_columns(self) -> int:
        """N of a tile: the columns of the array, in each lane."""
        return self.problem.lanes * self.config.array.columns

    @cached_property
    def column_tiles(self) -> int:
        """Tiles along N of a part."""
        return cuts(self.problem.n, self.tile_columns)

    @cached_property
    def lane_tiles(self) -> int:
        """Such tiles, those of each lane by themselves, as the drain sees them."""
        return cuts(self.problem.n, self.config.array.columns)

    @cached_property
    def column_sets(self) -> int:
        """Sets along N of a part."""
        return cuts(self.column_tiles, self.column_groups)

    def set_tiles(self, column_set: int) -> int:
        """Tiles of a set; the last one of a part may have fewer."""
        return min(self.column_groups, self.column_tiles - column_set * self.column_groups)

    @cached_property
    def tile_words(self) -> int:
        """Words of a stationary tile."""
        return self.config.array.load_cycles + self.problem.blocks * self.problem.lanes

    @cached_property
    def moving_slots(self) -> Integers:
        """Chunks that the moving banks hold."""
        return self._slots(self.config.moving_depth // (self.passes * self.tile_rows))

    @cached_property
    def stationary_slots(self) -> Integers:
        """Chunks of one set that the stationary banks hold."""
        return self._slots(self.config.stationary_depth // (self.passes * self.tile_words))

    @cached_property
    def accumulator_slots(self) -> Integers:
        """Tiles that an accumulator bank holds."""
        return self._slots(least(self.config.accumulator_depth // self.tile_rows, 2 * self.sets))

    def _slots(self, fit: Integers) -> Integers:
        return least(fit, 2**self.config.token_bits - 1)

    @cached_property
    def parameter_words(self) -> int:
        """Parameter memory words of one lane's tile."""
        return cuts(self.config.array.columns, self.config.drain_lanes)

    @cached_property
    def set_parameter_words(self) -> Integers:
        """Parameter memory words of a block's columns in one part."""
        return self.sets * self.column_groups * self.problem.lanes * self.parameter_words

    @cached_property
    def row_words(self) -> Integers:
        """Row parameter words of one tile, if its rows have records."""
        return cuts(self.tile_rows, self.config.drain_lanes) if self.problem.scaling is not None else 0

    @cached_property
    def parameter_slots(self) -> Integers:
        """Blocks whose parameters the drain holds, at most 2."""
        depth, held = self.config.parameter_depth, 2
        if self.problem.has_parameters:
            held = least(held, depth // (self.part_groups * self.set_parameter_words))
        if self.problem.scaling is not None:
            held = least(held, depth // (self.part_groups * self.row_groups * self.row_words))
        return held

    @cached_property
    def legal(self) -> Integers:
        """Whether everything fits."""
        held = least(least(self.moving_slots, self.stationary_slots), self.parameter_slots)
        return (held >= 1) & (self.accumulator_slots >= self.sets)

    @cached_property
    def part_sets(self) -> list[tuple[int, ...]]:
        """Parts that are computed at the same time, those of like size together; those without rows are left out."""
        parts = [part for part, rows in enumerate(self.problem.parts) if rows]
        if self.part_groups > 1:
            parts.sort(key=lambda part: -self.problem.parts[part])
        return [tuple(parts[i : i + self.part_groups]) for i in range(0, len(parts), self.part_groups)]

    @cached_property
    def part_starts(self) -> list[int]:
        """First row of each part."""
        starts = [0]
        for rows in self.problem.parts:
            starts.append(starts[-1] + rows)
        return starts

    def blocks(self) -> Iterator[Block]:
        """Give all blocks in their order."""
        number = 0
        for parts in self.part_sets:
            rows = range(0, max(self.problem.parts[part] for part in parts), self.row_groups * self.tile_rows)
            starts = range(0, self.column_sets, self.sets)
            for outer in rows if self.rows_first else starts:
                for inner in starts if self.rows_first else rows:
                    row, start = (outer, inner) if self.rows_first else (inner, outer)
                    yield Block(number, parts, row, range(start, min(start + self.sets, self.column_sets)))
                    number += 1

    def tiles(self, block: Block, column_set: int) -> list[Tile]:
        """Give the output tile of each group that has one."""
        tiles = []
        for number, part in enumerate(block.parts):
            for row_group in range(self.row_groups):
                row = block.row + row_group * self.tile_rows
                rows = min(self.tile_rows, self.problem.parts[part] - row)
                for column_group in range(self.set_tiles(column_set) if rows > 0 else 0):
                    index = column_set * self.column_groups + column_group
                    column = index * self.tile_columns
                    tiles.append(Tile(
                        (number * self.row_groups + row_group) * self.column_groups + column_group,
                        self.part_starts[part] + row, rows, index, column, min(self.tile_columns, self.problem.n - column),
                    ))  # fmt: skip
        return tiles

    @cached_property
    def totals(self) -> "Totals":
        """What the whole problem takes of each resource."""
        return Totals.of(self)

    def member(self, index: int) -> "Tiling":
        """Give a tiling of a family."""
        names = "tile_rows", "sets", "passes", "rows_first"
        return replace(self, **{name: getattr(self, name)[index].item() for name in names})


def least(a: Integers, b: Integers) -> Integers:
    """Give the smaller of two, or of each two in arrays."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else np.minimum(a, b)


@dataclass(frozen=True)
class Totals:
    """Cycles for which the whole problem keeps each part of the machine busy, if nothing waits.

    Attributes
    ----------
    row_blocks
        Blocks along M, of all parts that are not computed at the same time.
    iterations
        Chunks of all blocks.
    moving, stationary, parameters
        Of LOAD, by what is loaded.
    moving_loads, stationary_loads
        How often a chunk of moving rows, and the stationary tiles of a set in a chunk, are loaded.
    array
        Of the slabs.
    drain
        Of DRAIN.
    store
        Beats of results.
    instructions
        Of the program, about.
    bus
        Beats, in both directions, instructions included.
    """

    row_blocks: Integers
    iterations: Integers
    moving: Integers
    stationary: Integers
    parameters: Integers
    moving_loads: Integers
    stationary_loads: Integers
    array: Integers
    drain: Integers
    store: Integers
    instructions: Integers
    bus: Integers

    @classmethod
    def of(cls, t: Tiling) -> "Totals":
        """Add up."""
        problem, config, array = t.problem, t.config, t.config.array
        beat, part_sets = config.axi_bytes, len(t.part_sets)
        rows, parts = problem.m, sum(map(len, t.part_sets))

        # Blocks, and the array's cycles for one set of all rows in one pass.
        height = t.row_groups * t.tile_rows
        pass_cycles = np.maximum(t.tile_rows, t.tile_words)
        row_blocks = cycles = 0
        tallest, times = np.unique([max(problem.parts[part] for part in those) for those in t.part_sets], return_counts=True)
        for most, count in zip(tallest.tolist(), times.tolist(), strict=True):
            rest = most % height
            row_blocks = row_blocks + count * cuts(most, height)
            last = (rest > 0) * np.maximum(np.minimum(rest, t.tile_rows), t.tile_words)
            cycles = cycles + count * (most // height * pass_cycles + last)
        column_blocks = cuts(t.column_sets, t.sets)
        blocks = row_blocks * column_blocks
        iterations = blocks * t.chunks

        # An operand is loaded as often as it is used, or once where it stays.
        part_blocks = cuts(row_blocks, part_sets)
        moving_stays = t.moving_slots >= t.chunks * np.where(t.rows_first, 1, part_blocks)
        stationary_stays = t.stationary_slots >= t.chunks * np.where(t.rows_first, t.column_sets, np.minimum(t.sets, t.column_sets))
        moving_times, stationary_times = np.where(moving_stays, 1, column_blocks), np.where(stationary_stays, 1, part_blocks)

        moving_rows = moving_times * rows
        row_beats = cuts(np.minimum(problem.k, t.passes * t.depth), beat) * t.chunks
        moving = moving_rows * np.maximum(row_beats, t.total_passes * cuts(t.count, config.segments))
        moving_beats = moving_rows * row_beats
        tile_rows = stationary_times * parts * t.total_passes * array.rows
        stationary_beats = cuts(tile_rows * t.count * t.column_tiles * array.columns, beat)
        side_by_side = t.count * t.column_groups
        loads = cuts(side_by_side, config.stationary_segments)
        chunks = tile_rows * loads if side_by_side > 1 else cuts(tile_rows, config.stationary_rows)
        stationary = np.maximum(stationary_beats, chunks * t.column_sets)
        if problem.blocks:
            row_scales = moving_rows * t.total_passes * cuts(1 + t.count, beat)
            scales = stationary_times * parts * t.total_passes * problem.lanes * t.column_tiles * (1 + t.count)
            column_scales = scales * cuts(array.columns, beat)
            moving, moving_beats = moving + row_scales, moving_beats + row_scales
            stationary, stationary_beats = stationary + column_scales, stationary_beats + column_scales

        lane_rows = rows * t.lane_tiles
        parameters = blocks * t.part_groups * (t.set_parameter_words * problem.has_parameters + t.row_groups * t.row_words)
        store = lane_rows * cuts(array.columns * problem.result_bytes, beat)
        moving_loads = iterations // column_blocks * moving_times
        stationary_loads = stationary_times * part_sets * t.chunks * t.column_sets
        instructions = moving_loads * t.part_groups * t.row_groups + stationary_loads * t.part_groups
        instructions = instructions + (iterations + blocks * problem.lanes) * t.sets * t.groups
        return cls(
            row_blocks=row_blocks,
            iterations=iterations,
            moving=moving,
            stationary=stationary,
            parameters=parameters,
            moving_loads=moving_loads,
            stationary_loads=stationary_loads,
            array=cycles * t.column_sets * t.total_passes,
            drain=lane_rows * cuts(array.columns, config.drain_lanes),
            store=store,
            instructions=instructions,
            bus=moving_beats + stationary_beats + parameters + cuts(instructions * INSTRUCTION_BYTES, beat) + store,
        )
