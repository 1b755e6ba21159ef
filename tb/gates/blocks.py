"""Every block of the library with its arithmetic meaning, small enough to try all inputs."""

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, signed

from cleave.gates.adders import Adder, add, ripple_add
from cleave.gates.board import FullAdder, HalfAdderPlus
from cleave.gates.compressors import compress_3_2, compress_4_2
from cleave.gates.dot import DotProduct
from cleave.gates.heap import BitHeap
from cleave.gates.leading import compare, leading_zeros
from cleave.gates.multiplexers import Crossbar, binary_mux, one_hot_mux
from cleave.gates.products import add_product, paired
from cleave.gates.shift import shift_right
from tb.gates.proof import Block


def cell(kind: type) -> Block:
    names = "abc" if kind is FullAdder else "ab"

    def draw(board: Any, *bits: Any) -> Any:
        adder = board.place(kind())
        board.connect(*zip((getattr(adder, name) for name in names), bits, strict=True))
        return Cat(adder.sum, adder.carry)

    return Block(dict.fromkeys(names, 1), {"total": 2}, draw, lambda *bits: sum(bits) + (kind is HalfAdderPlus))


def folded(*constants: int | None) -> Block:
    """An adder some of whose inputs are constants."""
    free = {f"i{i}": 1 for i, constant in enumerate(constants) if constant is None}

    def bits(inputs: Any, constant: Any) -> list[Any]:
        rest = iter(inputs)
        return [next(rest) if value is None else constant(value) for value in constants]

    def draw(board: Any, *inputs: Any) -> Any:
        operands = bits(inputs, lambda value: Const(value, 1))
        return Cat(*board.add(*operands)), Cat(board.parity(*operands))

    def meaning(*inputs: Any) -> Any:
        total = sum(bits(inputs, int)) + 0 * inputs[0]
        return total, total

    return Block(free, {"total": 2, "parity": 1}, draw, meaning)


def adder(kind: str, width: int) -> Block:
    return Block(
        {"a": width, "b": width, "carry": 1}, {"total": width},
        lambda board, a, b, carry: add(board, kind, [*a], [*b], carry),
        lambda a, b, carry: a + b + carry,
    )  # fmt: skip


def adder_component(kind: str, width: int) -> Block:
    def draw(board: Any, a: Any, b: Any) -> Any:
        last = board.place(Adder(width, kind))
        board.connect((last.a, a), (last.b, b))
        return last.total

    return Block({"a": width, "b": width}, {"total": width}, draw, lambda a, b: a + b)


def compressor(count: int, width: int) -> Block:
    compress = {3: compress_3_2, 4: compress_4_2}[count]

    def draw(board: Any, *numbers: Any) -> Any:
        sums, carries = compress(board, *([*number] for number in numbers))
        return ripple_add(board, sums, carries)

    return Block({f"i{i}": width for i in range(count)}, {"total": width}, draw, lambda *numbers: sum(numbers))


def heap(heights: list[int], reduction: str, constant: int = 0, *, negative: bool = False) -> Block:
    """A heap of the given columns, bits added or subtracted, and a constant."""
    columns = {f"c{weight}": height for weight, height in enumerate(heights) if height}
    weights = [weight for weight, height in enumerate(heights) if height]
    width = len(heights)

    def draw(board: Any, *bits: Any) -> Any:
        made = BitHeap(width)
        for weight, column in zip(weights, bits, strict=True):
            for bit in column:
                (made.subtract_bit if negative else made.add_bit)(weight, bit)
        made.add_constant(constant)
        made.reduce(board, reduction)
        return made.total(board, "ripple")

    def meaning(*numbers: Any) -> Any:
        ones = sum(np.bitwise_count(column).astype(np.int64) << weight for weight, column in zip(weights, numbers, strict=True))
        return (-ones if negative else ones) + constant

    return Block(columns, {"total": width}, draw, meaning)


def product(kind: str, a: Any, b: Any, reduction: str = "dadda", more: int = 0) -> Block:
    """A product of factors of the given shapes, in `more` bits than it needs (less, if negative)."""
    width = a.width + b.width + more

    def draw(board: Any, a: Any, b: Any) -> Any:
        made = BitHeap(width)
        add_product(board, made, kind, a, b)
        made.reduce(board, reduction)
        return made.total(board, "brent_kung")

    return Block({"a": a, "b": b}, {"total": width}, draw, lambda a, b: a * b)


def paired_products(p: int, q: int) -> Block:
    """Two products at once, added or subtracted."""
    width = p + q + 1

    def draw(board: Any, a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
        b_sum = Cat(*ripple_add(board, *([*b, b[-1]] for b in (b0, b1)))).as_signed()
        totals = []
        for negative in (False, True):
            made = BitHeap(width)
            paired(board, made.minus if negative else made, (a0, a1), (b0, b1), b_sum)
            made.reduce(board, "reduced_area")
            totals.append(made.total(board, "ripple"))
        return tuple(totals)

    shapes = {"a0": signed(p), "a1": signed(p), "b0": signed(q), "b1": signed(q)}
    return Block(
        shapes, {"plus": width, "minus": width}, draw,
        lambda a0, a1, b0, b1: (a0 * b0 + a1 * b1, -a0 * b0 - a1 * b1),
    )  # fmt: skip


def chosen(words: int = 3) -> Block:
    """Bits that selects choose, inverted; several selects give the OR."""
    shapes = {f"{name}{i}": 1 for i in range(words) for name in ("select", "bit")}
    return Block(
        shapes, {"y": 1}, lambda board, *bits: board.choose_inverted(*zip(bits[::2], bits[1::2], strict=True)),
        lambda *bits: 1 - np.bitwise_or.reduce([a & b for a, b in zip(bits[::2], bits[1::2], strict=True)]),
    )  # fmt: skip


def dot(dot: int, p: int, q: int, width: int, **kinds: Any) -> Block:
    def draw(board: Any, *inputs: Any) -> Any:
        made = board.place(DotProduct(dot, p, q, width, **kinds))
        board.connect(
            (made.a, Cat(*inputs[:dot])), (made.b, Cat(*inputs[dot:-1])), (made.addend, inputs[-1])
        )  # fmt: skip
        return made.total

    shapes = {f"a{i}": signed(p) for i in range(dot)} | {f"b{i}": signed(q) for i in range(dot)} | {"addend": signed(width)}
    return Block(
        shapes, {"total": width}, draw,
        lambda *i: sum(a * b for a, b in zip(i[:dot], i[dot:-1], strict=True)) + i[-1],
    )  # fmt: skip


def one_hot(words: int, width: int) -> Block:
    """Whatever is selected, none, one or several: the OR."""
    return Block(
        {"select": words} | {f"w{i}": width for i in range(words)}, {"chosen": width},
        lambda _, select, *words: one_hot_mux(select, words),
        lambda select, *words: np.bitwise_or.reduce([word * (select >> i & 1) for i, word in enumerate(words)]),
    )  # fmt: skip


def binary(words: int, width: int) -> Block:
    """A power of 2 of words; `test_wide.py` has other numbers, where a select may be too high."""
    return Block(
        {"select": (words - 1).bit_length()} | {f"w{i}": width for i in range(words)}, {"chosen": width},
        lambda board, select, *words: binary_mux(board, select, words),
        lambda select, *words: np.choose(select, words),
    )  # fmt: skip


def crossbar(inputs: int, outputs: int, width: int) -> Block:
    def draw(board: Any, *ports: Any) -> Any:
        made = board.place(Crossbar(inputs, outputs, width))
        board.connect(*zip([*made.words, *made.select], ports, strict=True))
        return tuple(made.chosen)

    def meaning(*ports: Any) -> Any:
        words, selects = ports[:inputs], ports[inputs:]
        return tuple(np.bitwise_or.reduce([w * (select >> i & 1) for i, w in enumerate(words)]) for select in selects)

    shapes = {f"w{i}": width for i in range(inputs)} | {f"s{i}": inputs for i in range(outputs)}
    return Block(shapes, {f"o{i}": width for i in range(outputs)}, draw, meaning)


def shifter(shape: Any, amount: int) -> Block:
    return Block(
        {"value": shape, "amount": amount}, {"shifted": shape.width, "sticky": 1}, shift_right,
        lambda value, amount: (value >> amount, (value & ((1 << amount) - 1)) != 0),
    )  # fmt: skip


def leading(width: int) -> Block:
    return Block(
        {"value": width}, {"zeros": width.bit_length()}, leading_zeros,
        lambda value: sum((value < 1 << i).astype(np.int64) for i in range(width)),
    )  # fmt: skip


def comparator(shape: Any) -> Block:
    return Block({"a": shape, "b": shape}, {"less": 1, "equal": 1}, compare, lambda a, b: (a < b, a == b))


