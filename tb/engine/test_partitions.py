"""Random programs of MATMULs on random partitions: the RTL's accumulators, and what is drained of them, equal the machine's.

Passes of one or two rows into the same accumulators, cuts that change with every instruction, and slabs that run ahead
of each other: whatever the order in time, the result is that of the program's order.
"""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.isa import Counter, Unit, slab_bit
from cleave.model.machine import Machine
from cleave.sim import Simulator
from tb.engine.programs import (
    MEMORY,
    Instruction,
    banks,
    drain,
    fill,
    matmul,
    place,
    random_drains,
    random_matmuls,
    records,
    results,
)

ARRAYS = {
    "short_tiles": ArrayConfig(slabs=3, rows=8, columns=3, dot=4, load_rows=4),
    "staged": ArrayConfig(slabs=4, rows=4, columns=5, dot=1, multiply_stages=2),
    "lanes": ArrayConfig(slabs=3, rows=8, columns=3, dot=4, load_rows=4, stationary_bits=4, multiply_stages=1),
    "lanes_plain": ArrayConfig(slabs=2, rows=4, columns=5, dot=2, stationary_bits=4),
    "lanes_ecp5": ArrayConfig(slabs=3, rows=4, columns=4, dot=1, stationary_bits=4, cell="ecp5", multiply_stages=4),
}
PROGRAMS = 40
LIMIT = 200_000
"""Cycles after which a program hangs."""


@pytest.fixture(scope="module", params=ARRAYS)
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    config = EngineConfig(
        ARRAYS[request.param], moving_depth=64, stationary_depth=72, accumulator_depth=24, bank_columns=2,
        axi_data_width=128 if request.param == "lanes" else 64,  # a row is one beat of the drain
    )  # fmt: skip
    config = config.plain() if request.param.endswith("plain") else config
    with Simulator(config, memory_bytes=MEMORY, latency=3) as simulator:
        yield simulator


def test_random_partitions(simulator: Simulator, seed: int) -> None:
    rng = Random(seed)
    config = simulator.config
    for number in range(PROGRAMS):
        fill(config, simulator.memory, seed + number)
        program = [*banks(config), *random_matmuls(config, rng, 150), *results(config)]
        window = place(simulator.memory, program)
        machine = Machine(config, simulator.memory.copy())
        machine.run(*window)
        counters = simulator.run(*window, max_cycles=LIMIT).counters
        np.testing.assert_array_equal(simulator.memory, machine.memory)
        assert counters[Counter.USEFUL_MACS] == machine.useful_macs
        slab_cycles = sum(value for counter, value in counters.items() if counter >= Counter.STREAMING)
        assert slab_cycles == config.array.slabs * counters[Counter.CYCLES]


def test_random_drains(simulator: Simulator, seed: int) -> None:
    """Every output, from either lane, of part of the accumulators."""
    rng = Random(seed)
    config = simulator.config
    for number in range(PROGRAMS):
        fill(config, simulator.memory, seed + number)
        program = [*records(config), *banks(config), *random_matmuls(config, rng, 10), *random_drains(config, rng, 6)]
        window = place(simulator.memory, program)
        machine = Machine(config, simulator.memory.copy())
        machine.run(*window)
        simulator.run(*window, max_cycles=LIMIT)
        np.testing.assert_array_equal(simulator.memory, machine.memory)


def test_drains_beside_passes(simulator: Simulator, seed: int) -> None:
    """The drain reads accumulators while passes add to others in the same bank, neither disturbing the other."""
    config = simulator.config
    array, half = config.array, config.accumulator_depth // 2
    fill(config, simulator.memory, seed)
    program = banks(config)
    for s in range(array.slabs):
        # The upper half of the bank is finished; the lower half is added to for as long as the upper is drained.
        work = {"first": s, "rows": half, "moving_step": 1, "accumulate_first": 1, "accumulate_rest": 1}
        work |= {"shift": config.exact_shift, "pairs": array.lanes - 1}
        program += [
            matmul(**work, accumulator=half, passes=3, signal=1 << Unit.DRAIN),
            matmul(**work, passes=40),
            drain(slab=s, accumulator=half, rows=half, columns=array.columns, memory=s * 4096, stride=array.columns * 4,
                  lane=array.lanes - 1, wait=slab_bit(s)),
        ]  # fmt: skip
    program += [matmul(first=s, moving=s, signal=1 << Unit.DRAIN) for s in range(array.slabs)]
    size = config.accumulator_depth * array.columns * 4
    program += [Instruction(d.opcode, d.fields | {"memory": 2**15 + s * size}) for s, d in enumerate(results(config))]
    window = place(simulator.memory, program)
    machine = Machine(config, simulator.memory.copy())
    machine.run(*window)
    simulator.run(*window, max_cycles=LIMIT)
    np.testing.assert_array_equal(simulator.memory, machine.memory)
