"""The compiler: a GEMM, a batch of GEMMs or a ragged group to a program, and where it and its operands lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import EngineConfig
from .choose import Memory, choose
from .layout import Layout
from .problem import Problem
from .scaled import ScaledGemm
from .tiling import Tiling
from .writer import write

__all__ = ["CompiledGemm", "compile_gemm"]


@dataclass(frozen=True)
class CompiledGemm:
    """A problem's program, and where it and its operands lie in the window."""

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
        """Write operands, parameters and program into the window's bytes; `scaled` has what goes with scaled operands.

        `b` is [K, N], or [part, K, N] if the problem has parts; `records` are those of all parts' columns.
        """
        layout = self.layout
        moving, stationary = layout.arranged(a, b)
        parts = [
            (layout.moving, layout.pack_moving(moving)),
            (layout.stationary, layout.pack_stationary(stationary)),
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
    choice = choose(problem, config, partition, memory)
    layout = Layout(choice.tiling, base, swapped=choice.tiling.problem != problem)
    _check_window(layout.program, window)  # before a long program is written
    gemm = CompiledGemm(layout, write(layout, choice.schedule))
    _check_window(gemm.end, window)
    return gemm


def _check_window(end: int, window: int) -> None:
    if end > window:
        raise ValueError(f"the problem must fit the backend's memory of {window} bytes, not {end}")
