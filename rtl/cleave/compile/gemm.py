"""The compiler: a GEMM, a batch of GEMMs or a ragged group to a program, and where it and its operands lie."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..config import EngineConfig
from .choose import Memory, share
from .layout import Layout
from .problem import Problem
from .scaled import ScaledGemm
from .writer import write

__all__ = ["CompiledGemm", "compile_gemm"]


@dataclass(frozen=True)
class Placed:
    """Parts of a problem, by their numbers, that are cut alike, and where their operands and result lie in the window."""

    parts: tuple[int, ...]
    layout: Layout


@dataclass(frozen=True)
class CompiledGemm:
    """A problem's program, and where it and its operands lie in the window.

    Attributes
    ----------
    shares
        All parts; of a ragged group maybe small ones and large ones apart.
    """

    problem: Problem
    shares: tuple[Placed, ...]
    program: bytes

    @property
    def layout(self) -> Layout:
        """Where operands and result lie, of a problem that is no ragged group."""
        return self.shares[0].layout

    @property
    def partition(self) -> int:
        """Most slabs of a partition."""
        return max(placed.layout.tiling.count for placed in self.shares)

    @property
    def start(self) -> int:
        """Byte offset of the program, behind everything else."""
        return self.shares[-1].layout.program

    @property
    def end(self) -> int:
        """Bytes of the window that are used, from offset 0."""
        return self.start + len(self.program)

    @cached_property
    def _rows(self) -> list[NDArray[np.int64]]:
        """Rows of A and of the result of each share."""
        by_part = np.split(np.arange(self.problem.m), np.cumsum(self.problem.parts)[:-1])
        return [np.concatenate([by_part[part] for part in placed.parts]) for placed in self.shares]

    def place(
        self,
        memory: NDArray[np.uint8],
        a: NDArray[np.int8],
        b: NDArray[np.int8],
        records: NDArray[np.void] | None = None,
        scaled: ScaledGemm | None = None,
    ) -> None:
        """Write operands, parameters and program into the window's bytes; `scaled` has what goes with scaled operands.

        `b` is [K, N], or [part, K, N] if the problem has parts; `records` are those of all parts' columns.
        """
        problem = self.problem
        matrices = b.reshape(len(problem.parts), -1, problem.n)
        pieces = [(self.start, np.frombuffer(self.program, np.uint8))]
        for placed, rows in zip(self.shares, self._rows, strict=True):
            layout, parts = placed.layout, list(placed.parts)
            moving, stationary = layout.arranged(a[rows], matrices[parts])
            pieces += [(layout.moving, layout.pack_moving(moving)), (layout.stationary, layout.pack_stationary(stationary))]
            if records is not None:
                those = records.reshape(len(problem.parts), problem.n)[parts]
                pieces.append((layout.parameters, layout.pack_parameters(those.reshape(-1))))
        if scaled is not None:
            layout = self.layout
            pieces.append((layout.row_parameters, scaled.rows.view(np.uint8)))
            if scaled.row_scales is not None and scaled.column_scales is not None:
                pieces.append((layout.row_scales, layout.pack_row_scales(scaled.row_scales)))
                pieces.append((layout.column_scales, layout.pack_column_scales(scaled.column_scales)))
        for offset, data in pieces:
            memory[offset : offset + len(data)] = data

    def result(self, memory: NDArray[np.uint8]) -> NDArray:
        """Read the result out of the window's bytes: numbers, or codes of a format that they were rounded to."""
        results = [placed.layout.unpack_result(memory) for placed in self.shares]
        whole = np.empty((self.problem.m, self.problem.n), results[0].dtype)
        for rows, result in zip(self._rows, results, strict=True):
            whole[rows] = result
        return whole


def compile_gemm(
    problem: Problem,
    config: EngineConfig,
    *,
    partition: int | None = None,
    memory: Memory = Memory(),  # noqa: B008  frozen
    base: int = 0,
    window: int = 2**48,
) -> CompiledGemm:
    """Compile a problem, for operands and result in the window of `window` bytes from byte `base` up.

    Raises
    ------
    ValueError
        If the array has no partition of `partition` slabs, no tiling fits the engine's memories, or the window is too small.
    """
    _check_window(base + problem.bytes, window)  # before tilings are sought
    placed, orders = [], []
    for each in share(problem, config, partition, memory):
        tiling = each.choice.tiling
        layout = Layout(tiling, base, swapped=tiling.problem != problem.only(each.parts))
        base = layout.program
        placed.append(Placed(each.parts, layout))
        orders.append((layout, each.choice.schedule))
    _check_window(base, window)  # before a long program is written
    gemm = CompiledGemm(problem, tuple(placed), write(orders))
    _check_window(gemm.end, window)
    return gemm


def _check_window(end: int, window: int) -> None:
    if end > window:
        raise ValueError(f"the problem must fit the backend's memory of {window} bytes, not {end}")
