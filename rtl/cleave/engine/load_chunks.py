"""The back of LOAD: where each chunk of a row goes."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..numerics.requantise import RECORD_BYTES
from .gearbox import take_layout
from .isa import Destination, Error
from .load_rows import job_layout
from .ports import Failure, chunk_bytes, chunk_layout, chunk_segments

__all__ = ["LoadChunks", "chunk_limits", "place_layout"]


def place_layout(config: EngineConfig) -> data.StructLayout:
    """A chunk without its data: what to take from the beats, what it is, where it goes, and whose it is."""
    members = {name: field.shape for name, field in chunk_layout(config) if name != "data"}
    return data.StructLayout({
        "take": take_layout(config.axi_bytes, chunk_bytes(config)),
        **({"element": 2, "anchors": 1} if config.block_scales else {}),
        **members, "last": 1, "signal": 32, "index": 32,
    })


class Limit(NamedTuple):
    """Most segments of a chunk, the bytes of a segment, and the words of its bank."""

    segments: int
    segment_bytes: int
    depth: int

    @property
    def bytes(self) -> int:
        """Most bytes of a chunk."""
        return self.segments * self.segment_bytes


def chunk_limits(config: EngineConfig) -> dict[Destination, Limit]:
    """Give the limits of each destination that the engine has."""
    array = config.array
    records = Limit(1, RECORD_BYTES * config.drain_lanes, config.parameter_depth)
    limits = {
        Destination.MOVING: Limit(config.segments, array.rows, config.moving_depth),
        Destination.STATIONARY: Limit(config.stationary_segments, array.columns, config.stationary_depth),
        Destination.PARAMETERS: records,
    }
    if config.block_scales:
        limits |= {
            Destination.ROW_PARAMETERS: records,
            Destination.MOVING_SCALES: Limit(1, 1 + array.slabs, config.moving_depth),
            Destination.STATIONARY_SCALES: Limit(1, array.columns, config.stationary_depth),
        }
    return limits


class LoadChunks(wiring.Component):
    """Cuts the rows of LOAD instructions into chunks, and finds the bank words that they go to.

    A chunk is the rest of the row, at most as much as is written in one cycle:

    - MOVING: `segments * rows` bytes, up to the next fold; bytes [j * rows, (j + 1) * rows) of memory row r go to word
      address + r + (j // fold) * step of the slabs in `slabs << (j % fold)`.
    - STATIONARY: `stationary_segments * columns` bytes, up to the next fold; bytes [j * columns, (j + 1) * columns) of a
      memory row go to the slabs in `slabs << (j % fold)`. Each fold of each memory row is the next row of W: row q goes to
      part (q % rows) % load_rows of word address + (q % rows) // load_rows + (q // rows) * step.
      With a fold of 1 it is `stationary_rows * columns` bytes, up to the next word: the folds' segments go to one word's parts.
    - PARAMETERS, ROW_PARAMETERS: `8 * drain_lanes` bytes; the n-th chunk of the instruction goes to word address + n.
    - MOVING_SCALES: the whole row; byte 1 + j of memory row r goes to word address + r of the slabs in `slabs << j`.
    - STATIONARY_SCALES: the whole row; memory row 0 is `anchors` and goes to no slab, memory row 1 + j to part 0
      of word `address` of the slabs in `slabs << j`.

    A `fold` of 0 counts as 32: no fold has so many segments, as there are fewer slabs.

    Latency 2 cycles, throughput one chunk per cycle, also from one instruction to the next.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    job : In(stream.Signature(job_layout(config)))
    place : Out(stream.Signature(place_layout(config)))
        `last`: the instruction's last chunk.
    failure : Out(Failure())
        In place of the first chunk that cannot be written. ILLEGAL_INSTRUCTION: a slab past the last, or a slab that
        this fold (MOVING, STATIONARY), this row (MOVING_SCALES) or an earlier tile (STATIONARY_SCALES) has written.
        BANK_RANGE: a word past the bank.
    stop : In(1)
        Accepts and reports nothing while high. High from the cycle after a failure on.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "place": Out(stream.Signature(place_layout(config))),
            "failure": Out(Failure()),
            "stop": In(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, array = self.config, self.config.array
        limits = chunk_limits(config)

        # The instruction, and where in it the next chunk is.
        active = Signal()
        job = Signal(job_layout(config), reset_less=True)
        moving = job.destination == Destination.MOVING
        stationary = job.destination == Destination.STATIONARY
        moving_scales = job.destination == Destination.MOVING_SCALES
        stationary_scales = job.destination == Destination.STATIONARY_SCALES
        stacked = Signal()  # the chunk's segments are rows of W for the same slabs, in parts of the same word
        anchors = Signal()  # the chunk is the anchors of stationary scales
        operands = moving | stationary
        rows = Signal(16, reset_less=True)  # memory rows still to go, with this one
        left = Signal(16, reset_less=True)  # bytes of this row still to go
        row_offset = Signal.like(job.offset, reset_less=True)  # of the row in its first beat
        offset = Signal.like(job.offset, reset_less=True)  # of the chunk in its first beat
        limit = Signal(range(chunk_bytes(config) + 1), reset_less=True)  # most bytes of the chunk
        fold_left = Signal.like(job.fold, reset_less=True)  # segments of this fold still to go
        fold_end = Signal(reset_less=True)  # the chunk takes all of them, if the row has them, or is stacked
        address = Signal(16, reset_less=True)
        base = Signal.like(address, reset_less=True)  # of this row (MOVING) or tile (STATIONARY)
        part = Signal(range(array.load_rows), reset_less=True)
        word = Signal(range(array.load_cycles), reset_less=True)
        slabs = Signal(array.slabs, reset_less=True)  # of the chunk's first segment
        used = Signal(array.slabs, reset_less=True)  # slabs that must not be written again
        past = Signal(reset_less=True)  # `slabs` has lost a slab past the last

        # The chunk's bytes.
        row_end = Signal()
        last = Signal()
        count = Signal.like(limit)
        m.d.comb += [row_end.eq(left <= limit), last.eq(row_end & (rows == 1)), count.eq(Mux(row_end, left, limit))]

        # The rows of a stacked chunk, from `part` on.
        below = [stacked & (count > j * array.columns) for j in range(1, config.stationary_rows)]
        part_end = Signal(range(array.load_rows + 1))
        m.d.comb += [
            stacked.eq(stationary & (job.fold == 1) & (config.stationary_rows > 1)),
            part_end.eq(sum(below, part + 1)),
        ]

        # The slabs of each segment: `reach` goes past the last slab, `taken` is what the segments before have.
        masks = [Signal(array.slabs, name=f"slabs_{j}") for j in range(chunk_segments(config))]
        taken = used
        illegal = 0
        for j, mask in enumerate(masks):
            reach = slabs << j
            present = moving_scales & (count > 1 + j) if j else Const(1)
            for destination, is_it in ((Destination.MOVING, moving), (Destination.STATIONARY, stationary & ~stacked)):
                if 0 < j < limits[destination].segments:
                    present |= is_it & (count > j * limits[destination].segment_bytes)
            m.d.comb += mask.eq(Mux(present, reach, 0))
            illegal |= present & (past | reach[array.slabs:].any())
            illegal |= (mask & taken).any()
            taken |= mask

        depth = Signal(16)
        with m.Switch(job.destination):
            for destination, most in limits.items():
                with m.Case(destination):
                    m.d.comb += depth.eq(most.depth)

        # Register the chunk's place, unless it cannot be written.
        place = self.place
        free = ~place.valid | place.ready
        try_ = Signal()
        good = Signal()
        m.d.comb += [
            try_.eq(active & free & ~self.stop),
            self.failure.valid.eq(try_ & (illegal | (address >= depth))),
            self.failure.code.eq(Mux(illegal, Error.ILLEGAL_INSTRUCTION, Error.BANK_RANGE)),
            self.failure.index.eq(job.index),
            good.eq(try_ & ~self.failure.valid),
        ]
        if config.block_scales:
            with m.If(free):
                m.d.sync += [place.p.element.eq(job.element), place.p.anchors.eq(anchors)]
        with m.If(free):
            m.d.sync += [
                place.valid.eq(good),
                place.p.take.offset.eq(offset),
                place.p.take.count.eq(count),
                place.p.take.last.eq(row_end),
                place.p.destination.eq(job.destination),
                place.p.slabs.eq(Cat(masks)),
                place.p.address.eq(address),
                place.p.parts.eq(Cat(Const(1), below) << part),
                place.p.last.eq(last),
                place.p.signal.eq(job.signal),
                place.p.index.eq(job.index),
            ]

        # Step to the next chunk. A word that is not past its bank, and a step, are below 2**15: their sum does not wrap.
        line_end = Signal()  # the segments to come go to another word or part
        word_end = Signal()
        tile_end = Signal()
        rebase = Signal()
        next_address = Signal.like(address)
        next_part = Signal.like(part)  # where this chunk ends a fold
        segments = Mux(stationary, config.stationary_segments, config.segments)
        m.d.comb += [
            line_end.eq(row_end | fold_end | ~operands),
            word_end.eq(part_end == array.load_rows),
            tile_end.eq(word_end & (word == array.load_cycles - 1)),
            next_part.eq(Mux(word_end, 0, part_end)),
            rebase.eq(Mux(stationary, tile_end, moving & row_end)),
            next_address.eq(Mux(rebase, base, address) + Mux(Mux(stationary, tile_end, moving & ~row_end), job.step, 1)),
        ]
        with m.If(good):
            m.d.sync += [left.eq(left - count), offset.eq(offset + count)]
            with m.If(row_end):
                m.d.sync += [
                    rows.eq(rows - 1),
                    left.eq(job.row_bytes),
                    row_offset.eq(row_offset + job.stride),
                    offset.eq(row_offset + job.stride),
                ]
            with m.If(stationary_scales):
                m.d.sync += anchors.eq(0)
                with m.If(~anchors):
                    m.d.sync += [slabs.eq(slabs << 1), past.eq(past | slabs[-1]), used.eq(taken)]
            with m.Elif(~line_end):
                after = Mux(stationary, slabs << config.stationary_segments, slabs << config.segments)
                m.d.sync += [slabs.eq(after), past.eq(past | after[array.slabs:].any()), used.eq(taken)]
            with m.Else():
                m.d.sync += [slabs.eq(job.slabs), past.eq(0), used.eq(0)]
                with m.If(rebase):
                    m.d.sync += base.eq(next_address)
                with m.If(word_end | ~stationary):
                    m.d.sync += address.eq(next_address)
                with m.If(stationary):
                    m.d.sync += [part.eq(next_part), word.eq(Mux(tile_end, 0, word + word_end))]
            with m.If(last):
                m.d.sync += active.eq(0)

        # How far the next chunk goes: to the end of its fold or word, or as far as is written in one cycle.
        new = self.job.p
        begins = ~active | last
        fold = Signal.like(fold_left)
        m.d.comb += fold.eq(Mux(begins, new.fold, Mux(line_end, job.fold, fold_left - segments)))
        with m.If(good | ~active):
            m.d.sync += [fold_left.eq(fold), fold_end.eq(0)]
            with m.Switch(Mux(begins, new.destination, job.destination)):
                for destination, most in limits.items():
                    with m.Case(destination):
                        m.d.sync += limit.eq(most.bytes)
                        if destination in (Destination.MOVING, Destination.STATIONARY):
                            with m.Switch(fold):
                                for segments_left in range(1, most.segments + 1):
                                    with m.Case(segments_left):
                                        m.d.sync += [limit.eq(segments_left * most.segment_bytes), fold_end.eq(1)]
                        if destination == Destination.STATIONARY and config.stationary_rows > 1:
                            with m.If(Mux(begins, new.fold, job.fold) == 1), m.Switch(Mux(begins, 0, next_part)):
                                for first in range(array.load_rows):
                                    with m.Case(first):
                                        stack = min(array.load_rows - first, config.stationary_rows)
                                        m.d.sync += limit.eq(stack * most.segment_bytes)

        # Take the next instruction.
        m.d.comb += self.job.ready.eq(~self.stop & (~active | (good & last)))
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                active.eq(1),
                job.eq(new),
                rows.eq(new.rows),
                left.eq(new.row_bytes),
                anchors.eq(new.destination == Destination.STATIONARY_SCALES),
                row_offset.eq(new.offset),
                offset.eq(new.offset),
                address.eq(new.address),
                base.eq(new.address),
                part.eq(0),
                word.eq(0),
                slabs.eq(new.slabs),
                used.eq(0),
                past.eq(0),
            ]
        return m
