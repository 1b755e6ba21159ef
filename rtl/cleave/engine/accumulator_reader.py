"""The drain's reads: rows of accumulators, straightened and handed on beat by beat."""

from functools import reduce
from operator import or_

from amaranth.hdl import Assert, Cat, Elaboratable, Format, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..hdl import delay
from .drain_layouts import job_layout, read_layout
from .ports import READ_LATENCY, AccumulatorRead

__all__ = ["AccumulatorReader", "reader_depth"]


def reader_depth(config: EngineConfig) -> int:
    """Give the reads that may be on their way, each with places in the queues."""
    return config.drain_lanes + 5


class AccumulatorReader(wiring.Component):
    """Read a job's rows, `read_columns` columns at a time, and give them out as beats of `drain_lanes` columns.

    A read's columns come one cycle after the other and cannot be stopped. Each half of them is straightened by a
    triangle of registers, and has a queue behind it; a read is asked for only while a place in the queues is free for
    it.

    All slabs' columns meet in one register: a slab that is not read gives 0.

    Latency: a read's first beat comes `READ_LATENCY + drain_lanes + 2` cycles after it is accepted, its second
    `drain_lanes` cycles later. Throughput: one beat per cycle, as long as a read is accepted every other cycle; the
    queues are long enough for the reads that are made so until the first one's last beat has left.

    Members
    -------
    job : In(stream.Signature(job_layout(config)))
        A job is accepted when all reads of the one before are.
    stop : In(1)
        Ask for no more reads.
    read : Out(AccumulatorRead(config)).array(slabs)
    o : Out(stream.Signature(read_layout(config)))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "stop": In(1),
            "read": Out(AccumulatorRead(config)).array(config.array.slabs),
            "o": Out(stream.Signature(read_layout(config))),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        lanes = config.drain_lanes
        widths = [min(lanes, config.read_columns - first) for first in range(0, config.read_columns, lanes)]
        depth = reader_depth(config)

        # Ask: groups of each row, row after row.
        job = Signal(job_layout(config))
        active = Signal()
        row, left, group = Signal.like(job.accumulator), Signal.like(job.rows), Signal.like(self.read[0].group)
        credit = Signal(range(depth + 1), init=depth)
        last_group = Signal.like(group)

        def first_group(job: data.View) -> Value | int:
            return Mux(job.lane, config.read_groups, 0) if config.array.lanes > 1 else 0

        ask, accepted, row_ends, job_ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            last_group.eq(first_group(job) + (job.last_beat >> (len(widths) - 1))),
            ask.eq(active & credit.any() & ~self.stop),
            accepted.eq(ask & Cat(read.ready for read in self.read).bit_select(job.slab, 1)),
            row_ends.eq(group == last_group),
            job_ends.eq(accepted & row_ends & (left == 1)),
            self.job.ready.eq(~active | job_ends),
        ]
        for slab, read in enumerate(self.read):
            m.d.comb += [read.valid.eq(ask & (job.slab == slab)), read.group.eq(group), read.address.eq(row)]
        with m.If(accepted):
            m.d.sync += group.eq(group + 1)
            with m.If(row_ends):
                m.d.sync += [group.eq(first_group(job)), row.eq(row + 1), left.eq(left - 1)]
        with m.If(self.job.ready):
            m.d.sync += active.eq(self.job.valid)
        with m.If(self.job.ready & self.job.valid):
            m.d.sync += [
                job.eq(self.job.payload),
                row.eq(self.job.payload.accumulator),
                left.eq(self.job.payload.rows),
                group.eq(first_group(self.job.payload)),
            ]

        # Straighten: a token travels with each half and pushes it into its queue when its last column is there.
        columns = [
            delay(m, f"column_{column}", reduce(or_, (read.data[column] for read in self.read)), 1)
            for column in range(config.read_columns)
        ]
        queues = []
        for half, width in enumerate(widths):
            wanted, last = Signal(name=f"wanted_{half}"), Signal(name=f"last_{half}")
            if len(widths) == 1:
                m.d.comb += [wanted.eq(accepted), last.eq(row_ends)]
            else:
                m.d.comb += [
                    wanted.eq(accepted & (~row_ends | (job.last_beat[0] >= half))),
                    last.eq(row_ends & (job.last_beat[0] == half)),
                ]
            token = delay(m, f"token_{half}", Cat(wanted, last), READ_LATENCY + half * lanes + width, reset_less=False)
            straight = [
                delay(m, f"lane_{half}_{lane}", column, width - 1 - lane)
                for lane, column in enumerate(columns[half * lanes:][:width])
            ]
            beat = Signal(read_layout(config), name=f"beat_{half}")
            queue = SyncFIFOBuffered(width=len(beat.as_value()), depth=depth)
            m.submodules[f"queue_{half}"] = queue
            m.d.comb += [
                beat.last.eq(token[1]),
                *(beat.accumulators[lane].eq(value) for lane, value in enumerate(straight)),
                queue.w_data.eq(beat),
                queue.w_en.eq(token[0]),
            ]
            m.d.sync += Assert(~token[0] | queue.w_rdy, Format("accumulators of half {} lost", half))
            queues.append(queue)

        # Give out: the halves in turn, from the first one in each row.
        turn = Signal(range(max(2, len(queues))))
        given, returned = Signal(), Signal()
        with m.Switch(turn):
            for half, queue in enumerate(queues):
                with m.Case(half):
                    m.d.comb += [
                        self.o.valid.eq(queue.r_rdy),
                        self.o.payload.eq(queue.r_data),
                        queue.r_en.eq(self.o.ready),
                    ]
        m.d.comb += [
            given.eq(self.o.valid & self.o.ready),
            returned.eq(given & (self.o.payload.last | (turn == len(queues) - 1))),
        ]
        with m.If(given):
            m.d.sync += turn.eq(Mux(returned, 0, turn + 1))
        m.d.sync += credit.eq(credit - accepted + returned)
        return m
