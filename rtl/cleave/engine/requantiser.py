"""Requantisation in hardware: `drain_lanes` accumulators per cycle to INT8, or unchanged."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import ACCUMULATOR_BITS, OPERAND_BITS, EngineConfig
from ..hdl import share
from ..memory.ram import Ram1r1w, WritePort
from ..numerics.requantise import BIAS_BITS, MAX_SHIFT, MULTIPLIER_BITS, PRODUCT_BITS, RECORD_BYTES, SUM_BITS
from .drain_layouts import place_layout, placed_layout, result_layout
from .isa import Output
from .round import RoundingShifter

__all__ = ["RequantiserLane", "Requantiser"]

SHIFT_BITS = MAX_SHIFT.bit_length()

RECORD_LAYOUT = data.StructLayout({
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
    record : In(RECORD_LAYOUT)
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
            "record": In(RECORD_LAYOUT),
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


class Requantiser(wiring.Component):
    """Requantise beats of `drain_lanes` accumulators with the parameters of their columns.

    Holds the parameter memory: lane l of a beat has the l-th record of the word that the beat names. Beats with output
    INT32 pass unchanged. The pipeline stops as a whole while its result is not taken.

    Latency `LATENCY` cycles (memory, register, lane), throughput 1.

    Members
    -------
    parameters : In(WritePort(parameter_depth, 64 * drain_lanes))
        A word must not be written in the cycle in which a beat that needs it is accepted.
    i : In(stream.Signature(placed_layout(config)))
    o : Out(stream.Signature(result_layout(config)))
    """

    LATENCY = RequantiserLane.LATENCY + 2

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.memory_shape = (config.parameter_depth, 8 * RECORD_BYTES * config.drain_lanes)
        super().__init__({
            "parameters": In(WritePort(*self.memory_shape)),
            "i": In(stream.Signature(placed_layout(config))),
            "o": Out(stream.Signature(result_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        lanes = self.config.drain_lanes
        m.submodules.memory = memory = share(platform, Ram1r1w(*self.memory_shape))
        connect(m, flipped(self.parameters), memory.write)

        advance = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            memory.read.enable.eq(advance & self.i.valid & (self.i.payload.place.output != Output.INT32)),
            memory.read.address.eq(self.i.payload.parameters),
        ]
        valid = Signal(self.LATENCY)
        read = Signal(placed_layout(self.config), reset_less=True)
        ready = Signal(placed_layout(self.config), reset_less=True)
        records = Signal(data.ArrayLayout(RECORD_LAYOUT, lanes), reset_less=True)
        places = [
            Signal(place_layout(self.config), name=f"place_{stage}", reset_less=True)
            for stage in range(RequantiserLane.LATENCY)
        ]
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(self.i.valid, valid)),
                read.eq(self.i.payload),
                ready.eq(read),
                records.eq(memory.read.data),
                *(later.eq(place) for place, later in zip([ready.place, *places[:-1]], places, strict=True)),
            ]
        m.d.comb += [self.o.valid.eq(valid[-1]), self.o.payload.place.eq(places[-1])]

        raw, raw_out = Signal(), Signal()
        m.d.comb += [
            raw.eq(ready.place.output == Output.INT32),
            raw_out.eq(places[-1].output == Output.INT32),
        ]
        results = []
        for number in range(lanes):
            m.submodules[f"lane_{number}"] = lane = share(platform, RequantiserLane())
            m.d.comb += [
                lane.enable.eq(advance),
                lane.accumulator.eq(ready.accumulators[number]),
                lane.record.eq(records[number]),
                lane.relu.eq(ready.relu),
                lane.raw.eq(raw),
            ]
            results.append(lane.result)
        m.d.comb += self.o.payload.data.eq(
            Mux(raw_out, Cat(results), Cat(result[:OPERAND_BITS] for result in results))
        )
        return m
