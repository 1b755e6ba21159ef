"""Queues of structured words, first word falling through."""

from amaranth.hdl import Elaboratable, Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["Queue", "SkidBuffer"]


class Queue(wiring.Component):
    """First-in first-out queue; one word in and one word out per cycle, latency 2 cycles when empty.

    Parameters
    ----------
    layout
        Shape of a word.
    depth
        Words that it holds, at least 2.

    Members
    -------
    i : In(stream), o : Out(stream)
    held : Out(1)
        It holds a word, even if that is not at `o` yet.
    """

    def __init__(self, layout: ShapeLike, depth: int) -> None:
        self.layout, self.depth = layout, depth
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout)), "held": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=len(self.i.p.as_value()), depth=self.depth)
        m.d.comb += [
            fifo.w_data.eq(self.i.p),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.p.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
            self.held.eq(fifo.level != 0),
        ]
        return m


class SkidBuffer(wiring.Component):
    """Two registers behind a pipeline that stops as a whole: `ready` comes from one of them, and no path leads through.

    Latency 1 cycle, throughput 1.

    Parameters
    ----------
    layout
        Shape of a word.

    Members
    -------
    i : In(stream), o : Out(stream)
    """

    def __init__(self, layout: ShapeLike) -> None:
        self.layout = layout
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        first, spare = Signal(self.layout, reset_less=True), Signal(self.layout, reset_less=True)
        first_valid, spare_valid = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(~spare_valid), self.o.valid.eq(first_valid), self.o.p.eq(first)]
        with m.If(self.o.ready | ~first_valid):
            m.d.sync += [
                first.eq(Mux(spare_valid, spare, self.i.p)),
                first_valid.eq(spare_valid | self.i.valid),
                spare_valid.eq(0),
            ]
        with m.Elif(self.i.valid & ~spare_valid):
            m.d.sync += [spare.eq(self.i.p), spare_valid.eq(1)]
        return m
