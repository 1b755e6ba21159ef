"""Which drains are under way, and which is complete."""

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .drain_layouts import job_layout
from .isa import Output
from .ports import Complete

__all__ = ["JOBS", "DrainLedger"]

JOBS = 8
"""Most drains under way."""


class DrainLedger(wiring.Component):
    """Complete jobs in their order, though moving and memory outputs are done independently of each other.

    Members
    -------
    job : In(stream.Signature(job_layout(config)))
    written, moved : In(1)
        Pulse: the oldest job with a memory output, or with output MOVING, is done.
    writing : Out(32)
        Index of the oldest job with a memory output that is not done.
    complete : Out(Complete())
        At the earliest in the cycle after `written` or `moved`.
    busy : Out(1)
        Jobs are under way.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "written": In(1),
            "moved": In(1),
            "writing": Out(32),
            "complete": Out(Complete()),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        job = self.job.payload
        moving = job.output == Output.MOVING
        m.submodules.jobs = jobs = SyncFIFOBuffered(width=1 + len(job.signal), depth=JOBS)
        m.submodules.writes = writes = SyncFIFOBuffered(width=len(job.index), depth=JOBS)
        push = Signal()
        m.d.comb += [
            self.job.ready.eq(jobs.w_rdy & writes.w_rdy),
            push.eq(self.job.valid & self.job.ready),
            jobs.w_en.eq(push),
            jobs.w_data.eq(Cat(moving, job.signal)),
            writes.w_en.eq(push & ~moving),
            writes.w_data.eq(job.index),
            writes.r_en.eq(self.written),
            self.writing.eq(writes.r_data),
            self.busy.eq(jobs.level != 0),
        ]

        # Jobs that are done but not complete, by output: [memory, moving].
        done = [Signal(range(JOBS + 1), name=name) for name in ("done_memory", "done_moving")]
        finished = Signal(2)
        oldest_moves = jobs.r_data[0]
        m.d.comb += [
            finished.eq(Cat(count.any() for count in done)),
            jobs.r_en.eq(jobs.r_rdy & finished.bit_select(oldest_moves, 1)),
            self.complete.valid.eq(jobs.r_en),
            self.complete.signal.eq(jobs.r_data[1:]),
        ]
        for count, pulse, moves in [(done[0], self.written, 0), (done[1], self.moved, 1)]:
            m.d.sync += count.eq(count + pulse - (jobs.r_en & (oldest_moves == moves)))
        return m
