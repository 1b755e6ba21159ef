"""A queue of structured words, first word falling through."""

from amaranth.hdl import Elaboratable, Module, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


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
