"""From bus beats to chunks of any number of bytes from any byte on."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Gearbox", "take_layout"]


def take_layout(beat_bytes: int, chunk_bytes: int) -> data.StructLayout:
    """What to take: `count` bytes from byte `offset` of the oldest beat on.

    Then every beat that was used up is dropped, and with `last` the rest of a partly used one too.
    """
    return data.StructLayout({"offset": range(beat_bytes), "count": range(chunk_bytes + 1), "last": 1})


def ring_beats(beat_bytes: int, chunk_bytes: int) -> tuple[int, int]:
    """Give the most beats that a chunk touches, and the ring's: a power of two above, as one comes in while a chunk takes all."""
    span = (chunk_bytes + 2 * beat_bytes - 2) // beat_bytes
    return span, 1 << span.bit_length()


class Gearbox(wiring.Component):
    """A ring of beats, from which chunks are cut at any byte.

    Beats are stored as they come, and one rotator, by (oldest beat, offset), brings a chunk's first byte to the front.

    A beat may be used from the cycle after it was accepted; a chunk leaves in the cycle in which it is asked for, once
    its last beat is there. Throughput: a beat and a chunk per cycle; chunks that overlap beats do not slow the beats.

    Parameters
    ----------
    beat_bytes
        Bytes of a beat, a power of two.
    chunk_bytes
        Most bytes of a chunk.

    Members
    -------
    beat : In(stream.Signature({"data": 8 * beat_bytes, "error": 1}))
    take : In(stream.Signature(take_layout(beat_bytes, chunk_bytes)))
        Accepted together with its chunk. `count` is at least 1.
    chunk : Out(stream.Signature({"data": 8 * chunk_bytes, "error": 1}))
        Bytes from `count` on are zero. `error`: a beat that it uses had one.

    Raises
    ------
    ValueError
        If `beat_bytes` is not a power of two, or `chunk_bytes` is not positive.
    """

    def __init__(self, beat_bytes: int, chunk_bytes: int) -> None:
        if beat_bytes < 2 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes must be a power of two and at least 2, not {beat_bytes}")
        if chunk_bytes < 1:
            raise ValueError(f"chunk_bytes must be positive, not {chunk_bytes}")
        self.beat_bytes, self.chunk_bytes = beat_bytes, chunk_bytes
        self.span, self.capacity = ring_beats(beat_bytes, chunk_bytes)
        super().__init__({
            "beat": In(stream.Signature(data.StructLayout({"data": 8 * beat_bytes, "error": 1}))),
            "take": In(stream.Signature(take_layout(beat_bytes, chunk_bytes))),
            "chunk": Out(stream.Signature(data.StructLayout({"data": 8 * chunk_bytes, "error": 1}))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        beats = [Signal(8 * self.beat_bytes, name=f"beat_{i}", reset_less=True) for i in range(self.capacity)]
        errors = Signal(self.capacity, reset_less=True)
        head = Signal(range(self.capacity))  # the oldest beat
        tail = Signal(range(self.capacity))  # where the next beat goes
        level = Signal(range(self.capacity + 1))

        m.d.comb += self.beat.ready.eq(level != self.capacity)
        put = Signal()
        m.d.comb += put.eq(self.beat.valid & self.beat.ready)
        with m.If(put):
            m.d.sync += tail.eq(tail + 1)
            with m.Switch(tail):
                for i, beat in enumerate(beats):
                    with m.Case(i):
                        m.d.sync += [beat.eq(self.beat.p.data), errors[i].eq(self.beat.p.error)]

        take, chunk = self.take, self.chunk
        beat_bits = (self.beat_bytes - 1).bit_length()
        end = Signal(range(self.beat_bytes + self.chunk_bytes))
        touched = Signal(range(self.span + 1))
        enough = Signal()
        m.d.comb += [
            end.eq(take.p.offset + take.p.count),
            touched.eq((end + self.beat_bytes - 1) >> beat_bits),
            enough.eq(touched <= level),
            chunk.valid.eq(take.valid & enough),
            take.ready.eq(chunk.ready & enough),
        ]
        dropped = Signal.like(touched)
        with m.If(chunk.valid & chunk.ready):
            m.d.comb += dropped.eq(Mux(take.p.last, touched, end >> beat_bits))
        m.d.sync += [head.eq(head + dropped), level.eq(level + put - dropped)]

        front = _rotate(m, Cat(beats), Cat(take.p.offset, head), unit=8, keep=self.chunk_bytes)
        for i in range(self.chunk_bytes):
            m.d.comb += chunk.p.data[8 * i:8 * i + 8].eq(Mux(take.p.count > i, front[8 * i:8 * i + 8], 0))
        error = _rotate(m, errors, head, unit=1, keep=self.span)
        m.d.comb += chunk.p.error.eq(Cat(error[i] & (touched > i) for i in range(self.span)).any())
        return m


def _rotate(m: Module, ring: Value, places: Value, *, unit: int, keep: int) -> Value:
    """Give the first `keep` units of `ring` rotated down by `places` units; no level is wider than it must."""
    for level in reversed(range(len(places))):
        step = unit << level
        width = min(len(ring), unit * (keep + (1 << level) - 1))
        rotated = Signal(width, name=f"rotated_{step}")
        m.d.comb += rotated.eq(Mux(places[level], Cat(ring[step:], ring[:step]), ring))
        ring = rotated
    return ring
