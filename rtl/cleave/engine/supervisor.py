"""The supervisor: it starts and ends programs, stops the engine at the first error, and resets it."""

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .isa import Error, Interrupt, Status
from .ports import Failure


class Supervisor(wiring.Component):
    """State of the engine, as STATUS shows it.

    A program ends, DONE, when everything it asked for is done. At the first failure, of the program or of a unit, all
    units are told to `abort`; when they have finished what they had begun on the bus, the state is ERROR, and only a
    reset ends it. A reset in any state aborts, waits in the same way, and clears everything but the programmed registers.

    Nothing hangs: if no unit has moved for `patience` cycles and none has anything under way, all wait for tokens
    that nobody will give (DEADLOCK). The bus may keep what it owes as long as it likes, unless a `watchdog` is programmed:
    after that many cycles without a transfer on any channel the state is ERROR at once (WATCHDOG), even though the bus
    still owes answers; the engine must then be reset together with its bus.

    Members
    -------
    start, reset : In(1)
        Pulses.
    watchdog : In(32)
        Cycles; 0 is no watchdog.
    failures : In(Failure).array(n)
        From the units; of several in one cycle, the first in the list counts.
    waiting : In(32)
        Number of an instruction that waits for a token, for a deadlock.
    finished : In(1)
        The program is read to its end, and nothing of it is left in any queue or unit.
    moving : In(1)
        Some unit has something under way, or did something in this cycle.
    owed : In(1)
        The bus owes an answer.
    quiet : In(1)
        No unit waits for the bus, and nothing is on its way in the array.
    transfer : In(1)
        A transfer on some channel of the bus.
    clear : Out(1), begin : Out(1)
        Pulses: reset all units; a cycle later, start to fetch.
    running, abort : Out(1)
    status : Out(4), error : Out(8), error_instruction : Out(32), events : Out(2)
        For the registers.
    """

    def __init__(self, config: EngineConfig, failures: int) -> None:
        self.config = config
        super().__init__({
            "start": In(1),
            "reset": In(1),
            "watchdog": In(32),
            "failures": In(Failure()).array(failures),
            "waiting": In(32),
            "finished": In(1),
            "moving": In(1),
            "owed": In(1),
            "quiet": In(1),
            "transfer": In(1),
            "clear": Out(1),
            "begin": Out(1),
            "running": Out(1),
            "abort": Out(1),
            "status": Out(len(Status)),
            "error": Out(Error),
            "error_instruction": Out(32),
            "events": Out(len(Interrupt)),
        })

    @property
    def patience(self) -> int:
        """Cycles without movement after which nothing can move any more: longer than any wait inside the engine."""
        array = self.config.array
        return 64 + array.load_cycles + array.slabs

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        state = {name: Signal(name=name.lower()) for name in ("DONE", "FAILED", "STOPPING", "RESETTING")}
        done, failed, stopping, resetting = state.values()

        still = Signal(range(self.patience + 1))
        stuck = Signal()
        m.d.comb += stuck.eq(self.running & (still == self.patience))
        with m.If(self.moving | ~self.running):
            m.d.sync += still.eq(0)
        with m.Elif(~stuck):
            m.d.sync += still.eq(still + 1)

        silent = Signal(32)
        bitten = Signal()
        m.d.comb += bitten.eq(self.watchdog.any() & (silent == self.watchdog))
        with m.If(~self.owed | self.transfer):
            m.d.sync += silent.eq(0)
        with m.Elif(~bitten):
            m.d.sync += silent.eq(silent + 1)

        # The first failure; of several at once a unit's own comes before what only shows that something is wrong.
        failure = Failure().create(path=("failure",))
        for symptom, code in [(stuck, Error.DEADLOCK), (bitten, Error.WATCHDOG)]:
            with m.If(symptom):
                m.d.comb += [failure.valid.eq(1), failure.code.eq(code), failure.index.eq(self.waiting)]
        for candidate in reversed([self.failures[i] for i in range(len(self.failures))]):
            with m.If(candidate.valid):
                m.d.comb += [getattr(failure, name).eq(getattr(candidate, name)) for name in failure.signature.members]

        m.d.comb += self.abort.eq(stopping | failed | resetting)
        with m.If(self.running):
            with m.If(failure.valid):
                m.d.sync += [
                    self.running.eq(0), stopping.eq(1), self.error.eq(failure.code), self.error_instruction.eq(failure.index),
                ]  # fmt: skip
            with m.Elif(self.finished):
                m.d.sync += [self.running.eq(0), done.eq(1)]
                m.d.comb += self.events.eq(Interrupt.DONE)
        with m.If(stopping & (self.quiet | bitten)):
            m.d.sync += [stopping.eq(0), failed.eq(1)]
            m.d.comb += self.events.eq(Interrupt.ERROR)
        with m.If(self.begin):
            m.d.sync += self.begin.eq(0)
        with m.If(self.start):
            m.d.sync += [done.eq(0), self.begin.eq(1), self.running.eq(1)]
            m.d.comb += self.clear.eq(1)
        with m.If(self.reset):
            m.d.sync += [self.running.eq(0), stopping.eq(0), self.begin.eq(0), resetting.eq(1)]
        with m.Elif(resetting & self.quiet):
            m.d.sync += [resetting.eq(0), done.eq(0), failed.eq(0)]
            m.d.comb += self.clear.eq(1)
        with m.Elif(resetting & bitten):
            m.d.sync += [
                resetting.eq(0), failed.eq(1), self.error.eq(Error.WATCHDOG), self.error_instruction.eq(self.waiting),
            ]  # fmt: skip
            m.d.comb += self.events.eq(Interrupt.ERROR)
        with m.If(self.clear):
            m.d.sync += [self.error.eq(Error.NONE), self.error_instruction.eq(0)]

        m.d.comb += self.status.eq(
            Status.BUSY * (self.running | stopping | resetting)
            | Status.DONE * done
            | Status.ERROR * failed
            | Status.RESETTING * resetting
        )
        return m
