"""A layer's passes with operands in the scratchpad: what the array itself costs, without memory."""

import numpy as np

from ..api import Engine
from ..compile.problem import cuts
from ..compile.trains import Train, compile_trains


def resident_cycles(engine: Engine, m: int, k: int, n: int, partition: int) -> int:
    """Run as many passes of `m` rows as an `m` x `k` x `n` product takes on partitions of `partition` slabs each.

    Operands are random and stand in the scratchpad before the first pass starts. Gives the cycles from there to the
    last result, from the hardware's counter.

    Raises
    ------
    AssertionError
        If a result is wrong, or the engine has no timing.
    """
    config, array = engine.config, engine.config.array
    tiles = cuts(m, min(config.moving_depth, config.accumulator_depth))
    passes = tiles * cuts(k, partition * array.rows) * cuts(n, array.columns)
    groups = array.slabs // partition
    shares = [len(range(group, passes, groups)) for group in range(groups)]
    trains = [Train(group * partition, partition, cuts(m, tiles), share) for group, share in enumerate(shares) if share]
    program = compile_trains(config, trains)
    engine.memory[: len(program.memory)] = program.memory
    stats = engine.run(program.offset, program.length)
    for computed, expected in zip(program.computed(engine.memory), program.expected, strict=True):
        np.testing.assert_array_equal(computed, expected)
    assert stats.array_cycles is not None
    return stats.array_cycles
