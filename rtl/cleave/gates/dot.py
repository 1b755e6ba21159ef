"""The merged dot product: products, incoming sum and sign corrections in one tree, and one adder at its end."""

from amaranth.hdl import Cat, Elaboratable, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import ADDERS
from .board import Board
from .heap import BitHeap
from .products import PRODUCTS, add_product, paired
from .reduction import REDUCTIONS

__all__ = ["DotProduct"]


class DotProduct(wiring.Component):
    """Sum of signed products and of a number that arrives `stages` cycles after the factors, or their difference.

    Combinational but for the registers of `stages`::

        total(t + stages) = addend(t + stages) + sum over i of a[i](t) * b[i](t), modulo 2**width

    or with `subtract` the same with - sum. The difference is the smaller one: where + takes AND gates, - takes NAND.

    Latency from a and b `stages`, from `addend` 0 cycles; one dot product a cycle. The last register holds the tree's two
    rows, to which one level of full adders then adds the addend; earlier ones cut the tree into parts of as many levels.

    With `paired` products 2 * i and 2 * i + 1 are one, by a sum of their b that comes with b. Then there are
    dot / 2 * p * (q + 1) bits to add up instead of dot * p * q.

    With `baugh_wooley` and a ripple adder, dot * p * q AND and dot * p * q + c full adders, and less for each bit of the sum's top
    column but one (an XOR instead) and for each one that meets a simpler adder; c is the number of ones in
    dot * (2**(p - 1) + 2**(q - 1) - 2**(p + q - 1)) mod 2**(width - 1), the correction of all signs. Depth: an AND, the levels of
    the reduction for dot * min(p, q) + 1 bits, the adder. Source: E. Swartzlander, "Merged arithmetic", 1980.

    Parameters
    ----------
    dot
        Products.
    p, q
        Bits of each a and b.
    width
        Bits of the sum.
    products, reduction, adder
        One each of `PRODUCTS` or `paired`, of `REDUCTIONS` and of `ADDERS`.
    stages
        Registers on the way from the factors to the sum.
    subtract
        Subtract the products from the addend.

    Members
    -------
    a : In(p * dot), b : In(q * dot)
        Factors, number 0 lowest.
    b_sums : In((q + 1) * dot / 2)
        With `paired` only: b[2 * i] + b[2 * i + 1], signed.
    addend : In(signed(width)), total : Out(signed(width))

    Raises
    ------
    ValueError
        If a number is not positive (`stages`: negative), a kind unknown, or `dot` odd for `paired`.
    """

    def __init__(
        self,
        dot: int,
        p: int,
        q: int,
        width: int,
        *,
        products: str = "baugh_wooley",
        reduction: str = "dadda",
        adder: str = "brent_kung",
        stages: int = 0,
        subtract: bool = False,
    ) -> None:
        for name, value, least in [("dot", dot, 1), ("p", p, 1), ("q", q, 1), ("width", width, 1), ("stages", stages, 0)]:
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        for name, kind, allowed in [
            ("products", products, (*PRODUCTS, "paired")), ("reduction", reduction, REDUCTIONS), ("adder", adder, ADDERS)
        ]:  # fmt: skip
            if kind not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {kind!r}")
        if products == "paired" and dot % 2:
            raise ValueError(f"dot must be even for paired products, not {dot}")
        self.dot, self.p, self.q, self.width = dot, p, q, width
        self.products, self.reduction, self.adder, self.stages, self.subtract = products, reduction, adder, stages, subtract
        super().__init__({
            "a": In(p * dot),
            "b": In(q * dot),
            "addend": In(signed(width)),
            "total": Out(signed(width)),
        } | ({"b_sums": In((q + 1) * dot // 2)} if products == "paired" else {}))

    @property
    def shared_name(self) -> str:
        return "_".join(map(str, [
            "difference" if self.subtract else "dot",
            self.dot, self.p, self.q, self.width, self.products, self.reduction, self.adder, self.stages,
        ]))  # fmt: skip

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        board = Board(m, platform)
        heap = BitHeap(self.width)
        a = [self.a.word_select(i, self.p).as_signed() for i in range(self.dot)]
        b = [self.b.word_select(i, self.q).as_signed() for i in range(self.dot)]
        products = heap.minus if self.subtract else heap
        if self.products == "paired":
            for i in range(0, self.dot, 2):
                b_sum = self.b_sums.word_select(i // 2, self.q + 1).as_signed()
                paired(board, products, (a[i], a[i + 1]), (b[i], b[i + 1]), b_sum)
        else:
            for factors in zip(a, b, strict=True):
                add_product(board, products, self.products, *factors)
        if self.stages:
            heap.reduce(board, self.reduction, registers=self.stages)
        heap.add_number([*self.addend])
        heap.reduce(board, self.reduction)
        board.connect((self.total, Cat(*heap.total(board, self.adder)).as_signed()))
        return m
