"""Requantised rows cut into moving words, one slab further south each."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import OPERAND_BITS, EngineConfig
from .drain_layouts import job_layout, result_layout, row_beats
from .isa import Destination
from .ports import chunk_layout

__all__ = ["SegmentPacker"]


class SegmentPacker(wiring.Component):
    """Collect a row's bytes, and write them to the moving banks.

    Bytes [j * R, (j + 1) * R) of a row, R the slab's rows, are its segment j, filled up with zeros. Segment j of row r
    goes to word `address + r` of the slabs `mask << j`, with `segments` of them in a chunk; `mask` and `address` are
    bits 0 to 29 and 32 to 47 of the job's `memory`.

    Throughput: a row takes a cycle for each of its beats, and one for each of its chunks but the last, which leaves
    while the next row's first beat comes in.

    Members
    -------
    job : In(stream.Signature(job_layout(config)))
        With output MOVING.
    i : In(stream.Signature(result_layout(config)))
        One int8 per lane.
    o : Out(stream.Signature(chunk_layout(config)))
    done : Out(1)
        A job's last chunk is accepted in this cycle.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "i": In(stream.Signature(result_layout(config))),
            "o": Out(stream.Signature(chunk_layout(config))),
            "done": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, array = self.config, self.config.array
        lanes, segments = config.drain_lanes, config.segments
        row_bytes = min(array.columns, array.slabs * array.rows)
        chunks = -(-row_bytes // (segments * array.rows))

        job = Signal(job_layout(config))
        active = Signal()
        left, address = Signal.like(job.rows), Signal(16)
        beat = Signal(range(row_beats(config)))
        full = Signal()
        # [chunk][byte], held from a row's first beat to its last chunk
        row = Signal(data.ArrayLayout(8 * segments * array.rows, chunks))
        segment = Signal(range(array.slabs + segments))  # the chunk's first
        slabs = Signal(array.slabs)  # of that segment
        chunk = Signal(range(max(2, chunks)))

        collect, give, gone = Signal(), Signal(), Signal()
        last_chunk = segment + segments > job.last_segment
        m.d.comb += [
            self.job.ready.eq(~active),
            give.eq(full & self.o.ready),
            gone.eq(give & last_chunk),
            self.done.eq(gone & (left == 1)),
            self.i.ready.eq(active & (~full | (gone & (left != 1)))),
            collect.eq(self.i.ready & self.i.valid),
        ]

        # Collect: a row's first beat clears the rest of it, and lanes past its last column are 0.
        place = self.i.payload.place
        results = Cat(
            Mux(lane < place.count, self.i.payload.data.word_select(lane, OPERAND_BITS), 0) for lane in range(lanes)
        )
        for number in range(row_beats(config)):
            with m.If(collect & (beat == number)):
                if number == 0:
                    m.d.sync += row.as_value().eq(0)
                m.d.sync += row.as_value()[OPERAND_BITS * lanes * number:][:len(results)].eq(results)
        with m.If(collect):
            m.d.sync += beat.eq(Mux(place.last, 0, beat + 1))

        # Give out.
        m.d.comb += [
            self.o.valid.eq(full),
            self.o.payload.destination.eq(Destination.MOVING),
            self.o.payload.address.eq(address),
            self.o.payload.data.eq(row[chunk]),
        ]
        for j in range(segments):
            m.d.comb += self.o.payload.slabs[j].eq(Mux(segment + j <= job.last_segment, slabs << j, 0))
        with m.If(give):
            m.d.sync += [chunk.eq(chunk + 1), segment.eq(segment + segments), slabs.eq(slabs << segments)]
        with m.If(gone):
            m.d.sync += [full.eq(0), chunk.eq(0), segment.eq(0), slabs.eq(job.memory)]
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
            with m.If(left == 1):
                m.d.sync += active.eq(0)
        with m.If(collect & place.last):
            m.d.sync += full.eq(1)

        with m.If(self.job.ready & self.job.valid):
            m.d.sync += [
                active.eq(1),
                job.eq(self.job.payload),
                left.eq(self.job.payload.rows),
                address.eq(self.job.payload.memory[32:]),
                slabs.eq(self.job.payload.memory),
            ]
        return m
