"""Requantisation in hardware: an accumulator to INT8, or unchanged."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACCUMULATOR_BITS, OPERAND_BITS
from ..numerics.requantise import BIAS_BITS, MAX_SHIFT, MULTIPLIER_BITS, PRODUCT_BITS, RECORD_BYTES, SUM_BITS
from .round import RoundingShifter

__all__ = ["REQUANTISER_RECORD", "RequantiserLane"]

SHIFT_BITS = MAX_SHIFT.bit_length()

REQUANTISER_RECORD = data.StructLayout({
    "bias": signed(BIAS_BITS),
    "multiplier": MULTIPLIER_BITS,
    "shift": SHIFT_BITS,
    "unused": 8 * RECORD_BYTES - BIAS_BITS - MULTIPLIER_BITS - SHIFT_BITS,
})
"""A column's parameters as they lie in memory. Only the lowest 6 bits of the shift count."""


class RequantiserLane(wiring.Component):
    """Requantise one accumulator.

        total   = accumulator + bias, or 0 if that is negative and `relu`
        result  = saturate(round_to_nearest_even(total * multiplier / 2**shift)), int8

    With `raw` the result is the accumulator itself: the same sum and product, with bias 0, multiplier 1 and shift 0.
    (A multiplier is never negative, so that rectifying the sum rectifies the product.)

    Latency 4 cycles in which `enable` is high (sum, product, shift, round), throughput 1.

    Members
    -------
    enable : In(1)
    accumulator : In(signed(32))
    record : In(REQUANTISER_RECORD)
    relu, raw : In(1)
    result : Out(32)
        int8 in the lowest 8 bits and zeros above, or the raw accumulator.
    """

    LATENCY = 4
    shared_name = "requantiser_lane"

    def __init__(self) -> None:
        super().__init__({
            "enable": In(1),
            "accumulator": In(signed(ACCUMULATOR_BITS)),
            "record": In(REQUANTISER_RECORD),
            "relu": In(1),
            "raw": In(1),
            "result": Out(ACCUMULATOR_BITS),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.shifter = shifter = RoundingShifter(PRODUCT_BITS, SHIFT_BITS, OPERAND_BITS)

        total = Signal(signed(SUM_BITS))
        m.d.comb += total.eq(self.accumulator + Mux(self.raw, 0, self.record.bias))

        sum_total = Signal(signed(SUM_BITS), reset_less=True)
        sum_multiplier = Signal(MULTIPLIER_BITS, reset_less=True)
        sum_shift = Signal(SHIFT_BITS, reset_less=True)
        product = Signal(signed(PRODUCT_BITS), reset_less=True)
        product_shift = Signal(SHIFT_BITS, reset_less=True)
        result = Signal(ACCUMULATOR_BITS, reset_less=True)
        raw = Signal(3, reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                raw.eq(Cat(self.raw, raw)),
                sum_total.eq(Mux(self.relu & (total < 0), 0, total)),
                sum_multiplier.eq(Mux(self.raw, 1, self.record.multiplier)),
                sum_shift.eq(Mux(self.raw, 0, self.record.shift)),
                product.eq(sum_total * sum_multiplier),
                product_shift.eq(sum_shift),
                result.eq(Mux(raw[2], shifter.quotient, shifter.result.as_unsigned())),
            ]
        m.d.comb += [
            shifter.enable.eq(self.enable),
            shifter.value.eq(product),
            shifter.shift.eq(product_shift),
            self.result.eq(result),
        ]
        return m
