"""LOAD: memory rows into the scratchpad."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from .axi_read import ReadClient
from .gearbox import Gearbox
from .isa import Error, Opcode
from .load_chunks import LoadChunks
from .load_rows import LoadRows, job_layout
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
        and `LoadChunks`, and AXI_READ.
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
        last = Signal(reset_less=True)
        signal = Signal(32, reset_less=True)
        m.d.comb += [
            free.eq(~chunk.valid | chunk.ready),
            gearbox.take.valid.eq(place.valid & ~stop),
            gearbox.take.p.eq(place.p.take),
            place.ready.eq(gearbox.take.ready & ~stop),
            gearbox.chunk.ready.eq(free),
            give.eq(gearbox.chunk.valid & ~gearbox.chunk.p.error),
        ]
        with m.If(free):
            m.d.sync += [
                chunk.valid.eq(give),
                chunk.p.destination.eq(place.p.destination),
                chunk.p.slabs.eq(place.p.slabs),
                chunk.p.address.eq(place.p.address),
                chunk.p.part.eq(place.p.part),
                chunk.p.data.eq(gearbox.chunk.p.data),
                last.eq(place.p.last),
                signal.eq(place.p.signal),
            ]
        m.d.sync += [
            unit.complete.valid.eq(chunk.valid & chunk.ready & last),
            unit.complete.signal.eq(signal),
        ]

        # Failures, the oldest first.
        bad_beat = Failure().create(path=("bad_beat",))
        m.d.comb += [
            bad_beat.valid.eq(gearbox.chunk.valid & gearbox.chunk.p.error & free),
            bad_beat.code.eq(Error.AXI_READ),
            bad_beat.index.eq(place.p.index),
        ]
        m.d.sync += unit.failure.valid.eq(0)
        for failure in (rows.failure, chunks.failure, bad_beat):
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
