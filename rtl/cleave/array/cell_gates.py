"""The cell in gates: its products and the sum from the north in one tree of adders."""

from amaranth.hdl import Cat, Module, Signal

from ..config import OPERAND_BITS
from ..gates.dot import DotProduct
from ..hdl import share
from .cell import Cell


class GateCell(Cell):
    """A `Cell`, with its ports and its timing, of full adders instead of `*` and `+`.

    Its products, their sign corrections and the sum from the north are one `DotProduct` per lane: with `multiply_stages`,
    the last register holds the tree's two rows, which then meet the sum from the north.
    """

    reduction = "dadda"
    """Tree of the dot product, one of `cleave.gates.reduction.REDUCTIONS`."""

    adder = "brent_kung"
    """Last adder, one of `cleave.gates.adders.ADDERS`."""

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        config = self.config
        held = self.hold(m, waiting)
        for lane in range(config.lanes):
            m.submodules[f"dot_product_{lane}"] = dot_product = share(platform, DotProduct(
                config.dot, OPERAND_BITS, config.stationary_bits, config.sum_bits,
                reduction=self.reduction, adder=self.adder, stages=config.multiply_stages,
            ))  # fmt: skip
            south = Signal.like(self.to_south[lane], name=f"south_{lane}", reset_less=True)
            m.d.comb += [
                dot_product.a.eq(self.from_west),
                dot_product.b.eq(Cat(self.stationary_operand(held, i, lane) for i in range(config.dot))),
                dot_product.addend.eq(self.from_north[lane]),
                self.to_south[lane].eq(south),
            ]
            m.d.sync += south.eq(dot_product.total)
