"""The formulas in the docstrings, against the gates that are really emitted."""

from itertools import product as choices
from typing import Any

import pytest
from amaranth.hdl import Cat, signed, unsigned

from cleave.gates.adders import ADDERS, Adder
from cleave.gates.board import AndOrInvert, FullAdder, HalfAdder, HalfAdderPlus
from cleave.gates.compressors import compress_3_2, compress_4_2
from cleave.gates.dot import DotProduct
from cleave.gates.heap import BitHeap
from cleave.gates.netlist import Netlist, netlist, netlists
from cleave.gates.prefix import GRAPHS
from cleave.gates.products import add_product, paired
from cleave.gates.reduction import REDUCTIONS, after
from scripts.cell_counts import SHAPES, count
from tb.gates import blocks
from tb.gates.proof import Block

WIDTHS = [*range(2, 20), 21, 24, 31, 32, 33, 48, 64]


def gates(netlist: Netlist, **expected: int) -> None:
    """Check the number of cells of each kind; those not named are none."""
    found = {kind.strip("$_").lower(): number for kind, number in netlist.counts.items()}
    assert found == {kind: number for kind, number in expected.items() if number}


def log2(n: int) -> int:
    """Give ceil(log2 n)."""
    return (n - 1).bit_length()


def test_cells() -> None:
    full, half, plus = netlists([FullAdder(), HalfAdder(), HalfAdderPlus()], keep=())
    gates(full, xor=2, **{"and": 2, "or": 1})
    gates(half, xor=1, **{"and": 1})
    gates(plus, xor=1, **{"not": 1, "or": 1})
    assert [full.depth(output="sum"), full.depth(output="carry")] == [2, 3]
    assert [half.depth(), plus.depth(output="sum"), plus.depth(output="carry")] == [1, 2, 1]


def test_and_or_invert() -> None:
    cells = netlist(AndOrInvert(), keep=())
    gates(cells, **{"and": 3, "or": 2, "not": 1})
    assert cells.depth() == 4


def test_prefix_graphs() -> None:
    for n in range(1, 130):
        up = log2(n)
        size = {kind: sum(map(len, graph(n))) for kind, graph in GRAPHS.items()}
        depth = {kind: len(graph(n)) for kind, graph in GRAPHS.items()}
        floor = n.bit_length() - 1
        assert size["sklansky"] == sum(i.bit_count() for i in range(n)) and depth["sklansky"] == up
        assert size["kogge_stone"] == n * up - 2**up + 1 and depth["kogge_stone"] == up
        assert size["brent_kung"] == sum(
            n // 2 ** (level + 1) + max(0, (n - 2**level) // 2 ** (level + 1)) for level in range(floor + 1)
        )
        assert depth["brent_kung"] <= 2 * floor
        if n > 1:
            half = n // 2
            assert size["han_carlson"] == n - 1 + half * log2(half) - 2 ** log2(half) + 1
            assert depth["han_carlson"] == log2(half) + (2 if n > 2 else 1)
        if n == 2**up:
            assert size["sklansky"] == n // 2 * up and size["brent_kung"] == 2 * n - 2 - up
            assert depth["brent_kung"] == 2 * up - 1 or n <= 2
        for graph in GRAPHS.values():
            reach = list(range(n))
            for level in graph(n):
                assert len({i for i, _ in level}) == len(level)
                before = list(reach)
                for i, j in level:
                    assert j == before[i] - 1, "joined runs are neighbours"
                    reach[i] = before[j]
            assert not any(reach), "every carry is complete"


@pytest.mark.parametrize("kind", ADDERS)
def test_adders(kind: str) -> None:
    with_carry = [blocks.adder(kind, width) for width in WIDTHS]
    without = [Adder(width, kind) for width in WIDTHS]
    for width, carry, plain in zip(WIDTHS, netlists(with_carry), netlists(without), strict=True):
        if kind == "ripple":
            gates(carry, fa=width - 1, xor=2)
            gates(plain, fa=width - 2, ha=1, xor=2)
            assert carry.depth({"fa": 1, "xor": 0}) == width - 1
            continue
        for positions, cells in ((width, carry), (width - 1, plain)):
            graph = GRAPHS[kind](positions)
            nodes = sum(map(len, graph))
            gates(cells, ha=width - 1, xor=1 + positions, **{"or": nodes, "and": nodes + nodes - positions + 1})
            assert 2 * len(graph) <= cells.depth() <= 2 + 2 * len(graph)


def test_compressors() -> None:
    for count_, compress in ((3, compress_3_2), (4, compress_4_2)):
        for width in (2, 8, 21):

            def draw(board: Any, *numbers: Any, compress: Any = compress) -> Any:
                return tuple(compress(board, *([*number] for number in numbers)))

            inputs = {f"i{i}": width for i in range(count_)}
            cells = netlist(Block(inputs, {"sums": width, "carries": width}, draw, lambda *_: 0))
            if count_ == 3:
                gates(cells, fa=width - 1, xor=2)
                assert cells.depth({"fa": 1}) == 1
            else:
                gates(cells, fa=2 * width - 3, ha=1, xor=4)
                assert cells.depth({"fa": 1}) == min(2, width - 1)


@pytest.mark.parametrize("a", [signed(8), signed(4), unsigned(8), unsigned(5)])
@pytest.mark.parametrize("b", [signed(8), signed(5), unsigned(8)])
def test_products(a: Any, b: Any) -> None:
    def draw(kind: str, board: Any, x: Any, y: Any) -> Any:
        heap = BitHeap(a.width + b.width + 4)
        add_product(board, heap, kind, x, y)
        return Cat(bit for column in heap.columns for bit in column)

    def product(kind: str) -> Netlist:
        return netlist(Block({"a": a, "b": b}, {"bits": 1000}, lambda *inputs: draw(kind, *inputs), lambda *_: 0))

    p, q = a.width, b.width
    inverted = {(False, False): 0, (True, False): q, (False, True): p, (True, True): p + q - 2}[a.signed, b.signed]
    gates(product("baugh_wooley"), **{"and": p * q, "not": inverted})
    digits = (q + 1) // 2 if b.signed else q // 2 + 1
    row = p + 1 if a.signed else p + 2
    cells = product("booth")
    assert cells.count("or") <= digits * row and cells.count("and") <= digits * (2 * row + 1)
    assert cells.depth() <= 7


def test_paired_products() -> None:
    for p, q in ((2, 3), (8, 4), (8, 8)):

        def draw(board: Any, a0: Any, a1: Any, b0: Any, b1: Any, b_sum: Any, p: int = p, q: int = q) -> Any:
            heap = BitHeap(p + q + 4)
            paired(board, heap.minus, (a0, a1), (b0, b1), b_sum)
            return Cat(bit for column in heap.columns for bit in column)

        inputs = {"a0": signed(p), "a1": signed(p), "b0": signed(q), "b1": signed(q), "b_sum": signed(q + 1)}
        cells = netlist(Block(inputs, {"bits": 1000}, draw, lambda *_: 0))
        bits = p * (q + 1)
        assert cells.count("and") == 3 * p + 3 * bits and cells.count("or") == 2 * bits
        assert cells.count("not") == 2 * p + bits + q + p - 1  # the last for bits that count as negative
        assert cells.depth() <= 7


def test_reductions() -> None:
    heights = [[h] * n for h in range(1, 70) for n in (1, 2, 5, 16)] + [[1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1, 0]]
    for columns, (name, reduction) in choices(heights, REDUCTIONS.items()):
        now, plan = columns, reduction(columns)
        for level in plan:
            assert all(3 * full + 2 * half <= height for height, (full, half) in zip(now, level, strict=True))
            now = after(now, level)
        assert max(now) <= 2
        targets = [2]
        while targets[-1] < max(columns):
            targets.append(targets[-1] * 3 // 2)
        levels = len(targets) - 1
        assert len(plan) == levels if name != "wallace" else len(plan) <= levels + 1
        if name == "dadda":
            assert all(half <= 1 for level in plan for _, half in level)


def test_n_by_n_products_have_daddas_counts() -> None:
    """The published counts of an unsigned n x n multiplier: n * n - 4 * n + 3 full adders, n - 1 half adders."""
    for n in range(3, 25):
        plan = REDUCTIONS["dadda"]([min(i + 1, 2 * n - 1 - i) for i in range(2 * n - 1)] + [0])
        assert sum(full for level in plan for full, _ in level) == n * n - 4 * n + 3
        assert sum(half for level in plan for _, half in level) == n - 1


@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_every_full_adder_of_a_cell_is_explained(shape: tuple[int, int, int]) -> None:
    for reduction, stages in zip(REDUCTIONS, (0, 2, 1), strict=True):
        assert count(*shape, reduction=reduction, stages=stages).exact
    if shape[0] % 2 == 0:
        assert count(*shape, products="paired", reduction="reduced_area", stages=2).exact


def test_dot_product_depth() -> None:
    """Levels of adders in the tree of a dot product with its addend, which the longest column sets."""
    for dot in (1, 2, 4, 8):
        cells = netlist(DotProduct(dot, 8, 8, 21), keep=("fa", "ha", "hap", "adder"))
        levels, height = 0, 2
        while height < dot * 8 + 1:
            levels, height = levels + 1, height * 3 // 2
        assert cells.depth({"fa": 1, "ha": 1, "hap": 1}) <= levels


def test_multiplexers() -> None:
    for words in (2, 3, 5, 8):
        hot, binary = netlists([blocks.one_hot(words, 2), blocks.binary(words, 2)])
        gates(hot, **{"and": words * 2, "or": (words - 1) * 2})
        gates(binary, mux=(words - 1) * 2)
        assert (hot.depth(), binary.depth()) == (1 + log2(words), log2(words))
    cells = netlist(blocks.crossbar(4, 3, 2))
    gates(cells, **{"and": 4 * 3 * 2, "or": 3 * 3 * 2})
    assert cells.depth() == 3


def test_shifter() -> None:
    for width, amount in choices((8, 21, 32), (3, 5, 6)):
        cells = netlist(blocks.shifter(unsigned(width), amount))
        assert cells.count("mux") == width * amount
        assert cells.depth(output="shifted") == amount
        assert cells.depth(output="sticky") <= amount + log2(width) + 2 + log2(amount)


def test_leading_zeros() -> None:
    for k in range(1, 7):
        cells = netlist(blocks.leading(2**k))
        assert 2 * cells.counts.total() == 11 * 2**k - 4 * k - 10
        assert cells.depth() == 2 * k


def test_comparator() -> None:
    for width, cells in zip(WIDTHS, netlists([blocks.comparator(signed(width)) for width in WIDTHS]), strict=True):
        gates(cells, xor=width, **{"not": 2 * width, "and": 3 * width - 2, "or": width - 1})
        assert cells.counts.total() == 4 * width + 3 * (width - 1) and cells.depth() == 2 + 2 * log2(width)
