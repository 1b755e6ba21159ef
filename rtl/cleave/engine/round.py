"""The one rounding of the machine: a right shift to nearest even, with saturation."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RoundingShifter"]


class RoundingShifter(wiring.Component):
    """Shift right and round to nearest even, exactly.

        quotient = floor(value / 2**shift)
        result   = saturate(round_to_nearest_even(value / 2**shift))

    The shifter keeps one bit below the quotient, the guard, and ORs all bits below it into the sticky bit; the value is
    rounded up where the guard is set and either the sticky bit or the quotient's lowest bit is. Rounding a quotient
    at or beyond an end of the result's range cannot bring it back inside, so that the increment needs only
    `result_bits` bits.

    Latency 1 cycle in which `enable` is high, throughput 1.

    Parameters
    ----------
    value_bits, shift_bits, result_bits
        Widths of the signed value, the unsigned shift and the signed result.

    Members
    -------
    enable : In(1)
        The registers take new values.
    value : In(signed(value_bits))
    shift : In(shift_bits)
    quotient : Out(signed(value_bits))
    result : Out(signed(result_bits))

    Raises
    ------
    ValueError
        If the result is wider than the value.
    """

    def __init__(self, value_bits: int, shift_bits: int, result_bits: int) -> None:
        if not 2 <= result_bits <= value_bits:
            raise ValueError(f"result_bits must be 2 to value_bits ({value_bits}), not {result_bits}")
        self.value_bits, self.shift_bits, self.result_bits = value_bits, shift_bits, result_bits
        super().__init__({
            "enable": In(1),
            "value": In(signed(value_bits)),
            "shift": In(shift_bits),
            "quotient": Out(signed(value_bits)),
            "result": Out(signed(result_bits)),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        # One level per bit of the shift; the guard is the lowest bit, and what leaves below it is sticky.
        shifted = Cat(Const(0, 1), self.value).as_signed()
        sticky = Const(0, 1)
        for level, step in enumerate(1 << bit for bit in range(self.shift_bits)):
            taken = self.shift[level]
            after = Signal(signed(self.value_bits + 1), name=f"shifted_{step}")
            lost = Signal(name=f"lost_{step}")
            m.d.comb += [
                after.eq(Mux(taken, shifted >> step, shifted)),
                lost.eq(sticky | (taken & shifted[:step].any())),
            ]
            shifted, sticky = after, lost

        kept = Signal(self.value_bits + 1, reset_less=True)
        inexact = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += [kept.eq(shifted), inexact.eq(sticky)]

        guard = kept[0]
        largest = (1 << (self.result_bits - 1)) - 1
        m.d.comb += self.quotient.eq(kept[1:].as_signed())
        with m.If(self.quotient >= largest):
            m.d.comb += self.result.eq(largest)
        with m.Elif(self.quotient < -largest - 1):
            m.d.comb += self.result.eq(-largest - 1)
        with m.Else():
            m.d.comb += self.result.eq(self.quotient + (guard & (inexact | self.quotient[0])))
        return m
