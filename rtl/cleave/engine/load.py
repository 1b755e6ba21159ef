"""LOAD: memory rows into the scratchpad."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from .axi_read import ReadClient
from .gearbox import Gearbox
from .isa import Error, Opcode
from .load_chunks import LoadChunks, place_layout
from .load_rows import LoadRows, job_layout
from .load_values import LoadValues
from .ports import Failure, UnitPort, Window, chunk_bytes, chunk_layout

__all__ = ["Load"]

JOBS = 8
"""Instructions whose rows may be asked for while the data of an earlier one is still coming."""


class Load(wiring.Component):
    """Executes LOAD instructions: asks for memory rows, and cuts the answers into chunks for the banks.

    Addresses run ahead of data by up to `JOBS` instructions, so memory latency is paid once, not per row or
    instruction. Throughput: one row asked for, one beat taken and one chunk given per cycle, so a row costs as many
    cycles as it has beats or chunks, whichever are more. Beats wait for nothing but `chunk`.

    Words of a stationary tile that an instruction does not reach keep their contents; a program loads whole tiles, or
    multiplies the rest by zeros. A row's last word is filled with zeros.

    The failure reported is the first found; as addresses run ahead, an earlier instruction may then be unfinished. The
    instructions before the failing one may have written any part of their words, the failing one its first words.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    unit : Out(UnitPort(Opcode.LOAD))
        `complete` comes in the cycle of the last chunk's write, as `BankWriter` does it. Failures: those of `LoadRows`
        and `LoadChunks`, AXI_READ, and SCALE, for a chunk with a scale above its anchor.
    window : In(Window(config))
        Constant while `unit.busy`.
    read : Out(ReadClient(config))
    chunk : Out(stream.Signature(chunk_layout(config)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "unit": Out(UnitPort(Opcode.LOAD)),
            "window": In(Window(config)),
            "read": Out(ReadClient(config)),
            "chunk": Out(stream.Signature(chunk_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, unit, read, chunk = self.config, self.unit, self.read, self.chunk
        m.submodules.rows = rows = LoadRows(config)
        m.submodules.chunks = chunks = LoadChunks(config)
        m.submodules.gearbox = gearbox = Gearbox(config.axi_bytes, chunk_bytes(config))
        layout = job_layout(config)
        m.submodules.jobs = jobs = SyncFIFOBuffered(width=layout.size, depth=JOBS)
        connect(m, flipped(unit.command), rows.command)
        connect(m, flipped(self.window), rows.window)
        connect(m, rows.transfer, flipped(read.transfer))

        # Instructions, from the addresses to the data.
        m.d.comb += [
            jobs.w_en.eq(rows.job.valid),
            jobs.w_data.eq(rows.job.p),
            rows.job.ready.eq(jobs.w_rdy),
            chunks.job.valid.eq(jobs.r_rdy),
            chunks.job.p.eq(jobs.r_data),
            jobs.r_en.eq(chunks.job.ready),
        ]

        # Beats into the gearbox, or to nowhere.
        stopped = Signal()
        stop = Signal()
        m.d.comb += [
            stop.eq(stopped | unit.abort),
            rows.stop.eq(stop),
            chunks.stop.eq(stop),
            read.cancel.eq(stop),
            gearbox.beat.p.eq(read.beat.p),
            gearbox.beat.valid.eq(read.beat.valid & ~stop),
            read.beat.ready.eq(gearbox.beat.ready | stop),
        ]

        # Data and place meet in the chunk's register.
        place = chunks.place
        free = Signal()
        give = Signal()
        held = Signal(place_layout(config), reset_less=True)
        raw = Signal(8 * chunk_bytes(config), reset_less=True)
        bad_scale = Failure().create(path=("bad_scale",))
        m.d.comb += [
            free.eq(~chunk.valid | chunk.ready),
            gearbox.take.valid.eq(place.valid & ~stop),
            gearbox.take.p.eq(place.p.take),
            place.ready.eq(gearbox.take.ready & ~stop),
            gearbox.chunk.ready.eq(free),
            give.eq(gearbox.chunk.valid & ~gearbox.chunk.p.error),
            chunk.p.destination.eq(held.destination),
            chunk.p.slabs.eq(held.slabs),
            chunk.p.address.eq(held.address),
            chunk.p.parts.eq(held.parts),
            chunk.p.data.eq(raw),
        ]
        with m.If(free):
            m.d.sync += [chunk.valid.eq(give), held.eq(place.p), raw.eq(gearbox.chunk.p.data)]
        m.d.sync += [
            unit.complete.valid.eq(chunk.valid & chunk.ready & held.last),
            unit.complete.signal.eq(held.signal),
        ]

        # Anchors have a register of their own; a chunk with a scale above its anchor goes to no slab, and is the last.
        if config.block_scales:
            m.submodules.values = values = LoadValues(config)
            anchors = Signal(8 * config.array.columns, reset_less=True)
            above = chunk.valid & values.above
            with m.If(free & give & place.p.anchors):
                m.d.sync += [chunk.valid.eq(0), anchors.eq(gearbox.chunk.p.data)]
            with m.If(above):
                m.d.comb += chunk.p.slabs.eq(0)
                m.d.sync += unit.complete.valid.eq(0)
            with m.If(above & free):
                m.d.sync += chunk.valid.eq(0)
            m.d.comb += [
                values.raw.eq(raw),
                values.destination.eq(held.destination),
                values.element.eq(held.element),
                values.anchors.eq(anchors),
                chunk.p.data.eq(values.values),
                bad_scale.valid.eq(above & ~stop),
                bad_scale.code.eq(Error.SCALE),
                bad_scale.index.eq(held.index),
            ]

        # Failures, the oldest first.
        bad_beat = Failure().create(path=("bad_beat",))
        m.d.comb += [
            bad_beat.valid.eq(gearbox.chunk.valid & gearbox.chunk.p.error & free),
            bad_beat.code.eq(Error.AXI_READ),
            bad_beat.index.eq(place.p.index),
        ]
        m.d.sync += unit.failure.valid.eq(0)
        for failure in (rows.failure, chunks.failure, bad_beat, bad_scale):
            with m.If(failure.valid):
                m.d.sync += [
                    unit.failure.valid.eq(1),
                    unit.failure.code.eq(failure.code),
                    unit.failure.index.eq(failure.index),
                    stopped.eq(1),
                ]
        with m.If(unit.abort):
            m.d.sync += stopped.eq(1)

        # Busy: instructions that are not complete; once stopped, what is still on its way.
        open_ = Signal(range(JOBS + 8))
        m.d.sync += open_.eq(open_ + (unit.command.valid & unit.command.ready) - unit.complete.valid)
        m.d.comb += unit.busy.eq(Mux(stopped, read.busy | chunk.valid | unit.complete.valid, open_.any()))
        return m
