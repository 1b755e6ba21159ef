"""A problem to a program: the operations of the tile loop, in the order of its schedule.

Slots of the banks are given out in turn, and instructions wait by tokens for what they need, so that the result depends on no time.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..engine.isa import FIELDS, Destination, Opcode, Output, Unit
from ..numerics.formats import ELEMENTS, TARGETS
from ..numerics.quantise import ScaleRule
from ..numerics.requantise import RECORD_BYTES
from .layout import Layout
from .pipeline import MOVING, PARAMETERS, operation
from .program import Program
from .schedule import Schedule
from .slots import Slots
from .tiling import Block, Tile

__all__ = ["Writer", "write"]

MOST_ROW_BYTES = next((1 << field.width) - 1 for field in FIELDS[Opcode.LOAD] if field.name == "row_bytes")


def write(shares: Sequence[tuple[Layout, Schedule]]) -> bytes:
    """Write the program of problems one after the other; the next one's operands are loaded when the multiplications have ended."""
    if len(shares) == 1 and (copied := _copied(*shares[0])) is not None:
        return copied.encode()
    program = Program()
    for layout, order in shares:
        Writer(layout, order, program).write(layout.tiling.blocks())
    return program.encode()


def _copied(layout: Layout, order: Schedule) -> Program | None:
    """Write the program of a long loop whose turns are alike but for where they are in memory, if it is one.

    Only the first and the last turns are written one by one, and if they are alike, those between are copies.
    """
    tiling = layout.tiling
    if len(set(tiling.problem.parts)) > 1 or tiling.totals.instructions <= LONG:
        return None
    blocks = list(tiling.blocks())
    turns = len(tiling.part_sets)
    if turns == 1:
        turns = len({block.row if tiling.rows_first else block.sets.start for block in blocks})
    of_turn = len(blocks) // turns
    for unit in (1, 2, 4):
        left_out = turns // unit - 2 * SAMPLE
        if left_out > 0:
            first, last = SAMPLE * unit * of_turn, (SAMPLE + left_out) * unit * of_turn
            writer = Writer(layout, order)
            program = writer.write(blocks[:first] + blocks[last:])
            starts = [writer.starts[number * unit * of_turn * tiling.chunks] for number in range(1, SAMPLE + 2)]
            of = [number // (unit * of_turn) for number in writer.blocks]
            if (whole := program.turned(starts, of, left_out)) is not None:
                return whole
    return None


LONG, SAMPLE = 20000, 3
"""Instructions of a program whose turns are copied, and turns at its start, and at least at its end, that are not."""


@dataclass
class _Iteration:
    """An iteration on its way: its slots, from when they are filled to when they are used."""

    block: Block
    passes: range
    moving: int = 0
    stationary: dict[int, int] = field(default_factory=dict)
    parameters: tuple[int, int] = (0, 0)
    matmuls: dict[int, list[tuple[Tile, int]]] = field(default_factory=dict)


class Writer:
    """Writes the program of a problem, behind another one's if there is one."""

    def __init__(self, layout: Layout, order: Schedule, program: Program | None = None) -> None:
        self.layout, self.order = layout, order
        self.tiling = layout.tiling
        self.problem = layout.tiling.problem
        self.array = layout.tiling.config.array
        self.program = Program() if program is None else program
        newest = self.program.newest()
        multiplied = [number for unit, number in newest.items() if unit >= Unit.SLAB]
        self.drained = [number for unit, number in newest.items() if unit == Unit.DRAIN]
        self.starts: list[int] = []
        """Where each iteration starts: at the load of its moving rows, whether they are there or not."""
        self.blocks: list[int] = []
        """Of each instruction."""
        scaling = self.problem.scaling
        self.elements = (0, 0) if scaling is None else scaling.elements
        self.shift = self.tiling.config.exact_shift if scaling is None else scaling.shift
        if self.problem.pairs:
            self.shift += self.tiling.config.pair_shift - ELEMENTS[self.elements[1]].alignment
            self.elements = self.elements[0], 0
        self.output = Output.INT8 if self.problem.requantised else Output.INT32
        if scaling is not None:
            self.output = Output.BLOCKS if self.problem.in_blocks else Output.ROUNDED
        self.moving = Slots(self.tiling.moving_slots, multiplied)
        self.stationary = Slots(self.tiling.stationary_slots, multiplied)
        self.column_parameters = Slots(self.tiling.parameter_slots, self.drained)
        self.row_parameters = Slots(self.tiling.parameter_slots, self.drained)
        self.accumulators: dict[tuple[int, int], int] = {}  # of a block's set
        self.tiles = 0
        self.drains: dict[tuple[int, int], int] = {}  # the last one of a group's accumulator slot

    def write(self, blocks: Iterable[Block]) -> Program:
        """Write the program of some blocks."""
        tiling = self.tiling
        starts = range(0, tiling.total_passes, tiling.passes)
        coming = [
            _Iteration(block, range(first, min(first + tiling.passes, tiling.total_passes))) for block in blocks for first in starts
        ]
        for number, index in self._hurried(self.order.order(len(coming)), coming):
            iteration = coming[index]
            if number == PARAMETERS:
                self.load_parameters(iteration)
            elif number == MOVING:
                self.starts.append(len(self.program))
                self.load_moving(iteration)
            else:
                position, kind = divmod(number - operation(0, 0), 3)
                if position < len(iteration.block.sets):
                    (self.load_stationary, self.multiply, self.drain)[kind](iteration, position)
            self.blocks += [iteration.block.number] * (len(self.program) - len(self.blocks))
        return self.program

    def _hurried(self, order: Iterator[tuple[int, int]], coming: list[_Iteration]) -> Iterator[tuple[int, int]]:
        """Give operations in their order, but the first multiplications, for which queues have room, right after their loads."""
        first = ((operation(1, j), index) for index, iteration in enumerate(coming) for j in range(len(iteration.block.sets)))
        hurried = deque(islice(first, min(self.tiling.config.queue_depth, self.tiling.accumulator_slots)))
        done, given = set(hurried), set()
        for each in order:
            if each not in done:
                yield each
            given.add(each)
            while hurried and {(MOVING, hurried[0][1]), (hurried[0][0] - 1, hurried[0][1])} <= given:
                yield hurried.popleft()
            if not hurried:
                break
        yield from (each for each in order if each not in done)

    def mask(self, part: int, row_groups: int = 1) -> int:
        """Give the first slab of each row of groups that works on a part, by its position in the block."""
        row = self.tiling.column_groups * self.tiling.count
        return sum(1 << (part * self.tiling.row_groups + row_group) * row for row_group in range(row_groups))

    def rows_of(self, block: Block) -> list[list[Tile]]:
        """Give the tiles of a block's first set that share moving rows: those of each row of groups that has any."""
        rows: dict[int, list[Tile]] = {}
        for tile in self.tiling.tiles(block, block.sets.start):
            rows.setdefault(tile.group // self.tiling.column_groups, []).append(tile)
        return list(rows.values())

    def load_moving(self, iteration: _Iteration) -> None:
        """Load a chunk of moving rows, each row of groups its own."""
        tiling, layout, block, passes = self.tiling, self.layout, iteration.block, iteration.passes
        slot, after = self.moving.take((block.parts, block.row, passes.start), len(block.sets))
        iteration.moving = slot
        if after is None:
            return
        k = passes.start * tiling.depth
        groups = min(tiling.column_groups, tiling.column_tiles)
        for tiles in self.rows_of(block):
            row, rows = tiles[0].row, tiles[0].rows
            first = tiles[0].group * tiling.count
            slabs = sum(1 << first + group * tiling.count for group in range(groups))
            self.moving.filled[slot] = self.program.load(
                Destination.MOVING,
                slabs=slabs,
                address=slot * tiling.passes * tiling.tile_rows,
                rows=rows,
                row_bytes=min(len(passes) * tiling.depth, self.problem.k - k),
                memory=layout.moving + row * layout.moving_stride + k,
                stride=layout.moving_stride,
                element=self.elements[0],
                fold=tiling.count,
                step=tiling.tile_rows,
                after=after,
            )
            for number, index in enumerate(passes if self.problem.blocks else ()):
                self.moving.filled[slot] = self.program.load(
                    Destination.MOVING_SCALES,
                    slabs=slabs,
                    address=(slot * tiling.passes + number) * tiling.tile_rows,
                    rows=rows,
                    row_bytes=layout.row_scale_bytes,
                    memory=layout.row_scale_block(index, row),
                    stride=layout.row_scale_bytes,
                    after=after,
                )

    def load_stationary(self, iteration: _Iteration, position: int) -> None:
        """Load a chunk's stationary tiles of a set, each part's by itself."""
        tiling, layout, passes = self.tiling, self.layout, iteration.passes
        column_set = iteration.block.sets[position]
        slot, after = self.stationary.take((iteration.block.parts, column_set, passes.start), 1)
        iteration.stationary[position] = slot
        if after is None:
            return
        row_bytes, tile_rows = layout.row_bytes(column_set), self.array.rows
        rows = next(rows for rows in (len(passes) * tile_rows, tile_rows, 1) if rows * row_bytes <= MOST_ROW_BYTES)
        for number, part in enumerate(iteration.block.parts):
            slabs = self.mask(number, tiling.row_groups)
            address = slot * tiling.passes * tiling.tile_words
            self.stationary.filled[slot] = self.program.load(
                Destination.STATIONARY,
                slabs=slabs,
                address=address,
                rows=len(passes) * tile_rows // rows,
                row_bytes=rows * row_bytes,
                memory=layout.stationary_block(part, column_set, passes.start),
                stride=rows * row_bytes,
                element=self.elements[1],
                fold=tiling.set_tiles(column_set) * tiling.count,
                step=tiling.tile_words,
                after=after,
            )
            if self.problem.blocks:
                self.load_scales(iteration, number, column_set, slot, after)

    def load_scales(self, iteration: _Iteration, number: int, column_set: int, slot: int, after: list[int]) -> None:
        """Load the scales that go with a part's stationary tiles."""
        tiling, layout = self.tiling, self.layout
        slabs, part = self.mask(number, tiling.row_groups), iteration.block.parts[number]
        for offset, index in enumerate(iteration.passes):
            for tile in range(tiling.set_tiles(column_set)):
                for lane in range(self.problem.lanes):
                    self.stationary.filled[slot] = self.program.load(
                        Destination.STATIONARY_SCALES,
                        slabs=slabs << tile * tiling.count,
                        address=(slot * tiling.passes + offset) * tiling.tile_words + self.array.load_cycles + lane,
                        rows=1 + tiling.count,
                        row_bytes=self.array.columns,
                        memory=layout.column_scale_block(part, column_set, index, tile, lane),
                        stride=layout.scale_stride,
                        after=after,
                    )

    def multiply(self, iteration: _Iteration, position: int) -> None:
        """Run the passes of a chunk in every group."""
        tiling, block, passes = self.tiling, iteration.block, iteration.passes
        key = block.number, position
        if passes.start == 0:
            slot = self.tiles % tiling.accumulator_slots
            if slot in self.accumulators.values():
                raise RuntimeError(f"accumulator slot {slot} is wanted before it is drained")
            self.accumulators[key] = slot
            self.tiles += 1
        accumulator, moving, stationary = self.accumulators[key], iteration.moving, iteration.stationary[position]
        row_products = self.row_products(passes)
        matmuls = iteration.matmuls[position] = []
        for tile in tiling.tiles(block, block.sets[position]):
            after = [self.moving.filled[moving], self.stationary.filled[stationary]]
            drained = self.drains.get((tile.group, accumulator))
            after += self.drained if drained is None else [drained]
            matmul = self.program.matmul(
                tile.group * tiling.count,
                tiling.count,
                rows=tile.rows,
                passes=len(passes),
                moving=moving * tiling.passes * tiling.tile_rows,
                moving_step=tiling.tile_rows,
                stationary=stationary * tiling.passes * tiling.tile_words,
                stationary_step=tiling.tile_words,
                accumulator=accumulator * tiling.tile_rows,
                accumulate_first=passes.start > 0,
                scaled=self.problem.blocks,
                shift=self.shift,
                pairs=self.problem.pairs,
                row_macs=row_products[0] * tile.columns,
                last_row_macs=row_products[1] * tile.columns,
                after=after,
            )
            matmuls.append((tile, matmul))
        users = {tile.group: matmul for tile, matmul in matmuls}
        self.moving.use(moving, users)
        self.stationary.use(stationary, users)

    def drain(self, iteration: _Iteration, position: int) -> None:
        """Drain what the last chunk of a block has finished."""
        tiling, problem, layout, block = self.tiling, self.problem, self.layout, iteration.block
        if iteration.passes.stop < tiling.total_passes:
            return
        accumulator = self.accumulators.pop((block.number, position))
        drain = 0
        for tile, matmul in iteration.matmuls[position]:
            for lane, column in enumerate(range(0, tile.columns, self.array.columns)):
                after = [matmul]
                if problem.has_parameters:
                    after += [
                        slots.filled[slot]
                        for slots, slot in zip((self.column_parameters, self.row_parameters), iteration.parameters, strict=True)
                        if slot in slots.filled
                    ]
                drain = self.program.drain(
                    self.output,
                    slab=(tile.group + 1) * tiling.count - 1,
                    lane=lane,
                    accumulator=accumulator * tiling.tile_rows,
                    rows=tile.rows,
                    columns=min(self.array.columns, tile.columns - column),
                    memory=layout.result + tile.row * layout.result_stride + layout.result_column(tile.column + column),
                    stride=layout.result_stride,
                    relu=problem.relu,
                    parameters=self.parameter_word(iteration, tile, lane) if problem.has_parameters else 0,
                    after=after,
                    **self.rounding(iteration, tile),
                )
                self.drains[tile.group, accumulator] = drain
        if problem.has_parameters:
            for slots, slot in zip((self.column_parameters, self.row_parameters), iteration.parameters, strict=True):
                slots.use(slot, {0: drain})

    def load_parameters(self, iteration: _Iteration) -> None:
        """Load the drain's parameters for a block: those of its columns, and those of its rows."""
        tiling, layout, block, passes = self.tiling, self.layout, iteration.block, iteration.passes
        if not self.problem.has_parameters or passes.stop < tiling.total_passes:
            return
        sets = len(block.sets)
        columns, after = self.column_parameters.take((block.parts, block.sets), sets)
        rows, rows_after = self.row_parameters.take((block.parts, block.row), sets)
        iteration.parameters = columns, rows
        first = block.sets.start * tiling.column_groups * self.problem.lanes
        tiles = min(sets * tiling.column_groups * self.problem.lanes, tiling.lane_tiles - first)
        for number, part in enumerate(block.parts if after is not None else ()):
            self.column_parameters.filled[columns] = self.program.load(
                Destination.PARAMETERS,
                slabs=0,
                address=(columns * tiling.part_groups + number) * tiling.set_parameter_words,
                rows=tiles,
                row_bytes=layout.parameter_bytes,
                memory=layout.parameters + (part * tiling.lane_tiles + first) * layout.parameter_bytes,
                stride=layout.parameter_bytes,
                after=after or (),
            )
        for tiles_of_row in self.rows_of(block) if tiling.row_words and rows_after is not None else ():
            tile = tiles_of_row[0]
            self.row_parameters.filled[rows] = self.program.load(
                Destination.ROW_PARAMETERS,
                slabs=0,
                address=self.row_parameter_word(rows, tile),
                rows=1,
                row_bytes=tile.rows * RECORD_BYTES,
                memory=layout.row_parameters + tile.row * RECORD_BYTES,
                stride=0,
                after=rows_after or (),
            )

    def row_parameter_word(self, slot: int, tile: Tile) -> int:
        """Give the word of the row parameters for row 0 of a tile."""
        tiling = self.tiling
        rows = tiling.part_groups * tiling.row_groups
        return (slot * rows + tile.group // tiling.column_groups) * tiling.row_words

    def parameter_word(self, iteration: _Iteration, tile: Tile, lane: int) -> int:
        """Give the parameter memory's word for column 0 of a lane's tile."""
        tiling, lanes = self.tiling, self.problem.lanes
        part = tile.group // (tiling.row_groups * tiling.column_groups)
        first = iteration.block.sets.start * tiling.column_groups
        index = (tile.index - first) * lanes + lane
        return (
            (iteration.parameters[0] * tiling.part_groups + part) * tiling.set_parameter_words + index * tiling.parameter_words
        )

    def rounding(self, iteration: _Iteration, tile: Tile) -> dict[str, Any]:
        """Give what a DRAIN of a tile needs besides, if it rounds."""
        scaling = self.problem.scaling
        if scaling is None:
            return {}
        return {
            "row_parameters": self.row_parameter_word(iteration.parameters[1], tile), "target": TARGETS.index(scaling.target),
            "mode": scaling.mode.value, "saturate": scaling.saturate, "scale_up": scaling.block_rule is ScaleRule.UP,
        }  # fmt: skip

    def row_products(self, passes: range) -> tuple[int, int]:
        """Give the useful products of a moving row and column in every pass but the last, so that all add up, and in the last."""
        scaling, tiling = self.problem.scaling, self.tiling
        if scaling is None:
            return tiling.depth, min(tiling.depth, self.problem.k - passes[-1] * tiling.depth)
        total = sum(scaling.widths[passes.start * tiling.count : passes.stop * tiling.count])
        each = total // len(passes)
        return each, total - (len(passes) - 1) * each
