"""GEMM to a program: loads, trains of passes and drains, software-pipelined over double-buffered banks.

A step is one train: all groups' MATMULs for one chunk of K and one column set. Its operands are loaded into the next
slot of each bank as soon as the step that used the slot before is complete, and what it finishes is drained while the
next step computes. Instructions are written in an order in which no queue in front of a unit fills up with work that
must wait.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import EngineConfig
from ..engine.isa import Destination, Output
from ..numerics.formats import ELEMENTS, TARGETS
from ..numerics.quantise import ScaleRule
from ..numerics.requantise import RECORD_BYTES
from .layout import Layout
from .program import Program
from .scaled import ScaledGemm
from .tiling import Problem, Tiling, choose


@dataclass(frozen=True)
class CompiledGemm:
    """A GEMM's program and where it and its operands lie in the window."""

    layout: Layout
    program: bytes

    @property
    def tiling(self) -> Tiling:
        """How the problem was cut."""
        return self.layout.tiling

    @property
    def end(self) -> int:
        """Bytes of the window that are used, from offset 0."""
        return self.layout.program + len(self.program)

    def place(
        self,
        memory: NDArray[np.uint8],
        a: NDArray[np.int8],
        b: NDArray[np.int8],
        records: NDArray[np.void] | None = None,
        scaled: ScaledGemm | None = None,
    ) -> None:
        """Write operands, parameters and program into the window's bytes; `scaled` has what goes with scaled operands."""
        layout = self.layout
        parts = [
            (layout.moving, layout.pack_moving(a)),
            (layout.stationary, layout.pack_stationary(b)),
            (layout.program, np.frombuffer(self.program, np.uint8)),
        ]
        if records is not None:
            parts.append((layout.parameters, layout.pack_parameters(records)))
        if scaled is not None:
            parts.append((layout.row_parameters, scaled.rows.view(np.uint8)))
            if scaled.row_scales is not None and scaled.column_scales is not None:
                parts.append((layout.row_scales, layout.pack_row_scales(scaled.row_scales)))
                parts.append((layout.column_scales, layout.pack_column_scales(scaled.column_scales)))
        for offset, data in parts:
            memory[offset : offset + len(data)] = data


def compile_gemm(
    problem: Problem, config: EngineConfig, *, partition: int | None = None, base: int = 0, window: int = 2**48
) -> CompiledGemm:
    """Compile a GEMM, for operands and result in the window of `window` bytes from byte `base` up.

    Raises
    ------
    ValueError
        If the array has no partition of `partition` slabs, or the window is too small.
    """
    layout = Layout(choose(problem, config, partition), base)
    _check_window(layout.program, window)  # before a long program is written
    gemm = CompiledGemm(layout, _Writer(layout).write())
    _check_window(gemm.end, window)
    return gemm


def _check_window(end: int, window: int) -> None:
    if end > window:
        raise ValueError(f"the problem must fit the backend's memory of {window} bytes, not {end}")


def users(slots: dict[tuple[int, int], int], tiles: "list[_Tile]", slot: int) -> list[int]:
    """Give the instructions that used a slot of these tiles' groups last."""
    return [slots[tile.group, slot] for tile in tiles if (tile.group, slot) in slots]


@dataclass(frozen=True)
class _Tile:
    """The output tile of one group in one block and column set."""

    group: int
    block: int
    row: int
    rows: int
    column: int
    columns: int


class _Writer:
    """Writes the program of one GEMM, block by block."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.tiling = layout.tiling
        self.problem = layout.tiling.problem
        self.array = layout.tiling.config.array
        self.program = Program()
        scaling = self.problem.scaling
        self.elements = (0, 0) if scaling is None else scaling.elements
        self.shift = self.tiling.config.exact_shift if scaling is None else scaling.shift
        if self.problem.pairs:
            self.shift += self.tiling.config.pair_shift - ELEMENTS[self.elements[1]].alignment
            self.elements = self.elements[0], 0
        self.output = Output.INT8 if self.problem.requantised else Output.INT32
        if scaling is not None:
            self.output = Output.BLOCKS if self.problem.in_blocks else Output.ROUNDED
        self.chunks = 0
        self.steps = 0
        self.tiles = 0
        # The last instruction that used a slot of a group, by (group, slot).
        self.moving_users: dict[tuple[int, int], int] = {}
        self.stationary_users: dict[tuple[int, int], int] = {}
        self.accumulator_users: dict[tuple[int, int], int] = {}
        self.parameter_users: dict[int, int] = {}
        self.row_parameter_users: dict[int, int] = {}
        self.blocks = 0
        self.pending: list[tuple[_Tile, int, int]] = []
        """What the last step finished and is not drained yet: tile, accumulator slot, MATMUL."""

    def write(self) -> bytes:
        for column_block in range(self.tiling.column_blocks):
            first = column_block * self.tiling.tiles
            sets = range(first, min(first + self.tiling.tiles, self.tiling.column_sets))
            if self.problem.has_parameters:
                self.load_parameters(column_block)
            for row in range(0, self.problem.m, self.tiling.block_rows):
                self.block(sets, row)
        self.drain_pending()
        return self.program.encode()

    def block(self, sets: range, row: int) -> None:
        """Compute one block: all of K for `block_rows` rows from `row` and the column sets `sets`."""
        tiling = self.tiling
        tiles = [self.group_tiles(column_set, row) for column_set in sets]
        if self.problem.scaling is not None:
            self.load_row_parameters(tiles[0])
        for chunk in range(0, tiling.total_passes, tiling.passes):
            passes = range(chunk, min(chunk + tiling.passes, tiling.total_passes))
            self.load_moving(tiles[0], passes)
            for number, column_set in enumerate(sets):
                self.step(column_set, tiles[number], passes, self.tiles + number)
            self.chunks += 1
        self.tiles += len(sets)
        self.blocks += 1

    def group_tiles(self, column_set: int, row: int) -> list[_Tile]:
        """Give the output tile of each group that has one."""
        tiling, problem, columns = self.tiling, self.problem, self.tiling.tile_columns
        tiles = []
        for group in range(tiling.groups):
            tile_row = row if tiling.over_columns else row + group * tiling.tile_rows
            column = (column_set * tiling.set_tiles + (group if tiling.over_columns else 0)) * columns
            rows, width = min(tiling.tile_rows, problem.m - tile_row), min(columns, problem.n - column)
            if rows > 0 and width > 0:
                tiles.append(_Tile(group, self.blocks, tile_row, rows, column, width))
        return tiles

    def mask(self, tiles: list[_Tile]) -> int:
        """Give the first slab of each tile's partition, as a mask."""
        return sum(1 << tile.group * self.tiling.count for tile in tiles)

    def load_moving(self, tiles: list[_Tile], passes: range) -> None:
        """Load a chunk of moving rows: once for all groups if they share it, else for each."""
        tiling, layout = self.tiling, self.layout
        slot = self.chunks % tiling.moving_slots
        for number, index in enumerate(passes):
            k = index * tiling.depth
            for sharing in [tiles] if tiling.over_columns else [[tile] for tile in tiles]:
                place = {
                    "slabs": self.mask(sharing),
                    "address": (slot * tiling.passes + number) * tiling.tile_rows,
                    "rows": sharing[0].rows,
                    "after": users(self.moving_users, sharing, slot),
                }
                self.program.load(
                    Destination.MOVING,
                    row_bytes=min(tiling.depth, self.problem.k - k),
                    memory=layout.moving + sharing[0].row * layout.moving_stride + k,
                    stride=layout.moving_stride,
                    element=self.elements[0],
                    **place,
                )
                if self.problem.blocks:
                    self.program.load(
                        Destination.MOVING_SCALES,
                        row_bytes=layout.row_scale_bytes,
                        memory=layout.row_scale_block(index, sharing[0].row),
                        stride=layout.row_scale_bytes,
                        **place,
                    )

    def load_stationary(self, column_set: int, tiles: list[_Tile], passes: range) -> int:
        """Load a chunk's stationary tiles, one LOAD per pass for all groups; give the last LOAD."""
        tiling, layout = self.tiling, self.layout
        slot = self.steps % tiling.stationary_slots
        after = users(self.stationary_users, tiles, slot)
        load = 0
        for number, index in enumerate(passes):
            load = self.program.load(
                Destination.STATIONARY,
                slabs=1 if tiling.over_columns else self.mask(tiles),
                address=(slot * tiling.passes + number) * tiling.tile_words,
                rows=self.array.rows // tiling.line_rows,
                row_bytes=tiling.line_rows * (len(tiles) if tiling.over_columns else 1) * tiling.count * self.array.columns,
                memory=layout.stationary_block(column_set, index),
                stride=layout.stationary_stride,
                fold=int(tiling.line_rows > 1),
                element=self.elements[1],
                after=after,
            )
            for position, sharing in enumerate([[tile] for tile in tiles] if tiling.over_columns else [tiles]):
                for lane in range(self.problem.lanes if self.problem.blocks else 0):
                    load = self.program.load(
                        Destination.STATIONARY_SCALES,
                        slabs=self.mask(sharing),
                        address=(slot * tiling.passes + number) * tiling.tile_words + self.array.load_cycles + lane,
                        rows=1 + tiling.count,
                        row_bytes=self.array.columns,
                        memory=layout.column_scale_block(column_set, index, position, lane),
                        stride=layout.scale_stride,
                        after=after,
                    )
        return load

    def step(self, column_set: int, tiles: list[_Tile], passes: range, tile_number: int) -> None:
        """Load and compute one train in every group; drain what the step before finished."""
        tiling = self.tiling
        load = self.load_stationary(column_set, tiles, passes)
        moving, stationary = self.chunks % tiling.moving_slots, self.steps % tiling.stationary_slots
        slot = tile_number % tiling.accumulator_slots
        if any(waiting[1] == slot for waiting in self.pending):
            self.drain_pending()
        row_products = self.row_products(passes)
        matmuls = []
        for tile in tiles:
            matmul = self.program.matmul(
                tile.group * tiling.count,
                tiling.count,
                rows=tile.rows,
                passes=len(passes),
                moving=moving * tiling.passes * tiling.tile_rows,
                moving_step=tiling.tile_rows,
                stationary=stationary * tiling.passes * tiling.tile_words,
                stationary_step=tiling.tile_words,
                accumulator=slot * tiling.tile_rows,
                accumulate_first=passes.start > 0,
                scaled=self.problem.blocks,
                shift=self.shift,
                pairs=self.problem.pairs,
                row_macs=row_products[0] * tile.columns,
                last_row_macs=row_products[1] * tile.columns,
                after=[load, *users(self.accumulator_users, [tile], slot)],
            )
            self.moving_users[tile.group, moving] = self.stationary_users[tile.group, stationary] = matmul
            matmuls.append(matmul)
        self.steps += 1
        self.drain_pending()
        if passes.stop == tiling.total_passes:
            self.pending = [(tile, slot, matmul) for tile, matmul in zip(tiles, matmuls, strict=True)]

    def drain_pending(self) -> None:
        """Drain what the last step finished."""
        tiling, problem, layout = self.tiling, self.problem, self.layout
        for tile, slot, matmul in self.pending:
            for lane, column in enumerate(range(0, tile.columns, self.array.columns)):
                index = (tile.column + column) // self.array.columns
                drain = self.program.drain(
                    self.output,
                    slab=(tile.group + 1) * tiling.count - 1,
                    lane=lane,
                    accumulator=slot * tiling.tile_rows,
                    rows=tile.rows,
                    columns=min(self.array.columns, tile.columns - column),
                    memory=layout.result + tile.row * layout.result_stride + layout.result_column(tile.column + column),
                    stride=layout.result_stride,
                    relu=problem.relu,
                    parameters=self.parameter_word(index) if problem.has_parameters else 0,
                    after=[matmul],
                    **self.rounding(tile),
                )
                self.accumulator_users[tile.group, slot] = drain
                self.row_parameter_users[tile.block] = drain
                self.parameter_users[index // tiling.block_lane_tiles] = drain
        self.pending = []

    def load_parameters(self, column_block: int) -> None:
        """Load the drain's parameters for a block along N.

        The drains that use them need no token of their own: their MATMULs wait for loads that come later.
        """
        tiling, layout = self.tiling, self.layout
        first = column_block * tiling.block_lane_tiles
        self.drain_pending()
        before = self.parameter_users.get(column_block - tiling.parameter_slots)
        self.program.load(
            Destination.PARAMETERS,
            slabs=0,
            address=self.parameter_word(first),
            rows=min(tiling.block_lane_tiles, tiling.lane_tiles - first),
            row_bytes=layout.parameter_bytes,
            memory=layout.parameters + first * layout.parameter_bytes,
            stride=layout.parameter_bytes,
            after=[] if before is None else [before],
        )

    def load_row_parameters(self, tiles: list[_Tile]) -> None:
        """Load the records of a block's rows."""
        tiling, layout = self.tiling, self.layout
        reused = self.blocks - tiling.row_slots
        if any(tile.block == reused for tile, _, _ in self.pending):
            self.drain_pending()
        before = self.row_parameter_users.get(reused)
        for tile in tiles[: tiling.row_tiles]:
            self.program.load(
                Destination.ROW_PARAMETERS,
                slabs=0,
                address=self.row_parameter_word(tile),
                rows=1,
                row_bytes=tile.rows * RECORD_BYTES,
                memory=layout.row_parameters + tile.row * RECORD_BYTES,
                stride=0,
                after=[] if before is None else [before],
            )

    def row_parameter_word(self, tile: _Tile) -> int:
        """Give the word of the row parameters for row 0 of a tile."""
        tiling = self.tiling
        slot = tile.block % tiling.row_slots * tiling.row_tiles
        return (slot + (0 if tiling.over_columns else tile.group)) * tiling.row_words

    def rounding(self, tile: _Tile) -> dict[str, Any]:
        """Give what a DRAIN of a tile needs besides, if it rounds."""
        scaling = self.problem.scaling
        if scaling is None:
            return {}
        return {
            "row_parameters": self.row_parameter_word(tile), "target": TARGETS.index(scaling.target), "mode": scaling.mode.value,
            "saturate": scaling.saturate, "scale_up": scaling.block_rule is ScaleRule.UP,
        }  # fmt: skip

    def row_products(self, passes: range) -> tuple[int, int]:
        """Give the useful products of a moving row and column in every pass but the last, so that all add up, and in the last."""
        scaling, tiling = self.problem.scaling, self.tiling
        if scaling is None:
            return tiling.depth, min(tiling.depth, self.problem.k - passes[-1] * tiling.depth)
        total = sum(scaling.widths[passes.start * tiling.count : passes.stop * tiling.count])
        each = total // len(passes)
        return each, total - (len(passes) - 1) * each

    def parameter_word(self, index: int) -> int:
        """Give the parameter memory's word for column 0 of a lane's tile `index` of N."""
        tiling = self.tiling
        tiles = tiling.block_lane_tiles
        return (index // tiles % tiling.parameter_slots * tiles + index % tiles) * tiling.parameter_words
