"""The AXI4 write master: byte ranges and their words in, bursts out, responses counted."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .axi import BURST_INCR, CACHE_NORMAL, ID_LOAD, OKAY, Axi4Write
from .burst import Bursts, transfer_layout
from .drain_layouts import aligned_layout

__all__ = ["OUTSTANDING", "AxiWriter", "write_layout"]

OUTSTANDING = 32
"""Most bursts whose response has not come yet."""


def write_layout(config: EngineConfig) -> data.StructLayout:
    """A range of bytes to write; `last` of its job."""
    return data.StructLayout({"transfer": transfer_layout(config), "last": 1})


class AxiWriter(wiring.Component):
    """Write ranges of bytes to memory.

    AW runs ahead of W, and both ahead of the responses, by up to `OUTSTANDING` bursts. Addresses are aligned; bytes
    outside a range have no strobe. Every burst that is started is finished: after `stop` the beats that are missing are
    sent without strobes.

    Latency: a burst stands on AW 2 cycles after its range was accepted, and its first beat on W 2 cycles later, if its
    word is there. Throughput: one burst and one beat per cycle.

    Members
    -------
    write : In(stream.Signature(write_layout(config)))
    i : In(stream.Signature(aligned_layout(config)))
        The words that the ranges touch, in order.
    stop : In(1)
        Start no burst; once high it stays so until reset.
    axi : Out(Axi4Write(axi_address_width, axi_data_width))
    done : Out(1)
        Pulse: all of a job's responses have come.
    error : Out(1)
        Pulse: a response of the oldest job that is not done was not OKAY.
    busy : Out(1)
        A burst waits for its response, or has yet to be sent.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "write": In(stream.Signature(write_layout(config))),
            "i": In(stream.Signature(aligned_layout(config))),
            "stop": In(1),
            "axi": Out(Axi4Write(config.axi_address_width, config.axi_data_width)),
            "done": Out(1),
            "error": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        aw, w, b = self.axi.aw, self.axi.w, self.axi.b
        m.submodules.bursts = bursts = Bursts(self.config)
        m.submodules.lengths = lengths = SyncFIFOBuffered(width=len(aw.len), depth=OUTSTANDING)
        m.submodules.finals = finals = SyncFIFOBuffered(width=1, depth=OUTSTANDING)

        # Cut ranges into bursts.
        last_range = Signal()
        m.d.comb += [
            bursts.cancel.eq(self.stop),
            bursts.transfer.valid.eq(self.write.valid),
            bursts.transfer.payload.eq(self.write.payload.transfer),
            self.write.ready.eq(bursts.transfer.ready),
        ]
        with m.If(bursts.transfer.valid & bursts.transfer.ready):
            m.d.sync += last_range.eq(self.write.payload.last)

        # AW, one register; the burst's length goes to W, and whether it is its job's final one to B.
        burst = bursts.burst.payload
        start = Signal()
        m.d.comb += [
            bursts.burst.ready.eq((~aw.valid | aw.ready) & lengths.w_rdy & finals.w_rdy),
            start.eq(bursts.burst.valid & bursts.burst.ready),
            lengths.w_en.eq(start),
            lengths.w_data.eq(burst.len),
            finals.w_en.eq(start),
            finals.w_data.eq(burst.final & last_range),
            aw.id.eq(ID_LOAD),
            aw.size.eq((self.config.axi_bytes - 1).bit_length()),
            aw.burst.eq(BURST_INCR),
            aw.cache.eq(CACHE_NORMAL),
            aw.prot.eq(0),
        ]
        with m.If(start):
            m.d.sync += [aw.valid.eq(1), aw.addr.eq(burst.address), aw.len.eq(burst.len)]
        with m.Elif(aw.ready):
            m.d.sync += aw.valid.eq(0)

        # W, one register.
        count = Signal.like(aw.len)
        free, ends = Signal(), Signal()
        m.d.comb += [
            free.eq(lengths.r_rdy & (~w.valid | w.ready)),
            ends.eq(count == lengths.r_data),
            self.i.ready.eq(free & ~self.stop),
            lengths.r_en.eq(free & (self.i.valid | self.stop) & ends),
        ]
        with m.If(free & (self.i.valid | self.stop)):
            m.d.sync += [
                w.valid.eq(1),
                w.data.eq(self.i.payload.data),
                w.strb.eq(Mux(self.stop, 0, self.i.payload.strobe)),
                w.last.eq(ends),
                count.eq(Mux(ends, 0, count + 1)),
            ]
        with m.Elif(w.ready):
            m.d.sync += w.valid.eq(0)

        # B is always taken.
        m.d.comb += [
            b.ready.eq(1),
            finals.r_en.eq(b.valid),
            self.done.eq(b.valid & finals.r_rdy & finals.r_data),
            self.error.eq(b.valid & finals.r_rdy & (b.resp != OKAY)),
            self.busy.eq(finals.level != 0),
        ]
        return m
