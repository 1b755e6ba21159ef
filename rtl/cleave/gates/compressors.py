"""Compressors of whole numbers: three or four of them become two, without a carry that travels."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import ADDERS, Adder
from .board import ZERO, Board

__all__ = ["compress_3_2", "compress_4_2", "CarrySaveAccumulator"]

Number = Sequence[Value]


def compress_3_2(board: Board, a: Number, b: Number, c: Number) -> tuple[list[Value], list[Value]]:
    """Give (sum, carry) with sum + carry = a + b + c modulo 2**n, for n-bit numbers.

    n - 1 full adders and two XOR; one full adder deep. Source: C. Wallace, 1964 (the "carry-save adder").
    """
    pairs = [board.add(*bits) for bits in zip(a[:-1], b[:-1], c[:-1], strict=True)]
    top = board.parity(a[-1], b[-1], c[-1])
    return [*(total for total, _ in pairs), top], [ZERO, *(carry for _, carry in pairs)]


def compress_4_2(board: Board, a: Number, b: Number, c: Number, d: Number) -> tuple[list[Value], list[Value]]:
    """Give (sum, carry) with sum + carry = a + b + c + d modulo 2**n, for n-bit numbers.

    Two full adders a bit, of which the lowest second one is a half adder and the top two are XOR: 2 * n - 3 full adders, one
    half adder and four XOR (for n above 1); two full adders deep, as a column's first carry does not wait for the one that
    enters. Source: A. Weinberger, "4-2 carry-save adder module", 1981.
    """
    first, across = compress_3_2(board, a, b, c)
    return compress_3_2(board, first, across, d)


class CarrySaveAccumulator(wiring.Component):
    """Accumulator without a carry chain in its loop: the sum is kept as two numbers.

    With `value(t)` added at each `enable`, from zero after `clear` (which wins)::

        total(t) = value(t0) + ... + value(t - 1) modulo 2**width

    One addition a cycle at one full adder's delay; `total` is a combinational sum of two registers. width - 1 full adders,
    two XOR, 2 * width - 1 registers, each with a reset and an enable, and the adder.

    Parameters
    ----------
    width
        Bits of the sum.
    adder
        One of `cleave.gates.adders.ADDERS`.

    Members
    -------
    value : In(width)
    enable, clear : In(1)
    total : Out(width)

    Raises
    ------
    ValueError
        If the adder is unknown or the width not positive.
    """

    def __init__(self, width: int, adder: str = "brent_kung") -> None:
        if adder not in ADDERS:
            raise ValueError(f"adder must be one of {', '.join(ADDERS)}, not {adder!r}")
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        self.width, self.adder = width, adder
        super().__init__({"value": In(width), "enable": In(1), "clear": In(1), "total": Out(width)})

    @property
    def shared_name(self) -> str:
        return f"carry_save_accumulator_{self.adder}_{self.width}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        board = Board(m, platform)
        sums, carries = Signal(self.width), Signal(self.width)
        new_sums, new_carries = compress_3_2(board, [*self.value], [*sums], [ZERO, *carries[1:]])
        with m.If(self.clear):
            m.d.sync += [sums.eq(0), carries.eq(0)]
        with m.Elif(self.enable):
            m.d.sync += [sums.eq(Cat(*new_sums)), carries.eq(Cat(*new_carries))]
        last = board.place(Adder(self.width, self.adder))
        board.connect((last.a, sums), (last.b, carries), (self.total, last.total))
        return m
