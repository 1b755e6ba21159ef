"""From accumulators to results: `drain_lanes` per cycle, unchanged, requantised or rounded."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from ..hdl import delay, share
from ..memory.ram import Ram1r1w, WritePort
from ..numerics.requantise import RECORD_BYTES
from .drain_layouts import by_size, place_layout, placed_layout, result_layout
from .isa import Output
from .requantiser import RequantiserLane
from .rounding_lane import ROUNDING_RECORD, RoundingLane

__all__ = ["DrainConverter"]

RECORD_BITS = 8 * RECORD_BYTES


class DrainConverter(wiring.Component):
    """Make results of beats of `drain_lanes` accumulators with the parameters of their columns and rows.

    Holds the parameter memories: lane l of a beat has the l-th record of the word that the beat names, and a row's record,
    read with its first beat, serves all of them. Beats with output INT32 pass unchanged. The pipeline stops as a whole while
    its result is not taken.

    Latency `latency` cycles (memory, register, lane), throughput 1.

    Members
    -------
    parameters : In(WritePort(parameter_depth, 64 * drain_lanes))
        A word must not be written in the cycle in which a beat that needs it is accepted.
    row_parameters : In(WritePort(parameter_depth, 64 * drain_lanes))
        Likewise. Only with `block_scales`.
    i : In(stream.Signature(placed_layout(config)))
    o : Out(stream.Signature(result_layout(config)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.lane_latency = max(RequantiserLane.LATENCY, RoundingLane.LATENCY) if config.block_scales else RequantiserLane.LATENCY
        self.latency = self.lane_latency + 2
        port = In(WritePort(config.parameter_depth, RECORD_BITS * config.drain_lanes))
        super().__init__({
            "parameters": port,
            **({"row_parameters": port} if config.block_scales else {}),
            "i": In(stream.Signature(placed_layout(config))),
            "o": Out(stream.Signature(result_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        m.submodules.memory = memory = share(platform, Ram1r1w(config.parameter_depth, RECORD_BITS * config.drain_lanes))
        connect(m, flipped(self.parameters), memory.write)

        advance = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            memory.read.enable.eq(advance & self.i.valid & (self.i.payload.place.output != Output.INT32)),
            memory.read.address.eq(self.i.payload.parameters),
        ]
        valid = Signal(self.latency)
        read = Signal(placed_layout(config), reset_less=True)
        ready = Signal(placed_layout(config), reset_less=True)
        records = Signal(data.ArrayLayout(RECORD_BITS, config.drain_lanes), reset_less=True)
        places = [
            Signal(place_layout(config), name=f"place_{stage}", reset_less=True)
            for stage in range(self.lane_latency)
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

        raw = Signal()
        m.d.comb += raw.eq(ready.place.output == Output.INT32)
        results: list[Value] = []
        for number in range(config.drain_lanes):
            m.submodules[f"lane_{number}"] = lane = share(platform, RequantiserLane())
            m.d.comb += [
                lane.enable.eq(advance),
                lane.accumulator.eq(ready.accumulators[number]),
                lane.record.eq(records[number]),
                lane.relu.eq(ready.relu),
                lane.raw.eq(raw),
            ]
            results.append(lane.result)
        if config.block_scales:
            codes = self._rounded(m, platform, advance, read, ready, records)
            is_rounded = places[-1].output == Output.ROUNDED
            results = [
                Mux(is_rounded, code, delay(m, f"late_{number}", result, self.lane_latency - RequantiserLane.LATENCY, advance))
                for number, (code, result) in enumerate(zip(codes, results, strict=True))
            ]
        m.d.comb += self.o.payload.data.eq(
            by_size(places[-1], lambda size: Cat(result[: 8 * size] for result in results))
        )
        return m

    def _rounded(
        self, m: Module, platform: object, advance: Value, read: data.View, ready: data.View, records: data.View
    ) -> list[Value]:
        """Give the lanes' codes. The row's record is there in the cycle in which the columns' are."""
        config = self.config
        memory = share(platform, Ram1r1w(config.parameter_depth, ROUNDING_RECORD.size * config.drain_lanes))
        m.submodules.row_memory = memory
        beat, port = self.i.payload, self.row_parameters
        row = Signal(ROUNDING_RECORD, reset_less=True)
        m.d.comb += [
            memory.write.enable.eq(port.enable),
            memory.write.address.eq(port.address),
            memory.write.data.eq(Cat(
                port.data.word_select(number, RECORD_BITS)[: ROUNDING_RECORD.size] for number in range(config.drain_lanes)
            )),
            memory.read.enable.eq(advance & self.i.valid & beat.first & (beat.place.output == Output.ROUNDED)),
            memory.read.address.eq(beat.row.word),
        ]
        with m.If(advance):
            m.d.sync += row.eq(memory.read.data.word_select(read.row.number, ROUNDING_RECORD.size))
        codes = []
        for number in range(config.drain_lanes):
            m.submodules[f"rounding_{number}"] = lane = share(platform, RoundingLane(config.accumulator_bits))
            m.d.comb += [
                lane.enable.eq(advance),
                lane.accumulator.eq(ready.accumulators[number]),
                lane.row.eq(row),
                lane.column.eq(records[number]),
                lane.relu.eq(ready.relu),
                lane.wanted.eq(ready.wanted),
            ]
            codes.append(lane.code)
        return codes
