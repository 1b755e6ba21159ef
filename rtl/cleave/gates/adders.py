"""Carry-propagate adders: a ripple of full adders, or any prefix graph."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Elaboratable, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .board import ZERO, Board
from .prefix import GRAPHS, Graph

__all__ = ["ADDERS", "Adder", "add", "ripple_add", "prefix_add", "Run", "join"]

ADDERS = ("ripple", *GRAPHS)
"""Kinds of adder."""


def add(board: Board, kind: str, a: Sequence[Value], b: Sequence[Value], carry: Value = ZERO) -> list[Value]:
    """Give a + b + carry modulo 2**n for n-bit a and b, by one of `ADDERS`.

    Constant bits cost nothing; so a carry out is a `ZERO` more at the top of a and b.
    """
    if kind == "ripple":
        return ripple_add(board, a, b, carry)
    return prefix_add(board, GRAPHS[kind], a, b, carry)


def ripple_add(board: Board, a: Sequence[Value], b: Sequence[Value], carry: Value = ZERO) -> list[Value]:
    """Give a + b + carry modulo 2**n from a chain of adders.

    n - 1 full adders, of which the first is a half adder without a carry in, and two XOR at the top; n - 1 adders and one
    XOR deep.
    """
    total = []
    for x, y in zip(a[:-1], b[:-1], strict=True):
        digit, carry = board.add(x, y, carry)
        total.append(digit)
    return [*total, board.parity(a[-1], b[-1], carry)]


def prefix_add(
    board: Board, graph: Callable[[int], Graph], a: Sequence[Value], b: Sequence[Value], carry: Value = ZERO
) -> list[Value]:
    """Give a + b + carry modulo 2**n by a prefix graph.

    The graph's positions are the carry in, if there is one, and the bits but for the top one: P = n - 1 or n. One AND and
    one OR per node, one AND more per node that does not reach position 0, of which there are (nodes - P + 1); a half adder
    per bit and an XOR per position, where the top bit's half adder is an XOR. Depth at most 1 + 2 per level + 1 gates.
    """
    halves = [board.add(x, y) for x, y in zip(a[:-1], b[:-1], strict=True)]
    top = board.parity(a[-1], b[-1])
    runs = [Run(generate, propagate, i) for i, (propagate, generate) in enumerate(halves)]
    if carry is not ZERO:
        runs = [Run(carry, ZERO, 0), *(Run(run.generate, run.propagate, run.low + 1) for run in runs)]
    for number, level in enumerate(graph(len(runs))):
        for (i, _), run in zip(level, [join(board, f"{number}_{i}", runs[i], runs[j]) for i, j in level], strict=True):
            runs[i] = run
    carries = [run.generate for run in runs]
    into = carries if carry is not ZERO else [ZERO, *carries]
    return [board.parity(half, c) for half, c in zip([*(half for half, _ in halves), top], into, strict=True)]


class Run(NamedTuple):
    """Neighbouring bits: whether they make a carry, whether they pass one on, and the lowest of their positions."""

    generate: Value
    propagate: Value
    low: int


def join(board: Board, name: str, high: Run, low: Run) -> Run:
    """Join two neighbouring runs: the carry is the upper one's own, or the lower one's that it passes on."""
    generate = board.wire(high.generate | (high.propagate & low.generate), f"generate_{name}")
    propagate = board.wire(high.propagate & low.propagate, f"propagate_{name}") if low.low else ZERO
    return Run(generate, propagate, low.low)


class Adder(wiring.Component):
    """Adder of two numbers: total = a + b modulo 2**width, combinational.

    Counts and depths are those of `ripple_add` and `prefix_add` without a carry in.

    Parameters
    ----------
    width
        Bits of the operands and of the sum.
    kind
        One of `ADDERS`.

    Members
    -------
    a, b : In(width)
    total : Out(width)

    Raises
    ------
    ValueError
        If the kind is unknown or the width not positive.
    """

    def __init__(self, width: int, kind: str) -> None:
        if kind not in ADDERS:
            raise ValueError(f"kind must be one of {', '.join(ADDERS)}, not {kind!r}")
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        self.kind, self.width = kind, width
        super().__init__({"a": In(width), "b": In(width), "total": Out(width)})

    @property
    def shared_name(self) -> str:
        return f"adder_{self.kind}_{self.width}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        board = Board(m, platform)
        board.connect((self.total, Cat(*add(board, self.kind, [*self.a], [*self.b]))))
        return m
