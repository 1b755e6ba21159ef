"""The whole engine in trouble: every error stops it with its code and instruction, and a soft reset recovers it."""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.axi import OKAY, SLVERR
from cleave.engine.isa import Control, Counter, Destination, Error, Interrupt, Output, Register, Status, Unit, slab_bit
from cleave.errors import EngineError
from cleave.model.machine import Machine
from cleave.numerics.requantise import RECORD
from cleave.sim import Simulator
from tb.engine import programs
from tb.engine.programs import Instruction, drain, load, place
from tb.model.test_machine import BAD, CONFIG, NONE, PROGRAM, RISING, WINDOW

LOAD, DRAIN = 1 << Unit.LOAD, 1 << Unit.DRAIN
LIMIT = 100_000
"""Cycles after which a program hangs."""

STALLING = {"steady": {"latency": 3}, "stalling": {"latency": 20, "stalls": 0.5}}


@pytest.fixture(scope="module", params=STALLING)
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(CONFIG, memory_bytes=WINDOW, **STALLING[request.param]) as simulator:
        yield simulator


def matmul(**fields: int) -> Instruction:
    """One row on slab 0, unless fields say otherwise."""
    return programs.matmul(shift=CONFIG.exact_shift, **fields)


def whole() -> list[Instruction]:
    """One of everything: both kinds of operands, split and fused passes, parameters, and all outputs."""
    array, columns = CONFIG.array, CONFIG.array.columns
    width, line = array.slabs * array.rows, array.slabs * columns
    last = slab_bit(array.slabs - 1)
    moving = drain(Output.MOVING, slab=2, rows=2, columns=4, memory=1 | 8 << 32, wait=last, signal=last)
    return [
        load(Destination.PARAMETERS, rows=1, row_bytes=48, memory=64),
        load(rows=10, row_bytes=width, memory=200, stride=width),
        load(Destination.STATIONARY, rows=array.rows, row_bytes=line, memory=400, stride=line, signal=slab_bit(0) | DRAIN),
        matmul(first=0, rows=2, wait=LOAD),
        matmul(first=0, count=3, rows=4, passes=2, accumulate_rest=1, signal=DRAIN),
        Instruction(moving.opcode, moving.fields | {"wait": last | LOAD, "signal": slab_bit(0)}),
        matmul(first=0, count=3, rows=2, moving=8, accumulator=4, wait=DRAIN, signal=DRAIN),
        drain(Output.INT8, slab=2, rows=4, columns=columns, memory=2001, stride=columns),
        drain(slab=2, rows=6, columns=columns, memory=2501, stride=4 * columns, wait=last),
    ]


def prepare(simulator: Simulator, seed: int = 0) -> tuple[tuple[int, int], NDArray[np.uint8]]:
    """Place `whole()` with random operands; give what `run` takes, and the memory afterwards."""
    simulator.memory[:] = np.random.default_rng(seed).integers(0, 256, WINDOW, np.uint8)
    records = simulator.memory[64:112].view(RECORD)
    records["shift"] %= 24
    window = place(simulator.memory, whole(), PROGRAM)
    machine = Machine(CONFIG, simulator.memory.copy())
    machine.run(*window)
    return window, machine.memory


def works(simulator: Simulator, seed: int = 0) -> None:
    """Check that the engine computes."""
    window, expected = prepare(simulator, seed)
    assert simulator.run(*window, max_cycles=LIMIT).status == Status.DONE
    np.testing.assert_array_equal(simulator.memory, expected)


def fails(simulator: Simulator, *program: Instruction, watchdog: int = 0) -> tuple[Error, int]:
    """Run a program that fails; give code and index."""
    window = place(simulator.memory, list(program), PROGRAM)
    with pytest.raises(EngineError) as caught:
        simulator.run(*window, watchdog=watchdog, max_cycles=LIMIT)
    assert simulator.get(Register.STATUS) == Status.ERROR
    assert simulator.get(Register.INTERRUPT) == Interrupt.ERROR
    assert simulator.write_register(Register.CONTROL, Control.START) == SLVERR, "only a reset ends an error"
    simulator.soft_reset()
    assert [simulator.get(r) for r in (Register.STATUS, Register.ERROR, Register.ERROR_INSTRUCTION)] == [0, 0, 0]
    return caught.value.code, caught.value.index


@pytest.mark.parametrize("name", BAD)
def test_bad_instructions(simulator: Simulator, name: str) -> None:
    instruction, code = BAD[name]
    simulator.memory[RISING : RISING + 3], simulator.memory[NONE : NONE + 2] = (7, 7, 8), 0
    assert fails(simulator, load(), Instruction(*instruction), load(), load()) == (code, 1)
    works(simulator)


@pytest.mark.parametrize("waiting", [
    load(wait=DRAIN), load(wait=slab_bit(2)), matmul(first=1, wait=LOAD), matmul(count=3, wait=DRAIN), drain(wait=LOAD),
    drain(wait=slab_bit(1)),
])  # fmt: skip
def test_deadlock(simulator: Simulator, waiting: Instruction) -> None:
    fine = [matmul(first=s, signal=LOAD) for s in range(2)]
    after = [matmul(moving=1, accumulator=1), drain(slab=2, accumulator=5), load(address=3)]
    assert fails(simulator, *fine, waiting, *after) == (Error.DEADLOCK, 2)
    works(simulator)


def test_a_token_is_taken_once_and_at_the_first_slab(simulator: Simulator) -> None:
    give, fused = load(address=3, signal=slab_bit(0) | DRAIN), matmul(count=3, wait=LOAD)
    drains = [drain(slab=1, memory=4 * i, wait=LOAD) for i in range(3)]
    program = [*[give] * 3, *[fused] * 3, *drains]
    assert simulator.run(*place(simulator.memory, program, PROGRAM), max_cycles=LIMIT).status == Status.DONE
    for taker in (drain(slab=1, wait=LOAD), *(matmul(first=s, wait=LOAD) for s in range(3))):
        assert fails(simulator, *program, taker) == (Error.DEADLOCK, len(program))
    works(simulator)


@pytest.mark.parametrize("giver", [load(signal=slab_bit(1)), matmul(first=2, signal=LOAD), drain(signal=LOAD)])
def test_token_overflow(simulator: Simulator, giver: Instruction) -> None:
    code, index = fails(simulator, *[giver] * 8)
    assert code == Error.TOKEN_OVERFLOW and index >= 3
    works(simulator)
    window = place(simulator.memory, [giver] * 3, PROGRAM)
    simulator.run(*window, max_cycles=LIMIT)  # as many as a counter holds
    works(simulator)


def test_bus_errors(simulator: Simulator) -> None:
    program = whole()
    reads, writes = [(64 + 40, 0), (200 + 71, 1), (400 + 17, 2)], [(2001, 7), (2001 + 17, 7), (2501 + 100, 8)]
    fetches = [(PROGRAM + 32 * index + 31, index) for index in range(len(program))]
    for code, faults in [(Error.AXI_READ, reads + fetches), (Error.AXI_WRITE, writes)]:
        for offset, index in faults:
            simulator.fault(offset)
            assert fails(simulator, *program) == (code, index)
            simulator.clear_faults()
            works(simulator)


def test_what_the_window_does_not_hold(simulator: Simulator) -> None:
    place(simulator.memory, [load()] * 3, WINDOW - 96)
    for offset, length, expected in [(WINDOW - 96, 4, (Error.WINDOW, 3)), (PROGRAM + 8, 1, (Error.ILLEGAL_INSTRUCTION, 0))]:
        simulator.start(offset, length)
        assert simulator.wait(10_000)
        assert (Error(simulator.get(Register.ERROR)), simulator.get(Register.ERROR_INSTRUCTION)) == expected
        simulator.soft_reset()
        works(simulator)


def test_an_empty_program(simulator: Simulator) -> None:
    assert simulator.run(PROGRAM, 0, max_cycles=LIMIT).status == Status.DONE
    works(simulator)


def test_busy_refuses(simulator: Simulator) -> None:
    window, expected = prepare(simulator)
    simulator.start(*window)
    for _ in range(3):
        assert simulator.write_register(Register.CONTROL, Control.START) == SLVERR
        assert simulator.write_register(Register.PROGRAM_LENGTH, 1) == SLVERR
        assert simulator.write_register(Register.WINDOW_BASE_LOW, 0) == SLVERR
        assert simulator.get(Register.STATUS) == Status.BUSY
    assert simulator.wait(10_000)
    np.testing.assert_array_equal(simulator.memory, expected)
    assert simulator.write_register(Register.PROGRAM_LENGTH, 1) == OKAY


def test_soft_reset_in_every_cycle(simulator: Simulator, seed: int) -> None:
    """However far a program is, a reset ends it, and the next one starts at once, with nothing of the old one left."""
    rng = Random(seed)
    window = place(simulator.memory, whole(), PROGRAM)
    counters = simulator.run(*window, max_cycles=LIMIT).counters
    for delay in range(0, counters[Counter.CYCLES] + 10, 1 + counters[Counter.CYCLES] // 400):
        simulator.start(*window)
        simulator.step(delay)
        assert simulator.write_register(Register.CONTROL, Control.RESET) == OKAY
        for _ in range(5000):
            if not simulator.get(Register.STATUS) & Status.RESETTING:
                break
        assert simulator.get(Register.STATUS) == 0
        if rng.random() < 0.3:
            works(simulator, delay)
            window = place(simulator.memory, whole(), PROGRAM)
            continue
        assert simulator.write_register(Register.INTERRUPT, 3) == OKAY
        assert simulator.write_register(Register.CONTROL, Control.START) == OKAY
        assert simulator.wait(20_000), delay
        assert simulator.get(Register.STATUS) == Status.DONE


def test_soft_reset_while_the_bus_owes() -> None:
    """A reset waits for what the bus owes; a watchdog gives up, and a reset after the answers recovers the engine."""
    with Simulator(CONFIG, memory_bytes=WINDOW, latency=1000) as simulator:
        window = place(simulator.memory, whole(), PROGRAM)
        simulator.start(*window)
        simulator.step(50)
        begin = simulator.cycle
        simulator.soft_reset()
        assert 900 < simulator.cycle - begin < 1100
        works(simulator)
        place(simulator.memory, [], PROGRAM)
        with pytest.raises(EngineError) as caught:
            simulator.run(*window, watchdog=900, max_cycles=LIMIT)
        assert caught.value.code == Error.WATCHDOG
        assert simulator.get(Register.STATUS) == Status.ERROR
        simulator.step(2000)
        simulator.soft_reset()
        works(simulator)
        assert simulator.run(*window, watchdog=1100, max_cycles=LIMIT).status == Status.DONE


LONG = EngineConfig(
    ArrayConfig(slabs=2, rows=48, columns=2, dot=1), moving_depth=64, stationary_depth=48, accumulator_depth=8,
    axi_data_width=64, block_scales=False, accumulator_bits=32,
)  # fmt: skip
"""A tile takes longer than a restart."""


@pytest.fixture(scope="module")
def long_tiles() -> Iterator[Simulator]:
    with Simulator(LONG, memory_bytes=WINDOW, latency=1) as simulator:
        yield simulator


def test_restart_while_a_tile_is_written(long_tiles: Simulator) -> None:
    simulator = long_tiles
    simulator.memory[:] = np.random.default_rng(1).integers(0, 256, WINDOW, np.uint8)
    program = [
        load(row_bytes=96, memory=0), load(Destination.STATIONARY, rows=48, row_bytes=4, memory=100, stride=4, signal=slab_bit(0)),
        programs.matmul(wait=LOAD, count=2, signal=DRAIN), drain(slab=1, columns=2, memory=1000, wait=slab_bit(1)),
    ]  # fmt: skip
    assert simulator.run(*place(simulator.memory, program, PROGRAM), max_cycles=LIMIT).status == Status.DONE
    row, tile = simulator.memory[:96].view(np.int8).astype(int), simulator.memory[100:292].view(np.int8).reshape(48, 2, 2)
    expected = row[:48] @ tile[:, 0] + row[48:] @ tile[:, 1]
    resident = [programs.matmul(count=2, signal=DRAIN), drain(slab=1, columns=2, memory=1000, wait=slab_bit(1))]
    window = place(simulator.memory, resident, PROGRAM)
    for delay in range(150):
        simulator.memory[1000:1008] = 0
        simulator.start(*window)
        simulator.step(delay)
        simulator.set(Register.CONTROL, Control.RESET)
        while simulator.get(Register.STATUS) & Status.RESETTING:
            pass
        simulator.set(Register.INTERRUPT, 3)
        simulator.set(Register.CONTROL, Control.START)
        assert simulator.wait(10_000), delay
        np.testing.assert_array_equal(simulator.memory[1000:1008].view("<i4"), expected)


def test_the_watchdog_lets_the_array_work(long_tiles: Simulator) -> None:
    program = [programs.matmul(passes=100, accumulate_rest=1)]
    counters = long_tiles.run(*place(long_tiles.memory, program, PROGRAM), watchdog=200, max_cycles=LIMIT).counters
    assert counters[Counter.ARRAY_CYCLES] > 4000
