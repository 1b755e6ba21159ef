"""The front of LOAD: from an instruction to the memory rows that it reads."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .burst import transfer_layout
from .isa import Destination, Error, Opcode
from .ports import Failure, Window, command_layout, destination_bits

__all__ = ["LoadRows", "job_layout"]

OFFSET_BITS = 49
"""Width of a byte offset that may be past the window by the two rows that are ahead of the check."""


def job_layout(config: EngineConfig) -> data.StructLayout:
    """What the back of LOAD needs of an instruction; `offset` and `stride` only within a bus beat."""
    beat_bits = (config.axi_bytes - 1).bit_length()
    return data.StructLayout({
        "destination": destination_bits(config),
        **({"element": 2} if config.block_scales else {}),
        "slabs": config.array.slabs,
        "address": 16,
        "rows": 16,
        "row_bytes": 16,
        "offset": beat_bits,
        "stride": beat_bits,
        "fold": 5,
        "step": 15,
        "signal": 32,
        "index": 32,
    })


class LoadRows(wiring.Component):
    """Checks LOAD instructions, and asks for their rows: `row_bytes` bytes from memory + r * stride on, each r < rows.

    The first row is offered 2 cycles after its instruction was accepted. Throughput: one row per cycle, also from one
    instruction to the next.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    command : In(stream.Signature(command_layout(Opcode.LOAD)))
    window : In(Window(config))
    job : Out(stream.Signature(job_layout(config)))
        Each legal instruction, in the cycle in which it is accepted.
    transfer : Out(stream.Signature(transfer_layout(config)))
    failure : Out(Failure())
        ILLEGAL_INSTRUCTION for a destination that is not there, no rows, no bytes, slabs that are not there (none at all
        for parameters, at least one otherwise), elements, a fold or a step where there are none, scales without an anchor
        or more of them than slabs or columns, or anchors without scales. WINDOW, in place of the first row that is not
        wholly inside the window or whose address does not fit the bus.
    stop : In(1)
        Accepts, offers and reports nothing while high. High from the cycle after a failure on.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "command": In(stream.Signature(command_layout(Opcode.LOAD))),
            "window": In(Window(config)),
            "job": Out(stream.Signature(job_layout(config))),
            "transfer": Out(stream.Signature(transfer_layout(config))),
            "failure": Out(Failure()),
            "stop": In(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, window = self.config, self.window
        instruction = self.command.p.instruction
        slabs = config.array.slabs

        # Accept an instruction, and hand it to the back.
        idle = Signal()  # the rows before are on their way
        accept = Signal()
        illegal = Signal()
        m.d.comb += [
            self.command.ready.eq(idle & self.job.ready & ~self.stop),
            accept.eq(self.command.valid & self.command.ready),
            self.job.valid.eq(self.command.valid & idle & ~self.stop & ~illegal),
            self.job.p.destination.eq(instruction.destination),
            self.job.p.slabs.eq(instruction.slabs),
            self.job.p.address.eq(instruction.address),
            self.job.p.rows.eq(instruction.rows),
            self.job.p.row_bytes.eq(instruction.row_bytes),
            self.job.p.offset.eq(window.base + instruction.memory),
            self.job.p.stride.eq(instruction.stride),
            self.job.p.fold.eq(instruction.fold),
            self.job.p.step.eq(instruction.step),
            self.job.p.signal.eq(instruction.signal),
            self.job.p.index.eq(self.command.p.index),
        ]
        no_slab = ~instruction.slabs[:slabs].any() | instruction.slabs[slabs:].any()
        folded = instruction.fold.any() | instruction.step.any()
        broken = {
            Destination.MOVING: no_slab,
            Destination.STATIONARY: no_slab,
            Destination.PARAMETERS: instruction.slabs.any() | folded,
        }
        elements = ()
        if config.block_scales:
            scales = no_slab | folded
            long = instruction.row_bytes > config.array.columns
            broken |= {
                Destination.ROW_PARAMETERS: broken[Destination.PARAMETERS],
                Destination.MOVING_SCALES: scales | (instruction.row_bytes < 2) | (instruction.row_bytes > 1 + slabs),
                Destination.STATIONARY_SCALES: scales | long | (instruction.rows < 2),
            }
            elements = (Destination.MOVING, Destination.STATIONARY)
            m.d.comb += self.job.p.element.eq(instruction.element)
        with m.Switch(instruction.destination):
            for destination, rule in broken.items():
                element = 0 if destination in elements else instruction.element.any()
                with m.Case(destination):
                    m.d.comb += illegal.eq(rule | element)
            with m.Default():
                m.d.comb += illegal.eq(1)
        with m.If((instruction.rows == 0) | (instruction.row_bytes == 0)):
            m.d.comb += illegal.eq(1)

        # Walk the rows.
        walking = Signal()
        offset = Signal(OFFSET_BITS, reset_less=True)  # of the next row
        stride = Signal(32, reset_less=True)
        last = Signal(16, reset_less=True)  # row_bytes - 1
        rows = Signal(16, reset_less=True)  # still to go
        index = Signal(32, reset_less=True)
        step = Signal()
        m.d.comb += idle.eq(~walking | (step & (rows == 1)))
        with m.If(step):
            m.d.sync += [offset.eq(offset + stride), rows.eq(rows - 1)]
            with m.If(rows == 1):
                m.d.sync += walking.eq(0)
        with m.If(accept & ~illegal):
            m.d.sync += [
                walking.eq(1),
                offset.eq(instruction.memory),
                stride.eq(instruction.stride),
                last.eq(instruction.row_bytes - 1),
                rows.eq(instruction.rows),
                index.eq(self.command.p.index),
            ]

        # Check a row against the window, and ask for it.
        row_valid = Signal()
        row = Signal(data.StructLayout({
            "offset": OFFSET_BITS, "end": OFFSET_BITS, "last": 16, "index": 32,
        }), reset_less=True)  # `end` is the offset of the row's last byte
        m.d.comb += step.eq(walking & (~row_valid | self.transfer.ready))
        with m.If(~row_valid | self.transfer.ready):
            m.d.sync += [
                row_valid.eq(walking),
                row.offset.eq(offset),
                row.end.eq(offset + last),
                row.last.eq(last),
                row.index.eq(index),
            ]
        inside = Signal()
        m.d.comb += [
            inside.eq((row.end < window.size) & ~(window.base + row.end)[config.axi_address_width:].any()),
            self.transfer.valid.eq(row_valid & inside & ~self.stop),
            self.transfer.p.address.eq(window.base + row.offset),
            self.transfer.p.last.eq(row.last),
        ]

        outside = row_valid & ~inside
        m.d.comb += [
            self.failure.valid.eq((outside | (accept & illegal)) & ~self.stop),
            self.failure.code.eq(Mux(outside, Error.WINDOW, Error.ILLEGAL_INSTRUCTION)),
            self.failure.index.eq(Mux(outside, row.index, self.command.p.index)),
        ]
        return m
