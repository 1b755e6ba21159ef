"""Area and delay of the building blocks of `cleave.gates`, beside yosys' own."""

# Ports are handed to `super().__init__`, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..gates.adders import ADDERS, Adder
from ..gates.board import Board
from ..gates.heap import BitHeap
from ..gates.leading import compare, leading_zeros
from ..gates.multiplexers import Crossbar
from ..gates.products import PRODUCTS, add_product
from ..gates.reduction import REDUCTIONS
from ..gates.shift import shift_right
from .liberty import Library
from .synthesis import BOOTH, PLAIN, Measured, Recipe, area_of

__all__ = ["Block", "BLOCKS", "measure_block"]

class Drawn(wiring.Component):
    """A combinational block.

    Parameters
    ----------
    inputs
        Shape of each input.
    draw
        Gives the block's outputs of a board and its inputs.

    Members
    -------
    total : Out
        All outputs, concatenated.
    """

    def __init__(self, inputs: Mapping[str, Any], width: int, draw: Callable[..., Value]) -> None:
        self._inputs, self._draw = tuple(inputs), draw
        super().__init__({name: In(shape) for name, shape in inputs.items()} | {"total": Out(width)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.d.comb += self.total.eq(self._draw(Board(m, platform), *(getattr(self, name) for name in self._inputs)))
        return m


@dataclass(frozen=True)
class Block:
    """A block of the report: what it does, how, and what makes it."""

    does: str
    how: str
    make: Callable[[], wiring.Component]
    recipe: Recipe = PLAIN


def _adders(width: int) -> list[Block]:
    shapes = {"a": width, "b": width}
    return [
        Block(f"{width} + {width} bit", "yosys' +", lambda: Drawn(shapes, width, lambda _, a, b: a + b)),
        *(Block(f"{width} + {width} bit", kind, lambda kind=kind: Adder(width, kind)) for kind in ADDERS),
    ]


def _multipliers(width: int) -> list[Block]:
    shapes = {"a": signed(width), "b": signed(width)}

    def product(products: str, reduction: str) -> wiring.Component:
        def draw(board: Board, a: Value, b: Value) -> Value:
            heap = BitHeap(2 * width)
            add_product(board, heap, products, a, b)
            heap.reduce(board, reduction)
            return Cat(*heap.total(board, "brent_kung"))

        return Drawn(shapes, 2 * width, draw)

    def star() -> wiring.Component:
        return Drawn(shapes, 2 * width, lambda _, a, b: a * b)

    return [
        Block(f"{width} x {width} bit", "yosys' *", star),
        Block(f"{width} x {width} bit", "yosys' *, Booth", star, BOOTH),
        *(
            Block(f"{width} x {width} bit", f"{products}, {reduction}", lambda p=products, r=reduction: product(p, r))
            for products in PRODUCTS
            for reduction in REDUCTIONS
        ),
    ]


def _others() -> list[Block]:
    word = {"value": signed(48), "amount": 6}
    pair = {"a": signed(32), "b": signed(32)}

    def sticky(value: Value, amount: Value) -> Value:
        return ((value >> amount) << amount)[: len(value)] != value

    def count(value: Value) -> Value:
        zeros = Const(len(value))
        for position, bit in enumerate(value):
            zeros = Mux(bit, len(value) - 1 - position, zeros)
        return zeros

    return [
        Block("shift of 48 bit, sticky", "yosys' >>", lambda: Drawn(word, 49, lambda _, v, n: Cat(v >> n, sticky(v, n)))),
        Block("shift of 48 bit, sticky", "barrel", lambda: Drawn(word, 49, lambda board, v, n: Cat(*shift_right(board, v, n)))),
        Block("leading zeros of 32 bit", "yosys' multiplexers", lambda: Drawn({"value": 32}, 6, lambda _, v: count(v))),
        Block("leading zeros of 32 bit", "tree", lambda: Drawn({"value": 32}, 6, leading_zeros)),
        Block("comparison of 32 bit", "yosys' < and ==", lambda: Drawn(pair, 2, lambda _, a, b: Cat(a < b, a == b))),
        Block("comparison of 32 bit", "tree", lambda: Drawn(pair, 2, lambda board, a, b: Cat(*compare(board, a, b)))),
        Block("crossbar of 8 x 8 words of 8 bit", "one-hot", lambda: Crossbar(8, 8, 8)),
    ]


BLOCKS = [
    *(block for width in (16, 21, 32, 48) for block in _adders(width)),
    *(block for width in (8, 16) for block in _multipliers(width)),
    *_others(),
]


def measure_block(block: Block, library: Library) -> Measured:
    """Measure one block."""
    return area_of(block.make(), library, block.recipe)
