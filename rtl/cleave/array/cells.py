"""The kinds of cell, by their names in the configuration."""

from ..config import CELLS, ArrayConfig
from .cell import Cell
from .cell_ecp5 import Ecp5Cell
from .cell_gates import GateCell
from .cell_textbook import TextbookCell

KINDS: dict[str, type[Cell]] = {"portable": Cell, "gates": GateCell, "ecp5": Ecp5Cell, "textbook": TextbookCell}

assert KINDS.keys() <= set(CELLS)


def make_cell(config: ArrayConfig) -> Cell:
    """Give a cell of the configuration's kind."""
    return KINDS[config.cell](config)
