"""Every block does what it means, for all inputs of a range of small widths."""

from itertools import product as choices

import pytest
from amaranth.hdl import signed, unsigned

from cleave.gates.adders import ADDERS
from cleave.gates.board import FullAdder, HalfAdder, HalfAdderPlus
from cleave.gates.products import PRODUCTS
from cleave.gates.reduction import REDUCTIONS
from tb.gates import blocks
from tb.gates.proof import prove

HEAPS = [[1], [3], [2, 2], [3, 3, 3], [1, 4, 0, 5, 2], [7, 5, 3, 1], [0, 0, 6, 6, 0], [10], [9, 1, 1, 1], [2, 3, 4, 5, 4]]
SHAPES = [signed(1), signed(2), signed(5), unsigned(1), unsigned(4), unsigned(5)]




@pytest.mark.parametrize("kind", [HalfAdder, HalfAdderPlus, FullAdder])
def test_cell(kind: type) -> None:
    prove(blocks.cell(kind))


@pytest.mark.parametrize("count", [2, 3])
def test_folded_constants(count: int) -> None:
    prove(*(blocks.folded(*bits) for bits in choices([None, 0, 1], repeat=count) if None in bits))


@pytest.mark.parametrize("kind", ADDERS)
def test_adder(kind: str) -> None:
    prove(*(blocks.adder(kind, width) for width in range(1, 10)))
    prove(*(blocks.adder_component(kind, width) for width in range(1, 11)))


@pytest.mark.parametrize("count", [3, 4])
def test_compressor(count: int) -> None:
    prove(*(blocks.compressor(count, width) for width in range(1, 6)))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_heap(reduction: str) -> None:
    constants = (0, 1, -1, 0b10110)
    prove(*(blocks.heap(heights, reduction, constant) for heights, constant in choices(HEAPS, constants)))
    prove(*(blocks.heap(heights, reduction, negative=True) for heights in HEAPS))


@pytest.mark.parametrize("kind", PRODUCTS)
def test_product(kind: str) -> None:
    prove(*(blocks.product(kind, a, b, more=more) for a, b, more in choices(SHAPES, SHAPES, (-1, 0, 3))))


@pytest.mark.parametrize(("kind", "reduction"), list(choices(PRODUCTS, REDUCTIONS)))
def test_product_of_bytes(kind: str, reduction: str) -> None:
    prove(*(blocks.product(kind, shape, shape, reduction, more=1) for shape in (signed(8), unsigned(8))))


def test_paired_products() -> None:
    prove(*(blocks.paired_products(p, q) for p, q in [(1, 1), (1, 4), (4, 1), (2, 2), (3, 4), (4, 3), (5, 5)]))


def test_chosen_bit() -> None:
    prove(blocks.chosen())


@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_dot_product(products: str, reduction: str) -> None:
    prove(*(
        blocks.dot(2, 2, 3, 8, products=products, reduction=reduction, adder=adder, stages=stages)
        for adder, stages in choices(ADDERS, (0, 1, 3))
    ))  # fmt: skip


def test_dot_product_shapes() -> None:
    shapes = [(1, 8, 2, 10), (1, 4, 4, 12), (3, 2, 2, 6), (4, 2, 2, 4), (1, 1, 1, 3), (2, 3, 3, 1)]
    prove(*(blocks.dot(*shape) for shape in shapes))


def test_multiplexers() -> None:
    prove(*(blocks.one_hot(words, 2) for words in range(1, 6)))
    prove(*(blocks.binary(words, width) for words, width in ((2, 3), (4, 2), (8, 1), (8, 2))))


def test_crossbar() -> None:
    prove(*(blocks.crossbar(*shape) for shape in [(1, 1, 3), (3, 2, 2), (4, 3, 1), (2, 4, 2)]))


@pytest.mark.parametrize("kind", [signed, unsigned])
def test_shifter(kind: type) -> None:
    prove(*(blocks.shifter(kind(width), amount) for width, amount in choices(range(1, 10), range(1, 5))))


def test_leading_zeros() -> None:
    prove(*(blocks.leading(width) for width in range(1, 18)))


@pytest.mark.parametrize("kind", [signed, unsigned])
def test_comparator(kind: type) -> None:
    prove(*(blocks.comparator(kind(width)) for width in range(1, 9)))
