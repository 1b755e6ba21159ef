"""Accumulators to sign, exponent and significand: what rounding to any format starts from."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .formats import Format
from .rounding import RANDOM_BITS

__all__ = ["EXPONENT_BITS", "ZERO_EXPONENT", "Normaliser", "normalised_layout", "significand_bits"]

EXPONENT_BITS = 10
"""Width of an accumulator's exponent: two anchors, two steps and the bits below the unit."""

LEADING_BITS = EXPONENT_BITS + 1
"""Width of the exponent of a leading one, which a block's scale may be subtracted from."""

ZERO_EXPONENT = -(1 << LEADING_BITS - 1)
"""Exponent of a normalised zero: less than any other value's."""

GROUP_BITS = 8
"""Bits that are looked at as one before the leading one is looked for: about the root of their number."""


def significand_bits(targets: tuple[Format, ...]) -> int:
    """Give the bits of a significand that rounding to any of the targets needs, besides sticky."""
    return max(target.mantissa_bits for target in targets) + 1 + RANDOM_BITS


def normalised_layout(width: int) -> data.StructLayout:
    """Give the layout of a normalised value: (-1)**negative * significand * 2**(exponent - width + 1), and a little more.

    The top bit of the significand is set unless the value is zero, and then `exponent` is `ZERO_EXPONENT`. `sticky` says
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

    The leading one is found on the way, in two digits: the highest group of 8 bits that is not empty is shifted to the top, and
    then its highest one. The group's number and the bit's are the digits of the leading one's place, which `exponent` is added to.

    Latency `LATENCY` cycles in which `enable` is high (magnitude, group, bit), throughput 1.

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
        groups = -(-self.accumulator_bits // GROUP_BITS)
        bits = groups * GROUP_BITS

        # Magnitude.
        negative = self.sum < 0
        magnitude = Signal(bits, reset_less=True)
        state = data.StructLayout({"exponent": signed(EXPONENT_BITS), "negative": 1, "poisoned": 1})
        grouping, finding = Signal(state, reset_less=True), Signal(state, reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                magnitude.eq(((self.sum ^ negative.replicate(self.accumulator_bits)) + negative)[: self.accumulator_bits]),
                grouping.exponent.eq(self.exponent),
                grouping.negative.eq(negative),
                grouping.poisoned.eq(self.poisoned),
            ]

        # Group.
        filled = [magnitude.word_select(number, GROUP_BITS).any() for number in range(groups)]
        grouped = Signal(bits, reset_less=True)
        group = Signal(range(groups), reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                grouped.eq(magnitude << GROUP_BITS * _of_last(filled, range(groups)[::-1])),
                group.eq(_of_last(filled, range(groups))),
                finding.eq(grouping),
            ]

        # Bit.
        top = grouped[-GROUP_BITS:]
        zeros = _of_last([*top], range(GROUP_BITS)[::-1])
        shifted = (grouped << zeros)[:bits]
        result = Signal(normalised_layout(self.width), reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                result.significand.eq(Cat(Const(0, max(self.width - bits, 0)), shifted[-min(self.width, bits) :])),
                result.sticky.eq(shifted[: max(bits - self.width, 0)].any()),
                result.exponent.eq(Mux(top.any(), finding.exponent + Cat(~zeros, group), ZERO_EXPONENT)),
                result.negative.eq(finding.negative),
                result.poisoned.eq(finding.poisoned),
            ]
        m.d.comb += self.normalised.eq(result)
        return m


def _of_last(flags: list[Value], numbers: range) -> Value:
    """Give the number that belongs to the last flag that is set, or to the first flag if none is."""
    found: Value = Const(numbers[0], range(len(flags)))
    for flag, number in zip(flags[1:], numbers[1:], strict=True):
        found = Mux(flag, Const(number, range(len(flags))), found)
    return found
