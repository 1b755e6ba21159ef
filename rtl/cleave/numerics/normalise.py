"""Accumulators to sign, exponent and significand: what rounding to any format starts from."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .formats import Format
from .rounding import RANDOM_BITS

__all__ = ["EXPONENT_BITS", "Normaliser", "normalised_layout", "significand_bits"]

EXPONENT_BITS = 10
"""Width of an accumulator's exponent: two anchors, two steps and the bits below the unit."""

LEADING_BITS = EXPONENT_BITS + 1
"""Width of the exponent of a leading one, which a block's scale may be subtracted from."""


def significand_bits(targets: tuple[Format, ...]) -> int:
    """Give the bits of a significand that rounding to any of the targets needs, besides sticky."""
    return max(target.mantissa_bits for target in targets) + 1 + RANDOM_BITS


def normalised_layout(width: int) -> data.StructLayout:
    """Give the layout of a normalised value: (-1)**negative * significand * 2**(exponent - width + 1), and a little more.

    The top bit of the significand is set unless the value is zero, and then `exponent` is the least there is. `sticky` says
    that the value is larger in magnitude by less than one unit of the significand, `poisoned` that it is NaN.
    """
    return data.StructLayout({
        "significand": width,
        "sticky": 1,
        "exponent": signed(LEADING_BITS),
        "negative": 1,
        "poisoned": 1,
    })


class Normaliser(wiring.Component):
    """Normalise sum * 2**exponent.

    The leading one is found on the way: where the top 2**k bits are zeros, they are shifted out, from the largest power of two
    below the width down to k = 0, and the steps taken are the binary digits of how many there were.

    Latency `LATENCY` cycles in which `enable` is high (magnitude, long steps, short steps), throughput 1.

    Parameters
    ----------
    accumulator_bits
        Width of the sum, at least 2.
    width
        Width of the significand.

    Members
    -------
    enable : In(1)
        The registers take new values.
    sum : In(signed(accumulator_bits))
    exponent : In(signed(10))
    poisoned : In(1)
    normalised : Out(normalised_layout(width))

    Raises
    ------
    ValueError
        If the accumulator is wider than 64 bits, which exponents are made for, or narrower than 2.
    """

    LATENCY = 3

    def __init__(self, accumulator_bits: int, width: int) -> None:
        if not 2 <= accumulator_bits <= 64:
            raise ValueError(f"accumulator_bits must be 2 to 64, not {accumulator_bits}")
        self.accumulator_bits, self.width = accumulator_bits, width
        super().__init__({
            "enable": In(1),
            "sum": In(signed(accumulator_bits)),
            "exponent": In(signed(EXPONENT_BITS)),
            "poisoned": In(1),
            "normalised": Out(normalised_layout(width)),
        })

    @property
    def shared_name(self) -> str:
        return f"normaliser_{self.accumulator_bits}_{self.width}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        bits = self.accumulator_bits
        steps = [1 << k for k in reversed(range((bits - 1).bit_length()))]
        stages = [steps[: len(steps) // 2], steps[len(steps) // 2 :]]

        negative = self.sum < 0
        magnitude: Value = Mux(negative, -self.sum, self.sum)[:bits]
        carried = Cat(self.exponent, negative, self.poisoned)
        zeros: list[Value] = []
        for number, taken in enumerate([[], *stages]):
            found: list[Value] = []
            for step in taken:
                empty = Signal(name=f"empty_{step}")
                m.d.comb += empty.eq(~magnitude[-step:].any())
                shifted = Signal(bits, name=f"shifted_{step}")
                m.d.comb += shifted.eq(Mux(empty, magnitude << step, magnitude))
                found, magnitude = [empty, *found], shifted
            zeros = [*found, *zeros]
            if number == len(stages):
                break
            held = [Signal(len(v), name=f"{name}_{number}", reset_less=True) for name, v in
                    [("magnitude", magnitude), ("carried", carried), ("zeros", Cat(zeros))]]  # fmt: skip
            with m.If(self.enable):
                m.d.sync += [register.eq(v) for register, v in zip(held, (magnitude, carried, Cat(zeros)), strict=True)]
            magnitude, carried, zeros = held[0], held[1], [*held[2]]

        exponent = carried[:EXPONENT_BITS].as_signed()
        kept = Cat(Const(0, max(self.width - bits, 0)), magnitude[-min(self.width, bits) :])
        leading = exponent + (bits - 1) - Cat(zeros)
        result = Signal(normalised_layout(self.width), reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                result.significand.eq(kept),
                result.sticky.eq(magnitude[: max(bits - self.width, 0)].any()),
                result.exponent.eq(Mux(magnitude[-1], leading, -(1 << LEADING_BITS - 1))),
                Cat(result.negative, result.poisoned).eq(carried[EXPONENT_BITS:]),
            ]
        m.d.comb += self.normalised.eq(result)
        return m
