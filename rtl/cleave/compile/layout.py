"""Where a GEMM's operands, parameters, result and program lie in the memory window."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BYTES, ArrayConfig
from ..numerics.drain import block_row_bytes
from ..numerics.formats import INT4
from ..numerics.requantise import RECORD_BYTES
from .scaled import Scales
from .tiling import Tiling

ALIGNMENT = 128
"""Bytes of a beat of the widest bus."""


def align(offset: int, unit: int = ALIGNMENT) -> int:
    """Round up to a multiple of `unit`."""
    return -(-offset // unit) * unit


def side_by_side(w: NDArray[np.generic], array: ArrayConfig) -> NDArray[np.generic]:
    """Lay out [k, column] as one stationary LOAD for a partition takes it: [row of a slab, slab, column], zero where `w` ends."""
    padded = np.zeros((align(len(w), array.rows), array.columns), w.dtype)
    padded[: len(w), : w.shape[1]] = w
    return padded.reshape(-1, array.rows, array.columns).swapaxes(0, 1)


@dataclass(frozen=True)
class Layout:
    """Byte offsets in the window, from `base` up, and the strides of what lies there.

    The moving operand and the result are row by row, each row padded to whole bus beats. In blocks, a row of the result is that of
    each tile of `columns` behind the other, with anchors and scales between. The stationary operand is packed in the order in which
    it is loaded: [part][set][pass][row of a slab's tile][tile of the set][slab of the partition] of `columns` bytes, zero where the
    operand ends, so that rows of a tile beyond K multiply whatever stands in the moving banks by zero. Where pairs share a byte,
    its halves are the lanes' columns of the tile, lane 0's first. Parameters are packed by a lane's tile of columns, each padded to
    whole words; row parameters are records, one after the other. Scales are packed as they are loaded, too: [pass][row][anchor,
    then one for each slab] and [part][set][pass][tile of the set][lane][anchors, then one row for each slab][column].

    With `swapped`, the tiling is that of the problem whose operands are exchanged, and whose result is transposed.
    """

    tiling: Tiling
    base: int = 0
    swapped: bool = False

    @cached_property
    def moving(self) -> int:
        """First byte of the moving operand."""
        return align(self.base)

    @cached_property
    def moving_stride(self) -> int:
        """Bytes from one moving row to the next."""
        return align(self.tiling.problem.k, self.tiling.config.axi_bytes)

    @cached_property
    def stationary(self) -> int:
        """First byte of the stationary operand."""
        return align(self.moving + self.tiling.problem.m * self.moving_stride)

    @cached_property
    def part_bytes(self) -> int:
        """Bytes of the stationary operand of a part."""
        t = self.tiling
        return align(t.total_passes * t.depth * t.column_tiles * t.config.array.columns, t.config.axi_bytes)

    def row_bytes(self, column_set: int) -> int:
        """Bytes of a row of a set's tiles, those of all slabs of a partition side by side."""
        return self.tiling.set_tiles(column_set) * self.tiling.count * self.tiling.config.array.columns

    def stationary_block(self, part: int, column_set: int, index: int) -> int:
        """Byte offset of the stationary operand of a set's pass `index`."""
        t = self.tiling
        before = column_set * t.column_groups * t.total_passes * t.depth * t.config.array.columns
        return self.stationary + part * self.part_bytes + before + index * t.config.array.rows * self.row_bytes(column_set)

    @cached_property
    def parameters(self) -> int:
        """First byte of the drain's parameters."""
        return align(self.stationary + len(self.tiling.problem.parts) * self.part_bytes)

    @cached_property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters of one lane's tile of columns."""
        return self.tiling.parameter_words * self.tiling.config.drain_lanes * RECORD_BYTES

    @cached_property
    def row_parameters(self) -> int:
        """First byte of the records of rows."""
        problem, lane_tiles = self.tiling.problem, self.tiling.lane_tiles
        return align(self.parameters + (len(problem.parts) * lane_tiles * self.parameter_bytes if problem.has_parameters else 0))

    @cached_property
    def row_scale_bytes(self) -> int:
        """Bytes of the scales of one row in one pass, with its anchor."""
        return 1 + self.tiling.count

    @cached_property
    def row_scales(self) -> int:
        """First byte of the scales of the moving operand."""
        problem = self.tiling.problem
        return align(self.row_parameters + (problem.m * RECORD_BYTES if problem.scaling is not None else 0))

    @cached_property
    def scale_stride(self) -> int:
        """Bytes from one row of column scales to the next: a power of two or whole beats, so that no row is in a beat more."""
        columns, bus = self.tiling.config.array.columns, self.tiling.config.axi_bytes
        return align(columns, bus) if columns > bus else 1 << (columns - 1).bit_length()

    @cached_property
    def tile_scale_bytes(self) -> int:
        """Bytes of the scales of one lane's tile of columns in one pass, with their anchors."""
        return (1 + self.tiling.count) * self.scale_stride

    @cached_property
    def set_scale_bytes(self) -> int:
        """Bytes of the scales of a set in one pass."""
        return self.tiling.column_groups * self.tiling.problem.lanes * self.tile_scale_bytes

    @cached_property
    def column_scales(self) -> int:
        """First byte of the scales of the stationary operand."""
        t = self.tiling
        return align(self.row_scales + (t.total_passes * t.problem.m * self.row_scale_bytes if t.problem.blocks else 0))

    @cached_property
    def result(self) -> int:
        """First byte of the result."""
        t = self.tiling
        sets = len(t.problem.parts) * t.column_sets if t.problem.blocks else 0
        return align(self.column_scales + sets * t.total_passes * self.set_scale_bytes)

    def result_column(self, column: int) -> int:
        """Bytes from the start of a row of the result to a column, the first of its tile if results are in blocks."""
        problem, columns = self.tiling.problem, self.tiling.config.array.columns
        if problem.in_blocks:
            return column // columns * block_row_bytes(columns)
        return column * problem.result_bytes

    @cached_property
    def result_stride(self) -> int:
        """Bytes from one row of the result to the next."""
        tiling = self.tiling
        end = tiling.lane_tiles * tiling.config.array.columns if tiling.problem.in_blocks else tiling.problem.n
        return align(self.result_column(end), tiling.config.axi_bytes)

    @cached_property
    def program(self) -> int:
        """First byte of the program, and the end of everything else."""
        return align(self.result + self.tiling.problem.m * self.result_stride)

    def row_scale_block(self, index: int, row: int) -> int:
        """Byte offset of the scales of a row in pass `index`."""
        return self.row_scales + (index * self.tiling.problem.m + row) * self.row_scale_bytes

    def column_scale_block(self, part: int, column_set: int, index: int, tile: int, lane: int) -> int:
        """Byte offset of the scales of a lane's tile of a set in pass `index`."""
        t = self.tiling
        block = (part * t.column_sets + column_set) * t.total_passes + index
        return self.column_scales + block * self.set_scale_bytes + (tile * t.problem.lanes + lane) * self.tile_scale_bytes

    def arranged(self, a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
        """Give the moving operand [M, K] and the stationary ones [part, K, N] of a product of `a` by the matrices `b`."""
        problem = self.tiling.problem
        parts, n, k = len(problem.parts), problem.n, problem.k
        if not self.swapped:
            return a, b.reshape(parts, k, n)
        moving = b.reshape(parts, k, -1).transpose(0, 2, 1)
        return moving.reshape(-1, k), a.reshape(parts, n, k).transpose(0, 2, 1)

    def pack_moving(self, a: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Lay out the moving operand."""
        packed = np.zeros((a.shape[0], self.moving_stride), np.int8)
        packed[:, : a.shape[1]] = a
        return packed.reshape(-1).view(np.uint8)

    def pack_stationary(self, b: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Lay out the stationary operands [part, K, N]."""
        t, array = self.tiling, self.tiling.config.array
        packed = np.zeros((len(b), self.part_bytes), np.uint8)
        whole = t.column_tiles // t.column_groups * t.column_groups
        for matrix, place in zip(b, packed, strict=True):
            padded = np.zeros((t.total_passes * t.depth, t.column_tiles * t.tile_columns), np.uint8)
            padded[: matrix.shape[0], : matrix.shape[1]] = matrix.view(np.uint8)
            lanes = padded.reshape(t.total_passes, t.count, array.rows, t.column_tiles, t.problem.lanes, array.columns)
            tiles = lanes[..., 0, :]
            if t.problem.pairs:
                tiles = (tiles % (1 << INT4.bits) | lanes[..., 1, :] << INT4.bits).astype(np.uint8)
            tiles = tiles.transpose(0, 2, 3, 1, 4)  # pass, row, tile, slab, column
            sets = tiles[:, :, :whole].reshape(*tiles.shape[:2], -1, t.column_groups, *tiles.shape[3:]).transpose(2, 0, 1, 3, 4, 5)
            place[: tiles.size] = np.concatenate([sets.reshape(-1), tiles[:, :, whole:].reshape(-1)])
        return packed.reshape(-1)

    def pack_parameters(self, records: NDArray[np.void]) -> NDArray[np.uint8]:
        """Lay out one record per column of the result, those of all parts one after the other."""
        t, columns = self.tiling, self.tiling.config.array.columns
        parts = len(t.problem.parts)
        padded = np.zeros((parts, t.lane_tiles * columns), records.dtype)
        padded[:, : t.problem.n] = records.reshape(parts, t.problem.n)
        packed = np.zeros((parts * t.lane_tiles, self.parameter_bytes // RECORD_BYTES), records.dtype)
        packed[:, :columns] = padded.reshape(parts * t.lane_tiles, columns)
        return packed.reshape(-1).view(np.uint8)

    def pack_row_scales(self, scales: Scales) -> NDArray[np.uint8]:
        """Lay out anchors[row] and codes[row, piece]."""
        return self._scale_lines(scales.anchors, scales.codes.T).transpose(0, 2, 1).reshape(-1)

    def pack_column_scales(self, scales: Scales) -> NDArray[np.uint8]:
        """Lay out anchors[column] and codes[piece, column], columns of all parts one after the other."""
        t, columns = self.tiling, self.tiling.config.array.columns
        parts = len(t.problem.parts)
        lines = self._scale_lines(scales.anchors, scales.codes)
        padded = np.zeros((*lines.shape[:2], parts, t.column_sets * t.column_groups * t.tile_columns), np.uint8)
        padded[..., : t.problem.n] = lines.reshape(*lines.shape[:2], parts, t.problem.n)
        shape = *lines.shape[:2], parts * t.column_sets, t.column_groups, t.problem.lanes, columns
        tiles = padded.reshape(shape).transpose(2, 0, 3, 4, 1, 5)  # set, pass, tile, lane, line, column
        packed = np.zeros((*tiles.shape[:-1], self.scale_stride), np.uint8)
        packed[..., :columns] = tiles
        return packed.reshape(-1)

    def _scale_lines(self, anchors: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give [pass, anchors and then the codes of each slab, row or column]; pieces beyond the last are at their anchors."""
        t = self.tiling
        lines = np.tile(anchors, (t.total_passes, 1 + t.count, 1))
        padded = np.tile(anchors, (t.total_passes * t.count, 1))
        padded[: len(codes)] = codes
        lines[:, 1:] = padded.reshape(t.total_passes, t.count, -1)
        return lines

    def unpack_blocks(self, memory: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read a result in blocks out of the window's bytes: codes[row, column], and scales[row, block]."""
        problem, columns = self.tiling.problem, self.tiling.config.array.columns
        rows = self._result_rows(memory)
        codes, scales = [], []
        for column in range(0, problem.n, columns):
            tile, width = rows[:, self.result_column(column) :], min(columns, problem.n - column)
            codes.append(tile[:, :width])
            scales.append(tile[:, width + 1 : block_row_bytes(width)])
        return np.concatenate(codes, 1), np.concatenate(scales, 1)

    def _result_rows(self, memory: NDArray[np.uint8]) -> NDArray[np.uint8]:
        m = self.tiling.problem.m
        return memory[self.result : self.result + m * self.result_stride].reshape(m, self.result_stride)

    def unpack_result(self, memory: NDArray[np.uint8]) -> NDArray:
        """Read the result out of the window's bytes: numbers, or codes of a format that they were rounded to."""
        problem = self.tiling.problem
        row = self._result_rows(memory)[:, : problem.n * problem.result_bytes].copy()  # the window changes with the next program
        if problem.scaling is not None:
            return row.view(f"<u{problem.result_bytes}")
        if problem.requantised:
            return row.view(np.int8)
        sums = row.view(f"<i{ACCUMULATOR_BYTES}").astype(np.int32)
        if not self.swapped:
            return sums
        return sums.reshape(len(problem.parts), -1, problem.n).transpose(0, 2, 1).reshape(-1, problem.m // len(problem.parts))
