"""The front of DRAIN: from an instruction to a checked job."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..numerics.formats import ELEMENTS, TARGETS
from .drain_layouts import job_layout
from .isa import Error, Opcode, Output
from .ports import Failure, command_layout

__all__ = ["DrainDecoder"]

ADDRESS_BIT = 32
"""Where `memory` holds the slabs and the bank address of output MOVING; the bits between must be 0."""

ROUNDING_FIELDS = ("row_parameters", "target", "mode")
"""What only outputs ROUNDED and BLOCKS have."""


class DrainDecoder(wiring.Component):
    """Check DRAIN instructions before they have any effect, and work out what their rows are made of.

    Latency 2 cycles, and with output MOVING one for each segment of a row.

    Members
    -------
    command : In(stream.Signature(command_layout(Opcode.DRAIN)))
    stop : In(1)
        Accept, give out and report nothing. High from the cycle after a failure on.
    job : Out(stream.Signature(job_layout(config)))
    failure : Out(Failure())
        ILLEGAL_INSTRUCTION for outputs past the last, which is MOVING without `block_scales`, a slab or lane that is not there, no
        rows, no columns or more than the array's, with INT32 `relu` or `parameters`, with MOVING a stride, no slabs, a
        segment for a slab that is not there, two segments for one slab, or bits between mask and address, with ROUNDED a
        target past the last, with BLOCKS one that is no element, and without these any of what only they have. BANK_RANGE
        for rows, parameters of columns or rows, or moving words past their banks.
    busy : Out(1)
        An instruction is being checked or waits to be taken.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "command": In(stream.Signature(command_layout(Opcode.DRAIN))),
            "stop": In(1),
            "job": Out(stream.Signature(job_layout(config))),
            "failure": Out(Failure()),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, array = self.config, self.config.array
        lanes, slabs = config.drain_lanes, array.slabs
        command = Signal(command_layout(Opcode.DRAIN))
        instruction, job = command.instruction, self.job.payload

        # A row's beats. Lanes are a power of two unless a row is one beat.
        last_beat, tail = 0, instruction.columns
        if lanes < array.columns:
            last_column = (instruction.columns - 1)[:16]
            last_beat = last_column >> (lanes - 1).bit_length()
            tail = last_column % lanes + 1

        raw, moving, rounds, extra = Signal(), Signal(), Signal(), Signal()
        last_output = Output.BLOCKS if config.block_scales else Output.MOVING
        targets = Mux(instruction.output == Output.BLOCKS, len(ELEMENTS), len(TARGETS))
        mask = instruction.memory[:slabs]
        illegal, out_of_range = Signal(), Signal()
        m.d.comb += [
            raw.eq(instruction.output == Output.INT32),
            moving.eq(instruction.output == Output.MOVING),
            rounds.eq((instruction.output >= Output.ROUNDED) if config.block_scales else 0),
            illegal.eq(Cat(
                instruction.output > last_output,
                instruction.slab >= slabs,
                instruction.lane >= array.lanes,
                instruction.rows == 0,
                instruction.columns == 0,
                instruction.columns > array.columns,
                raw & (instruction.relu | instruction.parameters.any()),
                moving & (instruction.stride.any() | ~mask.any() | instruction.memory[slabs:ADDRESS_BIT].any()),
                rounds & (instruction.target >= targets),
                extra,
            ).any()),
            out_of_range.eq(Cat(
                instruction.accumulator + instruction.rows > config.accumulator_depth,
                ~raw & (instruction.parameters + last_beat >= config.parameter_depth),
                moving & (instruction.memory[ADDRESS_BIT:] + instruction.rows > config.moving_depth),
                rounds & (instruction.row_parameters * lanes + instruction.rows > config.parameter_depth * lanes),
            ).any()),
        ]

        # The slabs of each segment in turn: those of the first, moved south until the row's bytes are used up.
        placed, segment, left = Signal(slabs + 1), Signal(job.last_segment.shape()), Signal(16)
        southward = Signal(slabs + 1)
        collides, more = Signal(), Signal()
        m.d.comb += [
            southward.eq(placed << 1),
            collides.eq(southward[slabs] | (southward & mask).any()),
            more.eq(left > array.rows),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(~self.stop)
                given = self.command.payload
                fields = given.instruction
                m.d.sync += [
                    command.eq(given),
                    # Asked here, so that engines that have no use for these fields do not keep them.
                    extra.eq(Cat(
                        Cat(fields[name] for name in ROUNDING_FIELDS).any() & (fields.output < Output.ROUNDED),
                        fields.saturate & (fields.output != Output.ROUNDED),
                        fields.scale_up & (fields.output != Output.BLOCKS),
                    ).any()),
                ]
                with m.If(self.command.valid & ~self.stop):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += [placed.eq(mask), segment.eq(0), left.eq(instruction.columns)]
                with m.If(illegal | out_of_range):
                    m.d.comb += self.failure.valid.eq(~self.stop)
                with m.Else():
                    m.next = "SEGMENTS"
            with m.State("SEGMENTS"):
                m.d.comb += self.busy.eq(1)
                with m.If(~moving | ~more):
                    m.d.comb += self.job.valid.eq(~self.stop)
                    with m.If(self.job.ready):
                        m.next = "IDLE"
                with m.Elif(collides):
                    m.d.comb += self.failure.valid.eq(~self.stop)
                with m.Else():
                    m.d.sync += [placed.eq(southward), segment.eq(segment + 1), left.eq(left - array.rows)]

        m.d.comb += [
            self.failure.code.eq(
                Mux(illegal | ~out_of_range, Error.ILLEGAL_INSTRUCTION, Error.BANK_RANGE)
            ),
            self.failure.index.eq(command.index),
            job.output.eq(instruction.output),
            job.relu.eq(instruction.relu),
            job.slab.eq(instruction.slab),
            job.lane.eq(instruction.lane if array.lanes > 1 else 0),
            job.accumulator.eq(instruction.accumulator),
            job.rows.eq(instruction.rows),
            job.columns.eq(instruction.columns),
            job.last_beat.eq(last_beat),
            job.tail.eq(tail),
            job.parameters.eq(instruction.parameters),
            job.memory.eq(instruction.memory),
            job.stride.eq(instruction.stride),
            job.last_segment.eq(segment),
            job.signal.eq(instruction.signal),
            job.index.eq(command.index),
        ]
        if config.block_scales:
            m.d.comb += [
                job.row_parameters.eq(instruction.row_parameters),
                job.scale_up.eq(instruction.scale_up),
                *(job.wanted[name].eq(instruction[name]) for name in job.wanted.shape().members),
            ]
            with m.If(raw):
                m.d.comb += job.size.eq(2)
            with m.Elif(rounds), m.Switch(instruction.target):
                for number, target in enumerate(TARGETS):
                    with m.Case(number):
                        m.d.comb += job.size.eq(target.storage_bytes.bit_length() - 1)
        return m
