"""Where a GEMM's operands, parameters, result and program lie in the memory window."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BYTES
from ..numerics.requantise import RECORD, RECORD_BYTES
from .tiling import Tiling

ALIGNMENT = 64


def align(offset: int, unit: int = ALIGNMENT) -> int:
    """Round up to a multiple of `unit`."""
    return -(-offset // unit) * unit


@dataclass(frozen=True)
class Layout:
    """Byte offsets in the window, from `base` up, and the strides of what lies there.

    The moving operand and the result are row by row, each row padded to whole bus beats. The stationary operand is
    packed in the order in which it is loaded: blocks [column set][pass][tile of the set][row of the pass] of
    `columns` bytes, zero where the operand ends, so that rows of a tile beyond K multiply whatever stands in the
    moving banks by zero. Parameters are packed by tile of columns, each tile padded to whole words.
    """

    tiling: Tiling
    base: int = 0

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
    def stationary_stride(self) -> int:
        """Bytes from one stationary row to the next: a power of two or whole beats, so that no row is in a beat more."""
        columns, bus = self.tiling.config.array.columns, self.tiling.config.axi_bytes
        return align(columns, bus) if columns > bus else 1 << (columns - 1).bit_length()

    @cached_property
    def tile_bytes(self) -> int:
        """Bytes of one pass's rows of one tile of columns."""
        return self.tiling.depth * self.stationary_stride

    @cached_property
    def parameters(self) -> int:
        """First byte of the drain's parameters."""
        tiling = self.tiling
        return align(self.stationary + tiling.column_sets * tiling.total_passes * tiling.set_tiles * self.tile_bytes)

    @cached_property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters of one tile of columns."""
        return self.tiling.parameter_words * self.tiling.config.drain_lanes * RECORD_BYTES

    @cached_property
    def result(self) -> int:
        """First byte of the result."""
        tiling = self.tiling
        return align(
            self.parameters + (tiling.column_tiles * self.parameter_bytes if tiling.problem.requantised else 0)
        )

    @cached_property
    def result_stride(self) -> int:
        """Bytes from one row of the result to the next."""
        problem = self.tiling.problem
        return align(problem.n * problem.result_bytes, self.tiling.config.axi_bytes)

    @cached_property
    def program(self) -> int:
        """First byte of the program, and the end of everything else."""
        return align(self.result + self.tiling.problem.m * self.result_stride)

    def stationary_block(self, column_set: int, index: int) -> int:
        """Byte offset of the stationary operand of a column set's pass `index`."""
        tiling = self.tiling
        return self.stationary + (column_set * tiling.total_passes + index) * tiling.set_tiles * self.tile_bytes

    def pack_moving(self, a: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Lay out the moving operand."""
        packed = np.zeros((a.shape[0], self.moving_stride), np.int8)
        packed[:, : a.shape[1]] = a
        return packed.reshape(-1).view(np.uint8)

    def pack_stationary(self, b: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Lay out the stationary operand."""
        t, columns = self.tiling, self.tiling.config.array.columns
        padded = np.zeros((t.total_passes * t.depth, t.column_sets * t.set_tiles * columns), np.int8)
        padded[: b.shape[0], : b.shape[1]] = b
        blocks = padded.reshape(t.total_passes, t.depth, t.column_sets, t.set_tiles, columns).transpose(2, 0, 3, 1, 4)
        packed = np.zeros((*blocks.shape[:-1], self.stationary_stride), np.int8)
        packed[..., :columns] = blocks
        return packed.reshape(-1).view(np.uint8)

    def pack_parameters(self, records: NDArray[np.void]) -> NDArray[np.uint8]:
        """Lay out one record per column of the result."""
        t, columns = self.tiling, self.tiling.config.array.columns
        padded = np.zeros(t.column_tiles * columns, RECORD)
        padded[: len(records)] = records
        packed = np.zeros((t.column_tiles, self.parameter_bytes // RECORD_BYTES), RECORD)
        packed[:, :columns] = padded.reshape(t.column_tiles, columns)
        return packed.reshape(-1).view(np.uint8)

    def unpack_result(self, memory: NDArray[np.uint8]) -> NDArray[np.int8] | NDArray[np.int32]:
        """Read the result out of the window's bytes."""
        problem = self.tiling.problem
        rows = memory[self.result : self.result + problem.m * self.result_stride].reshape(problem.m, self.result_stride)
        row = rows[:, : problem.n * problem.result_bytes].copy()  # the window changes with the next program
        return row.view(np.int8) if problem.requantised else row.view(f"<i{ACCUMULATOR_BYTES}").astype(np.int32)
