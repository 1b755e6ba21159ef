"""The address of each beat of a drain: its parameters, and its bytes in the bus word."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .drain_layouts import by_size, job_layout, place_layout, placed_layout, read_layout
from .ports import Window

__all__ = ["LanePlacer"]


class LanePlacer(wiring.Component):
    """Say of each beat which parameters it needs, how many bytes it makes and where in a bus word they start.

    Beat k of a job's row r has its parameters at `parameters + k`, and its bytes at address
    `base + memory + r * stride + k * drain_lanes * size`, where `size` is the bytes of a result; only the address's lowest
    bits are computed here. The record of row r, for results that are rounded, is the r-th from word `row_parameters` on,
    `drain_lanes` to a word. Blocks of columns begin anew in each row. Latency 0, throughput 1, also from one job to the next.

    Members
    -------
    job : In(stream.Signature(job_layout(config)))
        A job is accepted with the last beat of the one before.
    window : In(Window(config))
    i : In(stream.Signature(read_layout(config)))
    o : Out(stream.Signature(placed_layout(config)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "window": In(Window(config)),
            "i": In(stream.Signature(read_layout(config))),
            "o": Out(stream.Signature(placed_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        lanes = self.config.drain_lanes
        job = Signal(job_layout(self.config))
        active = Signal()
        left, parameters = Signal.like(job.rows), Signal.like(job.parameters)
        offset = Signal(place_layout(self.config)["offset"].shape)
        row_offset, next_row = Signal.like(offset), Signal.like(offset)
        transfer, job_ends = Signal(), Signal()
        columns = Mux(self.i.payload.last, job.tail, lanes)
        m.d.comb += [
            self.o.valid.eq(active & self.i.valid),
            self.i.ready.eq(active & self.o.ready),
            transfer.eq(self.o.valid & self.o.ready),
            self.o.payload.accumulators.eq(self.i.payload.accumulators),
            self.o.payload.parameters.eq(parameters),
            self.o.payload.relu.eq(job.relu),
            self.o.payload.place.output.eq(job.output),
            self.o.payload.place.count.eq(by_size(job, lambda size: columns * size)),
            self.o.payload.place.offset.eq(offset),
            self.o.payload.place.last.eq(self.i.payload.last),
            next_row.eq(row_offset + job.stride),
            job_ends.eq(transfer & self.i.payload.last & (left == 1)),
            self.job.ready.eq(~active | job_ends),
        ]
        with m.If(transfer):
            m.d.sync += [
                parameters.eq(parameters + 1),
                offset.eq(offset + by_size(job, lambda size: lanes * size)),
            ]
            with m.If(self.i.payload.last):
                m.d.sync += [
                    parameters.eq(job.parameters),
                    offset.eq(next_row),
                    row_offset.eq(next_row),
                    left.eq(left - 1),
                ]
        with m.If(self.job.ready):
            m.d.sync += active.eq(self.job.valid)
        with m.If(self.job.ready & self.job.valid):
            start = self.window.base + self.job.payload.memory
            m.d.sync += [
                job.eq(self.job.payload),
                left.eq(self.job.payload.rows),
                parameters.eq(self.job.payload.parameters),
                offset.eq(start),
                row_offset.eq(start),
            ]
        if self.config.block_scales:
            self._place_row(m, job, transfer)
        return m

    def _place_row(self, m: Module, job: data.View, transfer: Value) -> None:
        """Say where the record of each row is, and where blocks end."""
        row = Signal.like(self.o.payload.row)
        beat = Signal(range(self.config.block_beats))
        block_ends = self.i.payload.last | (beat == self.config.block_beats - 1)
        first = Signal(init=1)
        m.d.comb += [
            self.o.payload.first.eq(first),
            self.o.payload.row.eq(row),
            self.o.payload.wanted.eq(job.wanted),
            self.o.payload.scale_up.eq(job.scale_up),
            self.o.payload.place.size.eq(job.size),
            self.o.payload.place.block_ends.eq(block_ends),
        ]
        with m.If(transfer):
            m.d.sync += [first.eq(self.i.payload.last), beat.eq(Mux(block_ends, 0, beat + 1))]
            with m.If(self.i.payload.last):
                m.d.sync += row.number.eq(row.number + 1)
                with m.If(row.number == self.config.drain_lanes - 1):
                    m.d.sync += [row.number.eq(0), row.word.eq(row.word + 1)]
        with m.If(self.job.ready & self.job.valid):
            m.d.sync += [row.word.eq(self.job.payload.row_parameters), row.number.eq(0)]
