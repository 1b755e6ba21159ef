"""From accumulators to results: `drain_lanes` per cycle, unchanged, requantised or rounded."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from ..hdl import delay, share, stages
from ..memory.ram import Ram1r1w, WritePort
from ..numerics.requantise import RECORD_BYTES
from .drain_layouts import by_size, placed_layout, result_layout
from .isa import Output
from .queue import SkidBuffer
from .requantiser import RequantiserLane
from .rounding_lane import ROUNDING_RECORD
from .rounding_unit import RoundingUnit

__all__ = ["DrainConverter"]

RECORD_BITS = 8 * RECORD_BYTES


class DrainConverter(wiring.Component):
    """Make results of beats of `drain_lanes` accumulators with the parameters of their columns and rows.

    Holds the parameter memories: lane l of a beat has the l-th record of the word that the beat names, and a row's record,
    read with its first beat, serves all of them. Beats with output INT32 pass unchanged. The pipeline stops as a whole while
    its results are not taken, one cycle after that.

    Latency 3 cycles (memory, register, output) and that of `RequantiserLane` or `RoundingUnit`, which results are not delayed to
    match: where one kind of output follows another, its first beat waits until the last one of the other has left. Throughput 1.

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
        m.submodules.output = output = SkidBuffer(result_layout(config))
        connect(m, flipped(self.parameters), memory.write)
        connect(m, output.o, flipped(self.o))

        # Read the parameters.
        advance, accept = Signal(), Signal()
        read, ready = (Signal(placed_layout(config), name=name, reset_less=True) for name in ("read", "ready"))
        read_valid, ready_valid = Signal(), Signal()
        records = Signal(data.ArrayLayout(RECORD_BITS, config.drain_lanes), reset_less=True)
        m.d.comb += [
            advance.eq(output.i.ready),
            accept.eq(self.i.valid & self.i.ready),
            memory.read.enable.eq(accept & (self.i.payload.place.output != Output.INT32)),
            memory.read.address.eq(self.i.payload.parameters),
        ]
        with m.If(advance):
            m.d.sync += [
                read_valid.eq(accept),
                ready_valid.eq(read_valid),
                read.eq(self.i.payload),
                ready.eq(read),
                records.eq(memory.read.data),
            ]

        # Requantise.
        results: list[Value] = []
        for number in range(config.drain_lanes):
            m.submodules[f"lane_{number}"] = lane = share(platform, RequantiserLane())
            m.d.comb += [
                lane.enable.eq(advance),
                lane.accumulator.eq(ready.accumulators[number]),
                lane.record.eq(records[number]),
                lane.relu.eq(ready.relu),
                lane.raw.eq(ready.place.output == Output.INT32),
            ]
            results.append(lane.result)
        rounds = (ready.place.output >= Output.ROUNDED) if config.block_scales else Const(0)
        requantised = stages(m, "requantised", ready_valid & ~rounds, RequantiserLane.LATENCY, advance)
        place = delay(m, "place", ready.place, RequantiserLane.LATENCY, advance)
        busy = read_valid | ready_valid | requantised.any()

        # Round, after all that has been requantised has left.
        result, others = output.i.payload, Const(0)
        m.d.comb += output.i.valid.eq(requantised[-1])
        if config.block_scales:
            unit = self._rounding(m, platform, advance, accept, read, ready, records)
            kind, given = Signal(2), self.i.payload.place.output
            given_kind = Cat(given == Output.ROUNDED, given == Output.BLOCKS)
            with m.If(accept):
                m.d.sync += kind.eq(given_kind)
            others = (kind != given_kind) & (busy | unit.busy)
            rounded = unit.o.valid
            results = [Mux(rounded, code, result) for code, result in zip(unit.o.codes, results, strict=True)]
            place = data.View(ready.place.shape(), Mux(rounded, unit.o.place, place))
            m.d.comb += [
                unit.i.valid.eq(ready_valid & rounds),
                output.i.valid.eq(requantised[-1] | rounded),
                result.scale.eq(unit.o.scale),
                result.anchor.eq(unit.o.anchor),
            ]
        m.d.comb += [
            self.i.ready.eq(advance & ~others),
            result.place.eq(place),
            result.data.eq(by_size(place, lambda size: Cat(result[: 8 * size] for result in results))),
        ]
        return m

    def _rounding(
        self, m: Module, platform: object, advance: Value, accept: Value, read: data.View, ready: data.View, records: data.View
    ) -> RoundingUnit:
        """Add the rounding unit. The row's record is there in the cycle in which the columns' are."""
        config, lanes, size = self.config, self.config.drain_lanes, ROUNDING_RECORD.size
        memory = share(platform, Ram1r1w(config.parameter_depth, size * lanes))
        m.submodules.row_memory = memory
        m.submodules.rounding = unit = RoundingUnit(config)
        beat, port = self.i.payload, self.row_parameters
        row = Signal(ROUNDING_RECORD, reset_less=True)
        m.d.comb += [
            memory.write.enable.eq(port.enable),
            memory.write.address.eq(port.address),
            memory.write.data.eq(Cat(port.data.word_select(number, RECORD_BITS)[:size] for number in range(lanes))),
            memory.read.enable.eq(accept & beat.first & (beat.place.output >= Output.ROUNDED)),
            memory.read.address.eq(beat.row.word),
            unit.enable.eq(advance),
            unit.i.accumulators.eq(ready.accumulators),
            *(unit.i.columns[number].eq(records[number]) for number in range(lanes)),
            unit.i.row.eq(row),
            unit.i.relu.eq(ready.relu),
            unit.i.wanted.eq(ready.wanted),
            unit.i.scale_up.eq(ready.scale_up),
            unit.i.place.eq(ready.place),
        ]
        with m.If(advance):
            m.d.sync += row.eq(memory.read.data.word_select(read.row.number, size))
        return unit
