"""DRAIN: accumulators to memory or to moving banks, rounded once on the way."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from ..hdl import delay
from ..memory.ram import WritePort
from ..numerics.requantise import RECORD_BYTES
from .accumulator_reader import AccumulatorReader
from .axi import Axi4Write
from .axi_write import AxiWriter
from .bank_writer import WRITE_LATENCY
from .block_trailer import BlockTrailer
from .byte_aligner import ByteAligner
from .drain_converter import DrainConverter
from .drain_decoder import DrainDecoder
from .drain_layouts import job_layout
from .drain_ledger import DrainLedger
from .drain_rows import DrainRows
from .fork import Fork
from .isa import Error, Opcode, Output
from .lane_placer import LanePlacer
from .ports import AccumulatorRead, UnitPort, Window, chunk_layout
from .segment_packer import SegmentPacker

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Executes DRAIN instructions.

        command -> decoder -> reader -> placer -> converter -> trailer -+-> aligner -> writer -> memory
                     |                                                  |                ^
                     +-> rows: addresses -------------------------------|----------------+
                     +-> ledger: completion                             +-> packer -> moving banks

    Each part takes its next job as soon as it is through with its last one: one instruction's accumulators are read
    while those of the one before are rounded, and the bus has yet to answer that before it.

    Throughput: `drain_lanes` accumulators per cycle, as long as reads are accepted every other cycle and the bus
    takes a beat per cycle. A row of output BLOCKS takes a cycle more, for its scales.

    The first error that is found stops the drain. As its parts work on different instructions, those before the failing
    one may be unfinished. Beats of a started burst that lost their data leave memory as it was. After a failure or
    `abort` nothing completes.

    Members
    -------
    unit : Out(UnitPort(Opcode.DRAIN))
        `complete` comes when every response to the instruction's writes has come, or its last chunk has been written.
        Failures: those of `DrainDecoder`; WINDOW, in place of the first row outside the window; AXI_WRITE.
    window : In(Window(config))
        Constant while `unit.busy`.
    axi : Out(Axi4Write(axi_address_width, axi_data_width))
    owed : Out(1)
        The bus owes an answer to a write.
    read : Out(AccumulatorRead(config)).array(slabs)
    parameters : In(WritePort(parameter_depth, 64 * drain_lanes))
        The parameter memories are in here.
    row_parameters : In(WritePort(parameter_depth, 64 * drain_lanes))
        Only with `block_scales`.
    chunks : Out(stream.Signature(chunk_layout(config)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        parameters = In(WritePort(config.parameter_depth, 8 * RECORD_BYTES * config.drain_lanes))
        super().__init__({
            "unit": Out(UnitPort(Opcode.DRAIN)),
            "window": In(Window(config)),
            "axi": Out(Axi4Write(config.axi_address_width, config.axi_data_width)),
            "owed": Out(1),
            "read": Out(AccumulatorRead(config)).array(config.array.slabs),
            "parameters": parameters,
            **({"row_parameters": parameters} if config.block_scales else {}),
            "chunks": Out(stream.Signature(chunk_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, unit = self.config, self.unit
        m.submodules.decoder = decoder = DrainDecoder(config)
        m.submodules.fork = fork = Fork(job_layout(config), 5)
        m.submodules.reader = reader = AccumulatorReader(config)
        m.submodules.placer = placer = LanePlacer(config)
        m.submodules.converter = converter = DrainConverter(config)
        m.submodules.rows = rows = DrainRows(config)
        m.submodules.aligner = aligner = ByteAligner(config)
        m.submodules.writer = writer = AxiWriter(config)
        m.submodules.packer = packer = SegmentPacker(config)
        m.submodules.ledger = ledger = DrainLedger(config)

        # Jobs.
        connect(m, flipped(unit.command), decoder.command)
        connect(m, decoder.job, fork.i)
        moving = decoder.job.payload.output == Output.MOVING
        m.d.comb += fork.to.eq(Cat(Const(0b111, 3), ~moving, moving))
        for o, part in zip(fork.o, (reader, placer, ledger, rows, packer), strict=True):
            connect(m, o, part.job)

        # Data.
        for port, read in zip(self.read, reader.read, strict=True):
            connect(m, read, flipped(port))
        connect(m, flipped(self.parameters), converter.parameters)
        if config.block_scales:
            connect(m, flipped(self.row_parameters), converter.row_parameters)
        connect(m, flipped(self.window), placer.window)
        connect(m, flipped(self.window), rows.window)
        connect(m, reader.o, placer.i)
        connect(m, placer.o, converter.i)
        results = converter.o
        if config.block_scales:
            m.submodules.trailer = trailer = BlockTrailer(config)
            connect(m, converter.o, trailer.i)
            results = trailer.o
        moves = results.payload.place.output == Output.MOVING
        m.d.comb += [
            aligner.i.payload.eq(results.payload),
            packer.i.payload.eq(results.payload),
            aligner.i.valid.eq(results.valid & ~moves),
            packer.i.valid.eq(results.valid & moves),
            results.ready.eq(Mux(moves, packer.i.ready, aligner.i.ready)),
        ]
        connect(m, aligner.o, writer.i)
        connect(m, rows.write, writer.write)
        connect(m, writer.axi, flipped(self.axi))
        connect(m, packer.o, flipped(self.chunks))

        # Completion. A pulse of `complete` comes a cycle after the ledger hears of it.
        m.d.comb += [
            ledger.written.eq(writer.done),
            ledger.moved.eq(delay(m, "moved", packer.done, WRITE_LATENCY - 1, reset_less=False)),
        ]

        # The end: the first failure, or an abort.
        stopped, stop = Signal(), Signal()
        m.d.comb += stop.eq(stopped | unit.abort)
        for part in (decoder, reader, rows, writer):
            m.d.comb += part.stop.eq(stop)
        m.d.sync += [stopped.eq(stop), unit.failure.valid.eq(0)]
        with m.If(~stop):
            for failed, code, index in [
                (decoder.failure.valid, decoder.failure.code, decoder.failure.index),
                (rows.outside, Error.WINDOW, rows.index),
                (writer.error, Error.AXI_WRITE, ledger.writing),
            ]:
                with m.If(failed):
                    m.d.sync += [
                        stopped.eq(1),
                        unit.failure.valid.eq(1),
                        unit.failure.code.eq(code),
                        unit.failure.index.eq(index),
                    ]
        m.d.comb += [
            unit.complete.valid.eq(ledger.complete.valid & ~stop),
            unit.complete.signal.eq(ledger.complete.signal),
            self.owed.eq(writer.busy),
            unit.busy.eq(writer.busy | (~stopped & (decoder.busy | ledger.busy))),
        ]
        return m
