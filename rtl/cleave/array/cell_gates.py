"""The cell in gates: its products and the sum from the north in one tree of adders."""

from amaranth.hdl import Elaboratable, Module, Signal

from ..config import OPERAND_BITS
from ..gates.dot import DotProduct
from ..hdl import share
from .cell import Cell


class GateCell(Cell):
    """A `Cell`, with its ports and its timing, of full adders instead of `*` and `+`.

    Its products, their sign corrections and the sum from the north are one `DotProduct`: with `multiply_stages`, the last
    register holds the tree's two rows, which then meet the sum from the north.
    """

    reduction = "dadda"
    """Tree of the dot product, one of `cleave.gates.reduction.REDUCTIONS`."""

    adder = "brent_kung"
    """Last adder, one of `cleave.gates.adders.ADDERS`."""

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        waiting = Signal(OPERAND_BITS * config.dot, reset_less=True)
        held = Signal(OPERAND_BITS * config.dot, reset_less=True)

        for group, enable in enumerate(self.write):
            with m.If(enable):
                m.d.sync += waiting.word_select(group, OPERAND_BITS * config.load_rows).eq(self.stationary)
        with m.If(self.swap):
            m.d.sync += held.eq(waiting)

        m.submodules.dot_product = dot_product = share(platform, DotProduct(
            config.dot, OPERAND_BITS, OPERAND_BITS, config.sum_bits,
            reduction=self.reduction, adder=self.adder, stages=config.multiply_stages,
        ))  # fmt: skip
        m.d.comb += [
            dot_product.a.eq(self.from_west),
            dot_product.b.eq(held),
            dot_product.addend.eq(self.from_north),
        ]

        east = Signal.like(self.to_east, reset_less=True)
        south = Signal.like(self.to_south, reset_less=True)
        m.d.sync += [east.eq(self.from_west), south.eq(dot_product.total)]
        m.d.comb += [self.to_east.eq(east), self.to_south.eq(south)]
        return m
