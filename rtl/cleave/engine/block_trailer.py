"""What follows the elements of a row of results in blocks: the row's anchor, and the blocks' scales."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACCUMULATOR_BYTES, EngineConfig
from ..numerics.formats import E8M0
from .drain_layouts import result_layout, row_blocks
from .isa import Output

__all__ = ["BlockTrailer"]


class BlockTrailer(wiring.Component):
    """Add a beat, with more than `4 * drain_lanes` bytes several, to each row of output BLOCKS: its anchor, then a scale per block.

    Latency 0. Throughput 1, without the beats that are added.

    Members
    -------
    i : In(stream.Signature(result_layout(config)))
        With `scale` in the last beat of a block, and `anchor` in that of a row.
    o : Out(stream.Signature(result_layout(config)))
        Without `scale` and `anchor`.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(result_layout(config))),
            "o": Out(stream.Signature(result_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        given, beat_bytes = self.i.p.place, ACCUMULATOR_BYTES * self.config.drain_lanes
        blocks = row_blocks(self.config)
        adds, ends = Signal(), Signal()
        left = Signal(range(blocks + 2), init=1)  # bytes to be added: the anchor and the scales that have come
        offset = Signal.like(given.offset)
        anchor = Signal(E8M0.bits, reset_less=True)
        scales = Signal(E8M0.bits * blocks, reset_less=True)
        m.d.comb += ends.eq(left <= beat_bytes)
        with m.If(~adds):
            m.d.comb += [
                self.o.valid.eq(self.i.valid),
                self.i.ready.eq(self.o.ready),
                self.o.p.data.eq(self.i.p.data),
                self.o.p.place.eq(given),
                self.o.p.place.last.eq(given.last & (given.output != Output.BLOCKS)),
            ]
            with m.If(self.i.valid & self.o.ready & (given.output == Output.BLOCKS)):
                m.d.sync += [offset.eq(given.offset + given.count), anchor.eq(self.i.p.anchor), adds.eq(given.last)]
                with m.If(given.block_ends):
                    m.d.sync += left.eq(left + 1)
                    for block in range(blocks):
                        with m.If(left == block + 1):
                            m.d.sync += scales.word_select(block, E8M0.bits).eq(self.i.p.scale)
        with m.Else():
            m.d.comb += [
                self.o.valid.eq(1),
                self.o.p.data.eq(Cat(anchor, scales)),
                self.o.p.place.output.eq(Output.BLOCKS),
                self.o.p.place.offset.eq(offset),
                self.o.p.place.last.eq(ends),
                self.o.p.place.count.eq(Mux(ends, left, beat_bytes)),
            ]
            with m.If(self.o.ready):
                m.d.sync += [
                    Cat(anchor, scales).eq(Cat(anchor, scales) >> 8 * beat_bytes),
                    offset.eq(offset + beat_bytes),
                    left.eq(Mux(ends, 1, left - beat_bytes)),
                    adds.eq(~ends),
                ]
        return m
