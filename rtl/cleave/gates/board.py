"""The drawing board: what every generator of this package draws its gates on."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from amaranth.hdl import Const, Elaboratable, Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..hdl import Shareable, share

__all__ = ["FullAdder", "HalfAdder", "HalfAdderPlus", "AndOrInvert", "Board", "ZERO", "ONE"]

ZERO, ONE = Const(0, 1), Const(1, 1)

ShareableT = TypeVar("ShareableT", bound=Shareable)


class FullAdder(wiring.Component):
    """Full adder: sum + 2 * carry = a + b + c.

    Two XOR, two AND, one OR; depth 2 to `sum`, 3 to `carry`. A module of its own, `NAME_fa` in an export, for synthesis to
    map to the library's full-adder cell (`sky130_fd_sc_hd__fa`) or to flatten.

    Members
    -------
    a, b, c : In(1)
    sum, carry : Out(1)
    """

    a: In(1)
    b: In(1)
    c: In(1)
    sum: Out(1)
    carry: Out(1)

    shared_name = "fa"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        unlike = Signal()
        m.d.comb += [
            unlike.eq(self.a ^ self.b),
            self.sum.eq(unlike ^ self.c),
            self.carry.eq((self.a & self.b) | (unlike & self.c)),
        ]
        return m


class HalfAdder(wiring.Component):
    """Half adder: sum + 2 * carry = a + b.

    One XOR, one AND; depth 1. `NAME_ha` in an export, for the library's half-adder cell.

    Members
    -------
    a, b : In(1)
    sum, carry : Out(1)
    """

    a: In(1)
    b: In(1)
    sum: Out(1)
    carry: Out(1)

    shared_name = "ha"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.d.comb += [self.sum.eq(self.a ^ self.b), self.carry.eq(self.a & self.b)]
        return m


class HalfAdderPlus(wiring.Component):
    """Half adder with a carry in of one: sum + 2 * carry = a + b + 1.

    One XNOR, here an XOR and an inverter, and one OR; depth 2 to `sum`, 1 to `carry`. `NAME_hap` in an export.

    Members
    -------
    a, b : In(1)
    sum, carry : Out(1)
    """

    a: In(1)
    b: In(1)
    sum: Out(1)
    carry: Out(1)

    shared_name = "hap"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.d.comb += [self.sum.eq(~(self.a ^ self.b)), self.carry.eq(self.a | self.b)]
        return m


class AndOrInvert(wiring.Component):
    """Choose one of three bits by one-hot selects, inverted: y = ~((a0 & b0) | (a1 & b1) | (a2 & b2)).

    Three AND, two OR, an inverter; depth 4. `NAME_aoi222` in an export, for the library's cell (`sky130_fd_sc_hd__a222oi`).

    Members
    -------
    a0, b0, a1, b1, a2, b2 : In(1)
    y : Out(1)
    """

    a0: In(1)
    b0: In(1)
    a1: In(1)
    b1: In(1)
    a2: In(1)
    b2: In(1)
    y: Out(1)

    shared_name = "aoi222"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.d.comb += self.y.eq(~((self.a0 & self.b0) | (self.a1 & self.b1) | (self.a2 & self.b2)))
        return m


class Board:
    """A module under construction, with the few things that generators put on it.

    A generator is a function of a board and of bits, least significant first, and gives bits. One board belongs to one
    module. Adders with a constant input are folded: a full adder becomes a half adder, a half adder a wire or an inverter.

    Parameters
    ----------
    m
        The module, inside a component's `elaborate`.
    platform
        What `elaborate` was given; an export emits each kind of adder once (see `cleave.hdl.share`).
    """

    def __init__(self, m: Module, platform: object) -> None:
        self._m, self._platform = m, platform
        self._placed = 0

    def wire(self, value: Value, name: str) -> Signal:
        """Give the value as a signal, so that many may use it while it is computed once."""
        signal = Signal(Shape.cast(value.shape()), name=name)
        self._m.d.comb += signal.eq(value)
        return signal

    def register(self, value: Value, name: str = "held") -> Value:
        """Give the value one cycle later, not reset; a constant stays what it is."""
        if isinstance(value, Const):
            return value
        signal = Signal(Shape.cast(value.shape()), name=name, reset_less=True)
        self._m.d.sync += signal.eq(value)
        return signal

    def place(self, component: ShareableT) -> ShareableT:
        """Add a component as a numbered submodule, shared where the platform shares."""
        self._placed += 1
        self._m.submodules[f"{component.shared_name}_{self._placed}"] = share(self._platform, component)
        return component

    def connect(self, *pairs: tuple[Value, Value]) -> None:
        """Drive the first of each pair from the second."""
        self._m.d.comb += [target.eq(source) for target, source in pairs]

    def add(self, *bits: Value) -> tuple[Value, Value]:
        """Give (sum, carry) of two or three bits, with the smallest adder that their constants leave."""
        free = [bit for bit in bits if not isinstance(bit, Const)]
        ones = sum(bit.value for bit in bits if isinstance(bit, Const))
        match len(free):
            case 0:
                return Const(ones & 1, 1), Const(ones >> 1, 1)
            case 1:
                return [(free[0], ZERO), (~free[0], free[0]), (free[0], ONE)][ones]
            case 2:
                adder = self.place(HalfAdderPlus() if ones else HalfAdder())
            case _:
                adder = self.place(FullAdder())
                self.connect((adder.c, free[2]))
        self.connect((adder.a, free[0]), (adder.b, free[1]))
        return adder.sum, adder.carry

    def choose_inverted(self, *pairs: tuple[Value, Value]) -> Value:
        """Give the complement of the one bit of three whose select is set, or of 0; pairs are (select, bit)."""
        gate = self.place(AndOrInvert())
        for number, (select, bit) in enumerate(pairs):
            self.connect((getattr(gate, f"a{number}"), select), (getattr(gate, f"b{number}"), bit))
        return gate.y

    def parity(self, *bits: Value) -> Value:
        """Give the sum of bits modulo 2, for a column whose carries fall out of the result: one XOR less than bits."""
        free = [bit for bit in bits if not isinstance(bit, Const)]
        odd = sum(bit.value for bit in bits if isinstance(bit, Const)) & 1
        if not free:
            return Const(odd, 1)
        total = self.wire(tree(lambda a, b: a ^ b, free), "parity") if len(free) > 1 else free[0]
        return ~total if odd else total


def tree(operator: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
    """Join values pairwise: n - 1 operators for n values, ceil(log2 n) deep."""
    level = list(values)
    while len(level) > 1:
        joined = [operator(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = joined + level[2 * len(joined) :]
    return level[0]
