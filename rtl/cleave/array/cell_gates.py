"""The cell in gates: its products and the sum from the north in one tree of adders."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal, Value

from ..config import OPERAND_BITS, ArrayConfig
from ..gates.adders import Adder
from ..gates.dot import DotProduct
from ..hdl import share
from .cell import Cell


@dataclass(frozen=True)
class GateStyle:
    """How a cell's sums are made.

    Attributes
    ----------
    products, reduction, adder
        As `DotProduct` has them. `paired` products need an even `dot`; with an odd one they are `baugh_wooley`.
    held_sums
        With `paired`: hold the sums of two stationary operands, made while those wait, beside the operands, 9 more registers
        to two MACs; else they are made from the held operands, on the way to the products.
    """

    products: str = "paired"
    reduction: str = "reduced_area"
    adder: str = "brent_kung"
    held_sums: bool = True


class GateCell(Cell):
    """A `Cell`, with its ports and its timing, of full adders instead of `*` and `+`.

    Its products, their sign corrections and the sum from the north are one `DotProduct` per lane: with `multiply_stages`,
    the last register holds the tree's two rows, which then meet the sum from the north.

    Sums are registered as complements, because a difference is smaller than a sum: ~(north + products) = ~north - products.
    Between the cells of a column the inverters cancel.
    """

    def __init__(self, config: ArrayConfig, style: GateStyle = GateStyle()) -> None:
        self.style = style
        super().__init__(config)

    @property
    def dot_product(self) -> DotProduct:
        """The dot product of one lane."""
        config, style = self.config, self.style
        return DotProduct(
            config.dot, OPERAND_BITS, config.lane_bits, config.sum_bits,
            products="baugh_wooley" if style.products == "paired" and config.dot % 2 else style.products,
            reduction=style.reduction, adder=style.adder, stages=config.multiply_stages, subtract=True,
        )  # fmt: skip

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        held = self.hold(m, waiting)
        for lane in range(self.config.lanes):
            m.submodules[f"dot_product_{lane}"] = dot_product = share(platform, self.dot_product)
            complement = Signal.like(self.to_south[lane], name=f"complement_{lane}", reset_less=True)
            m.d.comb += [
                dot_product.a.eq(self.from_west),
                dot_product.b.eq(Cat(self.stationary_operand(held, i, lane) for i in range(self.config.dot))),
                dot_product.addend.eq(~self.from_north[lane]),
                self.to_south[lane].eq(~complement),
            ]
            m.d.sync += complement.eq(dot_product.total)
            if dot_product.products == "paired":
                sums = self._pair_sums(m, platform, waiting if self.style.held_sums else held, lane)
                m.d.comb += dot_product.b_sums.eq(self.hold(m, sums) if self.style.held_sums else sums)

    def _pair_sums(self, m: Module, platform: object, operands: Signal, lane: int) -> Value:
        """Add one lane's operands 0 and 1, 2 and 3 ..., exactly."""
        sums = []
        for i in range(0, self.config.dot, 2):
            pair = [self.stationary_operand(operands, j, lane).as_signed() for j in (i, i + 1)]
            adder = share(platform, Adder(self.config.lane_bits + 1, "ripple"))
            m.submodules[f"{operands.name}_{lane}_{i}"] = adder
            m.d.comb += [adder.a.eq(pair[0]), adder.b.eq(pair[1])]
            sums.append(adder.total)
        return Cat(sums)
