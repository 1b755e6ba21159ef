"""The supervisor: every way from one state to the next, to the cycle."""

from collections.abc import Callable

import pytest
from amaranth.sim import Simulator

from cleave.config import PRESETS
from cleave.engine.isa import Error, Interrupt, Status
from cleave.engine.supervisor import Supervisor

BUSY, DONE, ERROR, RESETTING = Status.BUSY, Status.DONE, Status.ERROR, Status.RESETTING
INPUTS = ("start", "reset", "watchdog", "waiting", "finished", "moving", "owed", "quiet", "transfer")


class Bench:
    """A supervisor and what it showed in the last cycle."""

    def __init__(self, ctx, dut: Supervisor) -> None:  # noqa: ANN001
        self.ctx, self.dut = ctx, dut
        self.set(quiet=1)

    def set(self, **inputs: int) -> None:
        for name, value in inputs.items():
            assert name in INPUTS
            self.ctx.set(getattr(self.dut, name), value)

    def fail(self, number: int, code: Error, index: int) -> None:
        self.ctx.set(self.dut.failures[number].code, code)
        self.ctx.set(self.dut.failures[number].index, index)
        self.ctx.set(self.dut.failures[number].valid, 1)

    async def step(self, cycles: int = 1, **pulses: int) -> "Bench":
        """Let `cycles` pass; `pulses` last one. Events, clear and begin are those of the last cycle."""
        for _ in range(cycles):
            self.set(**pulses)
            self.events = Interrupt(self.ctx.get(self.dut.events))
            self.clear, self.begin = bool(self.ctx.get(self.dut.clear)), bool(self.ctx.get(self.dut.begin))
            await self.ctx.tick()
            self.set(**dict.fromkeys(pulses, 0))
            for failure in self.dut.failures:
                self.ctx.set(failure.valid, 0)
        return self

    async def start(self) -> None:
        """Start a program that has something under way and is not finished."""
        await self.step(start=1)
        assert self.clear and not self.begin
        self.set(moving=1, finished=0)
        await self.step()
        assert self.begin and not self.clear

    def state(self) -> tuple[Status, bool, bool]:
        get = self.ctx.get
        return Status(get(self.dut.status)), bool(get(self.dut.running)), bool(get(self.dut.abort))

    def resetting(self) -> bool:
        status, running, abort = self.state()
        return status & (BUSY | RESETTING) == BUSY | RESETTING and abort and not running

    def error(self) -> tuple[Error, int]:
        return Error(self.ctx.get(self.dut.error)), self.ctx.get(self.dut.error_instruction)


IDLE = Status(0), False, False
RUNNING = BUSY, True, False
STOPPING = BUSY, False, True
FAILED = ERROR, False, True
NO_ERROR = Error.NONE, 0
PATIENCE = Supervisor(PRESETS["tiny"], 3).patience


def supervised(test: Callable) -> Callable[[], None]:
    """Run `test(bench)` on a supervisor with three units."""

    def run() -> None:
        async def bench(ctx) -> None:  # noqa: ANN001
            await test(Bench(ctx, dut))

        dut = Supervisor(PRESETS["tiny"], 3)
        simulator = Simulator(dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()

    run.__name__ = test.__name__
    return run


@supervised
async def test_a_program_that_ends(bench: Bench) -> None:
    assert bench.state() == IDLE and bench.error() == NO_ERROR
    await bench.start()
    await bench.step()
    assert bench.state() == RUNNING and not bench.begin and not bench.events
    await bench.step(finished=1)
    assert bench.events == Interrupt.DONE
    assert bench.state() == (DONE, False, False)
    await bench.step(3 * PATIENCE)
    assert bench.state() == (DONE, False, False) and not bench.events
    await bench.start()
    assert bench.state() == RUNNING, "DONE falls with the next START"


@supervised
async def test_the_first_failure_stops(bench: Bench) -> None:
    await bench.start()
    bench.set(quiet=0)
    bench.fail(2, Error.AXI_READ, 7)
    bench.fail(1, Error.WINDOW, 8)
    await bench.step(finished=1)
    assert not bench.events
    assert bench.state() == STOPPING and bench.error() == (Error.WINDOW, 8)
    bench.fail(0, Error.BANK_RANGE, 1)
    await bench.step(100)
    assert bench.state() == STOPPING and bench.error() == (Error.WINDOW, 8) and not bench.events
    await bench.step(quiet=1)
    assert bench.events == Interrupt.ERROR
    assert bench.state() == FAILED
    bench.fail(0, Error.BANK_RANGE, 1)
    await bench.step(3 * PATIENCE)
    assert bench.state() == FAILED and bench.error() == (Error.WINDOW, 8) and not bench.events
    bench.set(quiet=0)
    await bench.step(reset=1)
    assert bench.resetting() and not bench.clear
    await bench.step(50)
    assert bench.resetting() and not bench.clear
    await bench.step(quiet=1)
    assert bench.clear and not bench.events
    assert bench.state() == IDLE and bench.error() == NO_ERROR
    await bench.start()
    assert bench.state() == RUNNING


@supervised
async def test_deadlock_after_exactly_the_patience(bench: Bench) -> None:
    bench.set(waiting=5)
    await bench.start()
    await bench.step(3 * PATIENCE)
    assert bench.state() == RUNNING
    bench.set(moving=0)
    await bench.step(PATIENCE - 1)
    await bench.step(moving=1)  # a single movement is enough
    await bench.step(PATIENCE)
    assert bench.state() == RUNNING
    await bench.step()
    assert bench.state() == STOPPING and bench.error() == (Error.DEADLOCK, 5)
    await bench.step()
    assert bench.events == Interrupt.ERROR and bench.state() == FAILED


@supervised
async def test_watchdog_after_exactly_its_cycles(bench: Bench) -> None:
    bench.set(watchdog=20, waiting=6)
    await bench.start()
    bench.set(quiet=0)
    await bench.step(100)
    assert bench.state() == RUNNING, "the array may work on as long as the bus owes nothing"
    bench.set(owed=1)
    await bench.step(19)
    await bench.step(transfer=1)
    await bench.step(20)
    assert bench.state() == RUNNING
    await bench.step()
    assert bench.state() == STOPPING and bench.error() == (Error.WATCHDOG, 6)
    await bench.step()
    assert bench.events == Interrupt.ERROR
    assert bench.state() == FAILED, "at once, though not quiet"
    # A reset does not end before the bus answers; without an answer it fails again.
    await bench.step(transfer=1)
    await bench.step(reset=1)
    await bench.step(19)
    assert bench.state()[0] & RESETTING
    await bench.step()
    assert bench.events == Interrupt.ERROR and bench.state() == FAILED and bench.error() == (Error.WATCHDOG, 6)
    bench.set(owed=0, quiet=1)
    await bench.step()
    await bench.step(reset=1)
    await bench.step()
    assert bench.clear and bench.state() == IDLE


@supervised
async def test_no_watchdog(bench: Bench) -> None:
    await bench.start()
    bench.set(quiet=0, owed=1)
    await bench.step(500)
    assert bench.state() == RUNNING


@supervised
async def test_a_watchdog_ends_stopping(bench: Bench) -> None:
    bench.set(watchdog=20)
    await bench.start()
    bench.set(quiet=0, owed=1)
    await bench.step(10)
    bench.fail(0, Error.AXI_WRITE, 3)
    await bench.step()
    await bench.step(9)
    assert bench.state() == STOPPING
    await bench.step()
    assert bench.state() == FAILED and bench.error() == (Error.AXI_WRITE, 3)


async def begun(bench: Bench) -> None:
    await bench.step(start=1)


async def done(bench: Bench) -> None:
    await bench.start()
    await bench.step(finished=1)


async def stopping(bench: Bench) -> None:
    await bench.start()
    bench.fail(0, Error.WINDOW, 3)
    bench.set(quiet=0)
    await bench.step()


async def failed(bench: Bench) -> None:
    await stopping(bench)
    await bench.step(quiet=1)


async def resetting(bench: Bench) -> None:
    await bench.start()
    bench.set(quiet=0)
    await bench.step(reset=1)


@pytest.mark.parametrize("way", [None, begun, Bench.start, done, stopping, failed, resetting])
@pytest.mark.parametrize("quiet", [0, 1])
def test_reset_in_every_state(way: Callable | None, quiet: int) -> None:
    async def test(bench: Bench) -> None:
        if way is not None:
            await way(bench)
        bench.set(quiet=quiet)
        await bench.step(reset=1)
        assert bench.resetting()
        if not quiet:
            await bench.step(2 * PATIENCE)
            assert bench.resetting() and not bench.clear and not bench.begin
        bench.set(quiet=1)
        await bench.step(finished=1)
        assert bench.clear and not bench.events
        assert bench.state() == IDLE and bench.error() == NO_ERROR
        await bench.step(5)
        assert not bench.begin and not bench.clear

    supervised(test)()


@supervised
async def test_the_end_beats_nothing(bench: Bench) -> None:
    """A failure in the last cycle counts; a reset in it leaves no state behind."""
    await bench.start()
    bench.fail(1, Error.TOKEN_OVERFLOW, 9)
    await bench.step(finished=1)
    assert bench.state() == STOPPING
    await bench.step(reset=1)
    await bench.step()
    assert bench.state() == IDLE and bench.error() == NO_ERROR
    await bench.start()
    await bench.step(finished=1, reset=1)
    await bench.step()
    assert bench.state() == IDLE
