"""Each generator, broken once on purpose: the proof that watches it must fail."""

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from amaranth.hdl import signed, unsigned

from cleave.gates import adders, board, compressors, dot, heap, leading, multiplexers, prefix, products, reduction, shift
from cleave.gates.adders import ADDERS
from cleave.gates.dot import DotProduct
from tb.gates import blocks
from tb.gates.proof import Block, prove
from tb.gates.test_dot import prove_dot

Proof = Callable[[], None]


def small(make: Callable[[], Block]) -> Proof:
    return lambda: prove(make())


def whole_dot(**kinds: Any) -> Proof:
    return lambda: prove_dot(DotProduct(8, 8, 8, 21, **kinds))


full_adder = small(lambda: blocks.cell(board.FullAdder))
heap_of_seven = {name: small(partial(blocks.heap, [7, 5, 3, 1], name, 5)) for name in reduction.REDUCTIONS}
adder_of_eight = {name: small(partial(blocks.adder, name, 8)) for name in ADDERS}
product = {name: small(partial(blocks.product, name, signed(5), signed(5))) for name in products.PRODUCTS}
pair = small(lambda: blocks.paired_products(3, 3))
crossbar = small(lambda: blocks.crossbar(3, 2, 2))
shifter = small(lambda: blocks.shifter(signed(8), 3))
logical_shifter = small(lambda: blocks.shifter(unsigned(8), 3))

MUTATIONS: list[tuple[Any, str, str, Proof]] = [
    # where, what stands there, what takes its place, the proof
    (board.FullAdder, "(unlike & self.c)", "(unlike & self.a)", full_adder),
    (board.FullAdder, "unlike ^ self.c", "unlike | self.c", full_adder),
    (board.HalfAdder, "self.a & self.b", "self.a | self.b", small(lambda: blocks.cell(board.HalfAdder))),
    (board.HalfAdderPlus, "self.a | self.b", "self.a ^ self.b", small(lambda: blocks.cell(board.HalfAdderPlus))),
    (board.Board, "(~free[0], free[0])", "(free[0], free[0])", small(lambda: blocks.folded(None, 1))),
    (board.Board, "(free[0], ONE)", "(free[0], ZERO)", small(lambda: blocks.folded(1, None, 1))),
    (board.Board, "~total if odd else total", "total", small(lambda: blocks.folded(None, 1))),
    (board.tree, "level[2 * len(joined) :]", "level[2 * len(joined) + 1 :]", small(lambda: blocks.one_hot(3, 2))),
    (adders.ripple_add, "board.add(x, y, carry)", "board.add(x, y)", adder_of_eight["ripple"]),
    (adders.ripple_add, "b[-1], carry", "b[-1]", adder_of_eight["ripple"]),
    (adders.join, "high.propagate & low.generate", "high.propagate", adder_of_eight["kogge_stone"]),
    (adders.join, "high.propagate & low.propagate", "high.propagate | low.propagate", adder_of_eight["kogge_stone"]),
    (adders.prefix_add, "Run(carry, ZERO, 0)", "Run(ZERO, ZERO, 0)", adder_of_eight["sklansky"]),
    (prefix.sklansky, "- 1)", "- 2)", adder_of_eight["sklansky"]),
    (prefix.kogge_stone, "i - 2**level", "i - 1", adder_of_eight["kogge_stone"]),
    (prefix.brent_kung, "range(3 * 2**level - 1,", "range(5 * 2**level - 1,", adder_of_eight["brent_kung"]),
    (prefix.han_carlson, "range(2, n, 2)", "range(4, n, 2)", adder_of_eight["han_carlson"]),
    (reduction.dadda, "(excess // 2, excess % 2)", "(excess // 2, 0)", heap_of_seven["dadda"]),
    (reduction.wallace, "> 2", "> 3", heap_of_seven["wallace"]),
    (reduction.reduced_area, "> target", "> target + 1", small(lambda: blocks.heap([3, 2, 2], "reduced_area"))),
    (heap.BitHeap, "self.add_bit(weight + 1, carry)", "self.add_bit(weight, carry)", heap_of_seven["wallace"]),
    (heap.BitHeap, "self.add_bit(weight, board.parity(*some))", "pass", heap_of_seven["dadda"]),
    (heap.BitHeap, "self.add_bit(weight, ~bit)", "self.add_bit(weight, bit)", product["baugh_wooley"]),
    (heap.BitHeap, "self.add_constant(-1 << weight)", "self.add_constant(1 << weight)", product["booth"]),
    (heap.BitHeap, "self.constant >> weight & 1", "self.constant >> weight & 0", heap_of_seven["dadda"]),
    (products.baugh_wooley, "!=", "==", product["baugh_wooley"]),
    (products.baugh_wooley, "i + j", "i + j + (i == 2 == j)", product["baugh_wooley"]),
    (products.booth, "(high ^ low) & ~once", "high & low & ~once", product["booth"]),
    (products.booth, "heap.add_bit(2 * digit, high)", "heap.add_bit(2 * digit, twice)", product["booth"]),
    (products.paired, "(x & ~y, y & ~x, x & y)", "(x, y & ~x, x & y)", pair),
    (products.paired, "!=", "==", pair),
    (products.paired, "heap.add_constant(1 <<", "heap.add_constant(2 <<", pair),
    (heap._Minus, "self._heap.subtract_bit(weight, bit)", "self._heap.add_bit(weight, bit)", pair),
    (board.AndOrInvert, "self.a1 & self.b1", "self.a1 & self.b2", small(blocks.chosen)),
    (compressors.compress_3_2, "[ZERO, *(carry for _, carry in pairs)]", "[*(carry for _, carry in pairs), ZERO]",
     small(lambda: blocks.compressor(3, 4))),
    (compressors.compress_4_2, "first, across, d", "first, across, c", small(lambda: blocks.compressor(4, 4))),
    (dot.DotProduct, "word_select(i, self.q)", "word_select(0, self.q)", small(lambda: blocks.dot(2, 3, 3, 6))),
    (multiplexers.one_hot_mux, "a | b", "a ^ b", small(lambda: blocks.one_hot(3, 2))),
    (multiplexers.binary_mux, "Mux(bit, high, low)", "Mux(bit, low, high)", small(lambda: blocks.binary(4, 2))),
    (multiplexers.Crossbar, "one_hot_mux(select,", "one_hot_mux(self.select[0],", crossbar),
    (shift.shift_right, "[sign] * distance", "[ZERO] * distance", shifter),
    (shift.shift_right, "bits[:distance]", "bits[: distance - 1] or bits[:1]", logical_shifter),
    (shift.shift_right, "low if low is high", "low if step == 2 and i == 1 or low is high", logical_shifter),
    (leading._leading, "none_high & ~none_low", "none_high", small(lambda: blocks.leading(8))),
    (leading._leading, "x | (none_high & y)", "x | y", small(lambda: blocks.leading(8))),
    (leading._digit, "~x & y", "x & ~y", small(lambda: blocks.comparator(signed(4)))),
    (leading.compare, "small[-1], large[-1] = large[-1], small[-1]", "pass", small(lambda: blocks.comparator(signed(4)))),
    # The same breaks, seen by the proof in parts of a dot product that no solver reaches.
    (dot.DotProduct, "word_select(i, self.q)", "word_select(0, self.q)", whole_dot()),
    (dot.DotProduct, "heap.add_number([*self.addend])", "heap.add_number([*self.addend[:-1]])", whole_dot(stages=1)),
    (heap.BitHeap, "self.add_bit(weight + 1, carry)", "self.add_bit(weight + 1, total)", whole_dot()),
    (heap.BitHeap, "self.add_bit(weight, ~bit)", "self.add_bit(weight, bit)", whole_dot()),
    (heap.BitHeap, "self.add_constant(-1 << weight)", "self.add_constant(-2 << weight)", whole_dot()),
    (products.booth, "heap.add_bit(2 * digit, high)", "heap.add_bit(2 * digit, twice)", whole_dot(products="booth")),
    (products.baugh_wooley, "a[i] & b[j]", "a[i] & b[j - 1]", whole_dot(reduction="wallace")),
    (products.paired, "heap.add_constant(-1 << k + j)", "heap.add_constant(1 << k + j)", whole_dot(products="paired")),
    (products.paired, "x, y = a[0][k], a[1][k]", "x, y = a[0][k], a[1][k - 1]", whole_dot(products="paired")),
    (dot.DotProduct, "word_select(i // 2,", "word_select(0,", whole_dot(products="paired", subtract=True)),
    (dot.DotProduct, "heap.minus if self.subtract", "heap.minus if not self.subtract", whole_dot(subtract=True)),
]  # fmt: skip


REFUTED = "is wrong in|weigh|all constants cancel|added twice|at most 2 high|only its own a"
"""What a proof says that fails because the gates are wrong; the last is the heap's own check."""


@pytest.mark.parametrize(
    ("where", "old", "new", "proof"), MUTATIONS, ids=[f"{m[0].__name__}: {m[1]} > {m[2]}"[:90] for m in MUTATIONS]
)
def test_break_is_caught(where: Any, old: str, new: str, proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(where, old, new, monkeypatch)
    with pytest.raises((AssertionError, ValueError), match=REFUTED):
        proof()


def mutate(where: Any, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a text in the source of a function or class, and what it defines wherever the package has imported it."""
    source = inspect.getsource(where)
    assert source.count(old) >= 1, f"{where.__name__} has no {old!r} to break"
    module = sys.modules[where.__module__]
    names = dict(vars(module))
    exec(compile(source.replace(old, new), f"<{where.__name__}, broken>", "exec"), names)  # noqa: S102 - our own source
    if isinstance(where, type):
        for name, member in vars(names[where.__name__]).items():
            if inspect.isfunction(member) and name != "__init__":
                monkeypatch.setattr(where, name, member)
    else:
        monkeypatch.setattr(where, "__code__", names[where.__name__].__code__)


def test_every_generator_is_broken() -> None:
    """The list leaves no generator out."""
    broken = {mutation[0] for mutation in MUTATIONS}
    modules = [adders, compressors, dot, heap, leading, multiplexers, prefix, products, reduction, shift]
    generators = {
        thing
        for module in modules
        for name in module.__all__
        if callable(thing := getattr(module, name)) and getattr(thing, "__module__", "") == module.__name__
    }
    chosen = {adders.add, products.add_product}  # only choose among the others
    data = {adders.Run, reduction.after, heap.Sum}
    built = {adders.Adder, compressors.CarrySaveAccumulator, leading.leading_zeros}  # of generators that are in the list
    assert generators - broken - chosen - data - built == set()
