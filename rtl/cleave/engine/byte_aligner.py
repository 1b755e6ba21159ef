"""Rows of bytes packed into bus words, wherever in a word they start."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .drain_layouts import aligned_layout, result_layout

__all__ = ["ByteAligner"]


class ByteAligner(wiring.Component):
    """Put the bytes of beats into bus words: byte k of a beat at byte (offset + k) mod `axi_bytes`.

    A beat is rotated into place. Its bytes below the word's end join those that are held back from the beats before. A
    word leaves when it is full or its row ends, and what went past its end is held back for the next one. A row's words
    have strobes for exactly its bytes.

    Latency 1 cycle. Throughput: a beat and a word per cycle, and one more cycle where a row's last beat makes two
    words.

    Members
    -------
    i : In(stream.Signature(result_layout(config)))
        Beats of a row follow each other in memory.
    o : Out(stream.Signature(aligned_layout(config)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(result_layout(config))),
            "o": Out(stream.Signature(aligned_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        size = self.config.axi_bytes
        place = self.i.payload.place
        word_layout = data.ArrayLayout(8, size)

        # Rotate, and say which bytes are in this word and which in the next.
        rotated = Cat(self.i.payload.data, Const(0, 8 * size - len(self.i.payload.data)))
        for level, taken in enumerate(place.offset):
            rotated = Mux(taken, rotated.rotate_left(8 << level), rotated)
        strobes = Signal(2 * size)
        here, beyond = strobes[:size], strobes[size:]
        m.d.comb += strobes.eq(((1 << place.count) - 1)[:len(self.i.payload.data) // 8] << place.offset)

        valid = Signal()
        word, word_here, word_beyond = Signal(word_layout, reset_less=True), Signal(size), Signal(size)
        word_last = Signal()
        taken = Signal()
        m.d.comb += self.i.ready.eq(~valid | taken)
        with m.If(self.i.ready):
            m.d.sync += [
                valid.eq(self.i.valid),
                word.eq(rotated),
                word_here.eq(here),
                word_beyond.eq(beyond),
                word_last.eq(place.last),
            ]

        # Join with what is held back. `flush`: what is held back is the end of a row, and a word of its own.
        held, held_strobe = Signal(word_layout, reset_less=True), Signal(size)
        flush, complete = Signal(), Signal()
        joined = Signal(word_layout)
        m.d.comb += [
            *(joined[n].eq(Mux(held_strobe[n], held[n], word[n])) for n in range(size)),
            complete.eq(word_last | word_here[-1]),
            self.o.valid.eq(flush | (valid & complete)),
            self.o.payload.data.eq(joined),
            self.o.payload.strobe.eq(held_strobe | Mux(flush, 0, word_here)),
            taken.eq(~flush & valid & (self.o.ready | ~complete)),
        ]
        with m.If(taken):
            m.d.sync += [
                held.eq(Mux(complete, word, joined)),
                held_strobe.eq(Mux(complete, word_beyond, held_strobe | word_here)),
                flush.eq(word_last & word_beyond.any()),
            ]
        with m.Elif(flush & self.o.ready):
            m.d.sync += [held_strobe.eq(0), flush.eq(0)]
        return m
