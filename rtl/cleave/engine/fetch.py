"""Instruction fetch: the program from memory, ahead of its use."""

from amaranth.hdl import Assert, Cat, Const, Elaboratable, Format, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .axi_read import ReadClient
from .isa import INSTRUCTION_BITS, INSTRUCTION_BYTES, Error
from .ports import Failure, Window

__all__ = ["FETCHED", "Fetch"]

ROOM = 8
"""Instructions that are asked for or waiting."""

BATCH = 4
"""Most instructions asked for at once; no batch crosses a multiple of their bytes."""

FETCHED = data.StructLayout({"instruction": INSTRUCTION_BITS, "index": 32})
"""An instruction and its number in the program."""


class Fetch(wiring.Component):
    """Reads `length` instructions from byte `program` of the window on, in batches, and gives them in order.

    Asks only for what it has room for, so that its beats are always accepted. The program must start at a multiple of
    an instruction's bytes in memory (window.base + program), and lie wholly inside the window; otherwise it fails
    before anything is read. Throughput: an instruction takes max(1, INSTRUCTION_BITS / axi_data_width) cycles.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    start : In(1)
        Pulse that starts the program, only while not `busy`.
    program : In(48)
        Byte offset of the first instruction in the window, read at `start`.
    length : In(32)
        Instructions, read at `start`. With none, `done` comes in the next cycle.
    window : In(Window(config))
        Constant from `start` to `done`.
    abort : In(1)
        Stops the fetch until it is reset: no new bus transfer, nothing given.
    read : Out(ReadClient(config))
    fetched : Out(stream.Signature(FETCHED))
        Withdrawn when the fetch stops.
    failure : Out(Failure())
        ILLEGAL_INSTRUCTION, index 0: the program's start is not aligned. WINDOW: the first instruction that is outside
        the window, or whose address does not fit the bus. AXI_READ: the first one that came with an error.
        Stops the fetch until it is reset.
    busy : Out(1)
        High from the cycle after `start` until all instructions were taken and all beats came; after a failure or
        `abort`, until all beats came.
    done : Out(1)
        High from the cycle in which `busy` falls after the last instruction was taken, until the next `start`.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "start": In(1),
            "program": In(48),
            "length": In(32),
            "window": In(Window(config)),
            "abort": In(1),
            "read": Out(ReadClient(config)),
            "fetched": Out(stream.Signature(FETCHED)),
            "failure": Out(Failure()),
            "busy": Out(1),
            "done": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, window, read, fetched = self.config, self.window, self.read, self.fetched
        width = config.axi_address_width
        beat_bytes = config.axi_bytes
        shift = INSTRUCTION_BYTES.bit_length() - 1

        length = Signal(32, reset_less=True)
        left = Signal(32, reset_less=True)  # instructions to ask for
        address = Signal(49, reset_less=True)  # of the next of them
        limit = Signal(49, reset_less=True)  # first address that may not be read
        room = Signal(range(ROOM + 1), init=ROOM)
        index = Signal(32)  # of the next instruction to give
        running = Signal()
        asked = Signal(range(BATCH + 1))  # instructions in the batch that is accepted in this cycle
        given = Signal()

        # Ask for batches.
        batch_last = Signal(range(BATCH))  # instructions in the next batch, less 1
        to_boundary = ~address[shift:][:len(batch_last)]
        m.d.comb += [
            batch_last.eq(Mux(left <= to_boundary, left - 1, to_boundary)),
            read.transfer.valid.eq(running & left.any() & (room > batch_last)),
            read.transfer.p.address.eq(address),
            read.transfer.p.last.eq(Cat(Const(-1, shift), batch_last)),
            asked.eq(Mux(read.transfer.valid & read.transfer.ready, batch_last + 1, 0)),
        ]

        # Keep the beats.
        m.submodules.beats = beats = SyncFIFO(
            width=config.axi_data_width + 1,
            # One more beat if a program may start and end inside one.
            depth=ROOM * INSTRUCTION_BYTES // beat_bytes + (beat_bytes > INSTRUCTION_BYTES),
        )
        m.d.comb += [
            beats.w_data.eq(read.beat.p),
            beats.w_en.eq(read.beat.valid),
            read.beat.ready.eq(1),
        ]
        m.d.sync += Assert(~running | ~read.beat.valid | beats.w_rdy, Format("an instruction beat was not asked for"))

        # Give instructions: `pieces` beats make one, or one beat has as many.
        beat = data.View(read.beat.p.shape(), beats.r_data)
        pieces = max(beat_bytes, INSTRUCTION_BYTES) // min(beat_bytes, INSTRUCTION_BYTES)
        piece = Signal(range(pieces))
        first_piece = address[shift:][:len(piece)] if beat_bytes > INSTRUCTION_BYTES else 0
        last_piece = piece == pieces - 1
        last = Signal()  # the program's last instruction is next
        whole = Signal()  # the next instruction is there
        bad = Signal()
        if beat_bytes < INSTRUCTION_BYTES:
            gathered = Signal(INSTRUCTION_BITS - config.axi_data_width, reset_less=True)
            gathered_bad = Signal()
            gather = Signal()
            m.d.comb += [
                whole.eq(beats.r_rdy & last_piece),
                gather.eq(beats.r_rdy & ~last_piece),
                fetched.p.instruction.eq(Cat(gathered, beat.data)),
                bad.eq(gathered_bad | beat.error),
                beats.r_en.eq(gather | given),
            ]
            with m.If(gather):
                m.d.sync += [
                    piece.eq(piece + 1),
                    gathered.eq(Cat(gathered, beat.data)[config.axi_data_width:]),
                    gathered_bad.eq(bad),
                ]
            with m.Elif(given):
                m.d.sync += [piece.eq(0), gathered_bad.eq(0)]
        else:
            m.d.comb += [
                whole.eq(beats.r_rdy),
                fetched.p.instruction.eq(beat.data.word_select(piece, INSTRUCTION_BITS)),
                bad.eq(beat.error),
                beats.r_en.eq(given & (last_piece | last)),
            ]
            with m.If(given):
                m.d.sync += piece.eq(piece + 1)
        m.d.comb += [
            last.eq(index + 1 == length),
            fetched.p.index.eq(index),
            fetched.valid.eq(running & whole & ~bad),
            given.eq(fetched.valid & fetched.ready),
        ]
        m.d.sync += room.eq(room - asked + given)

        # The program's course.
        stop = Signal()
        stopped = Signal()
        m.d.comb += [stop.eq(stopped | self.abort), read.cancel.eq(stop), self.failure.index.eq(index)]
        m.d.sync += stopped.eq(stop | self.failure.valid)
        fits = Signal(49 - shift)  # instructions between the start and the limit
        m.d.comb += fits.eq(Mux(limit > address, (limit - address) >> shift, 0))
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start & ~stop):
                m.d.sync += [
                    self.done.eq(self.length == 0),
                    address.eq(window.base + self.program),
                    limit.eq(window.base + window.size),
                    length.eq(self.length),
                    left.eq(self.length),
                    index.eq(0),
                ]
                with m.If(self.length != 0):
                    m.next = "CLIP"
            with m.State("CLIP"):
                with m.If(limit[width:].any()):
                    m.d.sync += limit.eq(1 << width)
                m.d.sync += piece.eq(first_piece)
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(address[:shift].any()):
                    m.d.comb += [self.failure.valid.eq(~stop), self.failure.code.eq(Error.ILLEGAL_INSTRUCTION)]
                with m.Elif(left > fits):
                    m.d.comb += [
                        self.failure.valid.eq(~stop), self.failure.code.eq(Error.WINDOW), self.failure.index.eq(fits),
                    ]
                with m.Else():
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(~stop)
                m.d.sync += [left.eq(left - asked), address.eq(address + (asked << shift)), index.eq(index + given)]
                with m.If(given & last):
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
                with m.If(running & whole & bad):
                    m.d.comb += [self.failure.valid.eq(1), self.failure.code.eq(Error.AXI_READ)]
        m.d.comb += self.busy.eq(Mux(stopped, read.busy, ~fsm.ongoing("IDLE")))
        return m
