"""A piece of a slab's inside, to measure cells by."""

# Ports are handed to `super().__init__`, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from amaranth.hdl import Elaboratable, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..array.cell import Cell
from ..config import OPERAND_BITS, bits_for

__all__ = ["Tile"]


class Tile(wiring.Component):
    """Two by two cells from the inside of a slab, with what a column has for each of its cells.

    That is a register of the swap, and the decoder of the stationary row that is written. In a tile the inverters between
    cells cancel as they do in a slab, and every path of a slab's inside is there: a cell's operands and sums come from registers
    of other cells.

    Parameters
    ----------
    cells
        The four, by columns.

    Members
    -------
    from_west : In(8 * dot).array(2), to_east : Out(8 * dot).array(2)
    from_north : In(signed(sum_bits)).array(2, lanes), to_south : Out(signed(sum_bits)).array(2, lanes)
    swap : In(2), write : In(2), index : In(log2(load_cycles)).array(2), stationary : In(place_bits * load_rows).array(2)
        By columns, as `Column` has them.
    """

    def __init__(self, cells: list[Cell]) -> None:
        self.cells = cells
        self.config = config = cells[0].config
        operands, sums = OPERAND_BITS * config.dot, signed(config.sum_bits)
        super().__init__({
            "from_west": In(operands).array(2),
            "to_east": Out(operands).array(2),
            "from_north": In(sums).array(2, config.lanes),
            "to_south": Out(sums).array(2, config.lanes),
            "swap": In(2),
            "write": In(2),
            "index": In(bits_for(config.load_cycles)).array(2),
            "stationary": In(cells[0].place_bits * config.load_rows).array(2),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        groups = self.config.dot // self.config.load_rows
        west = list(self.from_west)
        for column in range(2):
            swap, north = self.swap[column], self.from_north[column]
            for row in range(2):
                m.submodules[f"cell_{column}_{row}"] = cell = self.cells[2 * column + row]
                m.d.comb += [
                    cell.from_west.eq(west[row]),
                    *(to.eq(sum_) for to, sum_ in zip(cell.from_north, north, strict=True)),
                    cell.stationary.eq(self.stationary[column]),
                    cell.swap.eq(swap),
                    *(
                        cell.write[group].eq(self.write[column] & (self.index[column] == row * groups + group))
                        for group in range(groups)
                    ),
                ]
                later = Signal(name=f"swap_{column}_{row}")
                m.d.sync += later.eq(swap)
                swap, north, west[row] = later, cell.to_south, cell.to_east
            m.d.comb += [to.eq(sum_) for to, sum_ in zip(self.to_south[column], north, strict=True)]
        m.d.comb += [east.eq(value) for east, value in zip(self.to_east, west, strict=True)]
        return m
