"""The memory rows of a drain: their addresses, checked against the window."""

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACCUMULATOR_BYTES, BLOCK, EngineConfig
from .axi_write import write_layout
from .drain_layouts import by_size, job_layout
from .isa import Output
from .ports import Window

__all__ = ["DrainRows"]

OFFSET_BITS = 49
"""Width of a byte offset that may be past the window by the two rows that are ahead of the check."""


class DrainRows(wiring.Component):
    """Give out the byte range of each of a job's rows, as long as they are inside the window.

    Row r is the bytes [memory + r * stride, + size * columns) of the window, with `size` the bytes of a result; with output BLOCKS
    it has one more, and one for each block.
    Latency 2 cycles, throughput one row per cycle.

    Members
    -------
    job : In(stream.Signature(job_layout(config)))
        With a memory output. Accepted when all rows of the one before have been given out.
    window : In(Window(config))
        Constant while there are jobs.
    stop : In(1)
        Give out and report nothing. High from the cycle after `outside` on.
    write : Out(stream.Signature(write_layout(config)))
    outside : Out(1)
        In place of the first row that is not wholly inside the window or whose address does not fit the bus.
    index : Out(32)
        The job's.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "window": In(Window(config)),
            "stop": In(1),
            "write": Out(stream.Signature(write_layout(config))),
            "outside": Out(1),
            "index": Out(32),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        window = self.window
        job = Signal(job_layout(self.config))
        left = Signal.like(job.rows)
        offset = Signal(OFFSET_BITS)
        last_byte = Signal(range(ACCUMULATOR_BYTES * self.config.array.columns))

        row_valid = Signal()
        row = Signal(data.StructLayout({"offset": OFFSET_BITS, "end": OFFSET_BITS, "last": 1}))  # `end`: its last byte
        free, inside = Signal(), Signal()
        m.d.comb += [
            self.job.ready.eq((left == 0) & ~row_valid),
            free.eq(~row_valid | (self.write.valid & self.write.ready)),
            last_byte.eq(by_size(job, lambda size: job.columns * size) - 1),
        ]
        if self.config.block_scales:
            with m.If(job.output == Output.BLOCKS):
                m.d.comb += last_byte.eq(job.columns + ((job.columns + (BLOCK - 1)) >> (BLOCK - 1).bit_length()))
        with m.If(self.job.ready & self.job.valid):
            m.d.sync += [job.eq(self.job.payload), left.eq(self.job.payload.rows), offset.eq(self.job.payload.memory)]
        with m.If(free):
            m.d.sync += [
                row_valid.eq(left != 0),
                row.offset.eq(offset),
                row.end.eq(offset + last_byte),
                row.last.eq(left == 1),
            ]
            with m.If(left != 0):
                m.d.sync += [left.eq(left - 1), offset.eq(offset + job.stride)]

        m.d.comb += [
            inside.eq((row.end < window.size) & ~(window.base + row.end)[self.config.axi_address_width:].any()),
            self.write.valid.eq(row_valid & inside & ~self.stop),
            self.write.payload.transfer.address.eq(window.base + row.offset),
            self.write.payload.transfer.last.eq(last_byte),
            self.write.payload.last.eq(row.last),
            self.outside.eq(row_valid & ~inside & ~self.stop),
            self.index.eq(job.index),
        ]
        return m
