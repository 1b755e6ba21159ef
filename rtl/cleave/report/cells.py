"""Area and delay of the kinds of cell, per MAC, with every register that belongs to one."""

from dataclasses import dataclass
from typing import Any

from ..array.cell import Cell
from ..array.cell_gates import GateCell, GateStyle
from ..array.cells import make_cell
from ..config import ACCUMULATOR_BITS, ArrayConfig
from .hard_cells import HARD_CELLS
from .liberty import Library
from .synthesis import BOOTH, PLAIN, TREES, Recipe, area_of
from .tile import Tile

__all__ = ["ROWS", "WideSums", "Candidate", "CANDIDATES", "CellArea", "measure_cell"]

ROWS = 32
"""Rows of the slab that a measured cell belongs to, which give its sums their width: 21 bits."""


FULL_ADDERS = {cell.cell for cell in HARD_CELLS if cell.gate == "fa"}


class WideSums(ArrayConfig):
    """An array whose cells, of whatever kind, add in an accumulator's width, as a textbook's do."""

    @property
    def sum_bits(self) -> int:
        """Width of a partial sum."""
        return ACCUMULATOR_BITS


@dataclass(frozen=True)
class Candidate:
    """A cell and how it is synthesised.

    Attributes
    ----------
    name
        In tables.
    array
        The array that it is for.
    recipe
        How it is synthesised.
    style
        Of a cell of gates.
    """

    name: str
    array: ArrayConfig
    recipe: Recipe = PLAIN
    style: GateStyle | None = None

    def make(self) -> Cell:
        """Give a cell."""
        return make_cell(self.array) if self.style is None else GateCell(self.array, self.style)


def _array(cell: str, dot: int, **more: Any) -> ArrayConfig:  # noqa: ANN401  as ArrayConfig takes them
    return ArrayConfig(rows=ROWS, dot=dot, cell=cell, **more)


CANDIDATES = [
    Candidate("textbook, * and +", _array("textbook", 1)),
    Candidate("textbook, Booth", _array("textbook", 1), BOOTH),
    Candidate("textbook, yosys' adder trees", _array("textbook", 1), TREES),
    Candidate("textbook, in gates", WideSums(rows=ROWS, dot=1, cell="gates")),
    *(
        Candidate(f"portable, dot {dot}, {name}", _array("portable", dot), recipe)
        for dot in (1, 4, 8)
        for name, recipe in (("* and +", PLAIN), ("Booth", BOOTH))
    ),
    *(Candidate(f"gates, dot {dot}", _array("gates", dot)) for dot in (1, 2, 4, 8, 16)),
    *(Candidate(f"gates, dot {dot}, 1 stage", _array("gates", dot, multiply_stages=1)) for dot in (4, 8, 16)),
    Candidate("gates, dot 8, 2 stages", _array("gates", 8, multiply_stages=2)),
    Candidate("gates, dot 8, adders by abc", _array("gates", 8), Recipe(hard=False)),
    *(
        Candidate(f"gates, dot 8, {name}", _array("gates", 8), style=style)
        for name, style in {
            "Baugh-Wooley": GateStyle(products="baugh_wooley"),
            "Booth": GateStyle(products="booth"),
            "sums of pairs not held": GateStyle(held_sums=False),
            "Dadda": GateStyle(reduction="dadda"),
            "Wallace": GateStyle(reduction="wallace"),
            "ripple": GateStyle(adder="ripple"),
            "Sklansky": GateStyle(adder="sklansky"),
            "Kogge-Stone": GateStyle(adder="kogge_stone"),
            "Han-Carlson": GateStyle(adder="han_carlson"),
        }.items()
    ),
]
"""Every cell of the report; those of gates differ from `gates, dot 8` in what their name says."""


@dataclass(frozen=True)
class CellArea:
    """A cell's measurements.

    Attributes
    ----------
    um2_per_mac
        Area of a tile by its MACs.
    delay_ns
        See `Measured`.
    full_adders_per_mac, registers_per_mac
        Cells of a tile that are the library's full adders, and registers, by its MACs.
    share_of_full_adders_and_registers
        Of these in the area; None where the library has no full adder, or the cell uses none.
    """

    um2_per_mac: float
    delay_ns: float | None
    full_adders_per_mac: float
    registers_per_mac: float
    share_of_full_adders_and_registers: float | None


def measure_cell(candidate: Candidate, library: Library) -> CellArea:
    """Measure one candidate."""
    measured = area_of(Tile([candidate.make() for _ in range(4)]), library, candidate.recipe)
    macs = 4 * candidate.array.dot
    full_adders = {cell: count for cell, count in measured.cells.items() if cell in FULL_ADDERS}
    registers = {cell: count for cell, count in measured.cells.items() if cell in library.registers}
    both = sum(count * library.areas_um2[cell] for cell, count in (full_adders | registers).items())
    return CellArea(
        measured.area_um2 / macs,
        measured.delay_ns,
        sum(full_adders.values()) / macs,
        sum(registers.values()) / macs,
        both / measured.area_um2 if full_adders else None,
    )
