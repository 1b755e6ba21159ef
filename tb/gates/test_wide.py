"""Blocks too wide to try all inputs, proven by a SAT solver against the operators that they stand for."""

from itertools import product as choices
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cleave.gates.adders import ADDERS, Adder, add
from cleave.gates.board import Board
from cleave.gates.compressors import CarrySaveAccumulator, compress_3_2, compress_4_2
from cleave.gates.heap import BitHeap
from cleave.gates.leading import compare, leading_zeros
from cleave.gates.multiplexers import binary_mux, one_hot_mux
from cleave.gates.products import PRODUCTS, add_product
from cleave.gates.reduction import REDUCTIONS
from cleave.gates.shift import shift_right
from tb.gates.proof import Claims


def test_adders(tmp_path: Path) -> None:
    claims = Claims()
    for kind, width in choices(ADDERS, (11, 16, 20, 21, 24, 32, 33, 48, 64)):

        def with_carry(board: Board, a: Value, b: Value, carry: Value, kind: str = kind) -> Value:
            return Cat(*add(board, kind, [*a], [*b], carry)) == (a + b + carry)[: len(a)]

        def component(board: Board, a: Value, b: Value, kind: str = kind) -> Value:
            last = board.place(Adder(len(a), kind))
            board.connect((last.a, a), (last.b, b))
            return last.total == (a + b)[: len(a)]

        claims.add(f"{kind} of {width} with carry", with_carry, a=width, b=width, carry=1)
        claims.add(f"{kind} of {width}", component, a=width, b=width)
    assert claims.refuted(tmp_path) == []


def test_compressors(tmp_path: Path) -> None:
    claims = Claims()
    for (count, compress), width in choices(((3, compress_3_2), (4, compress_4_2)), (8, 21, 32)):

        def claim(board: Board, *numbers: Value, compress: Any = compress) -> Value:
            sums, carries = compress(board, *([*number] for number in numbers))
            return (Cat(*sums) + Cat(*carries))[: len(sums)] == sum(numbers)[: len(sums)]

        claims.add(f"{count}:2 of {width}", claim, **{f"i{i}": width for i in range(count)})
    assert claims.refuted(tmp_path) == []


def test_products(tmp_path: Path) -> None:
    claims = Claims()
    for kind, reduction, shape in choices(PRODUCTS, REDUCTIONS, (signed(5), unsigned(5))):

        def claim(board: Board, a: Value, b: Value, c: Value, kind: str = kind, reduction: str = reduction) -> Value:
            heap = BitHeap(12)
            add_product(board, heap, kind, a, b)
            heap.add_number([*c], is_signed=True)
            heap.reduce(board, reduction)
            return Cat(*heap.total(board, "sklansky")) == (a * b + c)[:12]

        claims.add(f"{kind} {reduction} {shape}", claim, a=shape, b=shape, c=signed(12))
    assert claims.refuted(tmp_path) == []


def test_selection(tmp_path: Path) -> None:
    claims = Claims()
    for words in (6, 16, 17):
        names = {f"w{i}": 8 for i in range(words)}
        bits = (words - 1).bit_length()

        def binary(board: Board, select: Value, *words: Value) -> Value:
            wanted = words[-1]
            for i, word in enumerate(words[:-1]):
                wanted = Mux(select == i, word, wanted)
            return (binary_mux(board, select, words) == wanted) | (select >= len(words))

        def hot(_: Board, number: Value, *words: Value) -> Value:
            wanted = 0
            for i, word in enumerate(words):
                wanted = Mux(number == i, word, wanted)
            return one_hot_mux(Cat(number == i for i in range(len(words))), words) == wanted

        claims.add(f"binary {words}", binary, select=bits, **names)
        claims.add(f"one-hot {words}", hot, number=bits, **names)
    assert claims.refuted(tmp_path) == []


def test_shift_and_order(tmp_path: Path) -> None:
    claims = Claims()
    for shape, amount in ((unsigned(32), 5), (signed(32), 6), (signed(48), 6), (unsigned(21), 3)):

        def shift(board: Board, value: Value, by: Value) -> Value:
            shifted, sticky = shift_right(board, value, by)
            lost = value - ((value >> by) << by)
            return (shifted == (value >> by)[: len(value)]) & (sticky == (lost[: len(value)] != 0))

        def order(board: Board, a: Value, b: Value) -> Value:
            less, equal = compare(board, a, b)
            return (less == (a < b)) & (equal == (a == b))

        claims.add(f"shift {shape} {amount}", shift, value=shape, by=amount)
        claims.add(f"compare {shape} {amount}", order, a=shape, b=shape)
    for width in (21, 32, 48, 64):

        def zeros(board: Board, value: Value) -> Value:
            wanted: Value | int = len(value)
            for i in range(len(value)):
                wanted = Mux(value[i], len(value) - 1 - i, wanted)
            return leading_zeros(board, value) == wanted

        claims.add(f"zeros {width}", zeros, value=width)
    assert claims.refuted(tmp_path) == []


class AccumulatorPair(wiring.Component):
    """A carry-save accumulator beside a plain one; `same` says that the sums agree."""

    shared_name = "pair"

    def __init__(self, width: int, adder: str) -> None:
        self.width, self.adder = width, adder
        super().__init__({"value": In(width), "enable": In(1), "clear": In(1), "holds": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:  # noqa: ARG002
        m = Module()
        m.submodules.accumulator = accumulator = CarrySaveAccumulator(self.width, self.adder)
        plain = Signal(self.width)
        with m.If(self.clear):
            m.d.sync += plain.eq(0)
        with m.Elif(self.enable):
            m.d.sync += plain.eq(plain + self.value)
        m.d.comb += [
            accumulator.value.eq(self.value),
            accumulator.enable.eq(self.enable),
            accumulator.clear.eq(self.clear),
            self.holds.eq(accumulator.total == plain),
        ]
        return m


def test_accumulator(tmp_path: Path) -> None:
    """In all cycles from reset, by induction over one cycle."""
    claims = Claims()
    for width, adder in [(1, "ripple"), (8, "brent_kung"), (32, "brent_kung"), (32, "ripple"), (48, "sklansky")]:
        claims.add_component(f"{width} {adder}", AccumulatorPair(width, adder), "-seq 1 -tempinduct")
    assert claims.refuted(tmp_path) == []


def test_the_solver_refutes(tmp_path: Path) -> None:
    claims = Claims()
    claims.add("and is no or", lambda _, a, b: (a & b) == (a | b), a=4, b=4)
    claims.add("or is or", lambda _, a, b: (a | b) == (b | a), a=4, b=4)
    assert claims.refuted(tmp_path) == ["and is no or"]
