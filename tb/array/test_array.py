"""The array and its parts on exported Verilog, with cocotb."""

from pathlib import Path

import pytest

from cleave.array.array import Array
from cleave.array.cells import make_cell
from cleave.array.seam import Seam
from cleave.array.slab import Slab
from cleave.export import convert
from tb.array.shapes import ARRAYS, SHAPES
from tb.bench import run_bench


@pytest.mark.parametrize("shape", ARRAYS)
def test_cell(shape: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    run_bench(convert(make_cell(ARRAYS[shape]), "array_cell"), "tb.array.cell_bench", tmp_path, shape=shape, seed=seed)


@pytest.mark.parametrize("shape", ["textbook", "odd", "gates", "scaled", "scaled_wide"])
def test_seam(shape: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    run_bench(convert(Seam(SHAPES[shape]), "array_seam"), "tb.array.seam_bench", tmp_path, shape=shape, seed=seed)


@pytest.mark.parametrize("shape", SHAPES)
def test_slab(shape: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    run_bench(convert(Slab(SHAPES[shape]), "array_slab"), "tb.array.slab_bench", tmp_path, shape=shape, seed=seed)


@pytest.mark.parametrize("shape", SHAPES)
def test_array(shape: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    run_bench(convert(Array(SHAPES[shape]), "array_top"), "tb.array.array_bench", tmp_path, shape=shape, seed=seed)
