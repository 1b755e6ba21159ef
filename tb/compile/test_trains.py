"""Resident trains on the bit-exact model."""

import numpy as np
import pytest

from cleave.compile.trains import Train, compile_trains
from cleave.config import PRESETS
from cleave.engine.isa import INSTRUCTION_BYTES, decode
from cleave.model.machine import Machine
from cleave.model.order import find

TRAINS = {
    "fused": [Train(0, 4, rows=8, passes=256)],
    "fused, long stream": [Train(0, 4, rows=64, passes=64)],
    "four problems": [Train(slab, 1, rows=64, passes=40, accumulate=False) for slab in range(4)],
    "ragged": [Train(0, 1, rows=5, passes=1), Train(1, 2, rows=256, passes=9), Train(3, 1, rows=1, passes=300)],
}


@pytest.mark.parametrize("name", TRAINS)
def test_trains(name: str) -> None:
    config, trains = PRESETS["default"], TRAINS[name]
    resident = compile_trains(config, trains, seed=3)
    memory = resident.memory.copy()
    machine = Machine(config, memory)
    machine.run(resident.offset, resident.length)
    for computed, expected in zip(resident.computed(memory), resident.expected, strict=True):
        np.testing.assert_array_equal(computed, expected)
    macs = sum(train.rows * train.passes * train.count * config.array.rows * config.array.columns for train in trains)
    assert machine.useful_macs == resident.useful_macs == macs

    code = memory[resident.offset :].tobytes()
    program = [decode(code[i * INSTRUCTION_BYTES : (i + 1) * INSTRUCTION_BYTES]) for i in range(resident.length)]
    assert find(program, config, len(memory)) == []
    opcodes = [instruction.opcode for instruction in program]
    assert opcodes == sorted(opcodes), "all loads first, then the trains, then the drains"


@pytest.mark.parametrize(
    ("trains", "message"),
    [
        ([Train(0, 2, 8, 1), Train(1, 1, 8, 1)], "partitions must be disjoint"),
        ([Train(3, 2, 8, 1)], "partitions must be disjoint"),
        ([Train(0, 1, 257, 1)], "rows must be 1 to 256"),
        ([Train(0, 1, 8, 0)], "passes at least 1"),
        ([Train(0, 4, 8, 4096)], "K must be at most 131071"),
    ],
)
def test_refuses(trains: list[Train], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_trains(PRESETS["default"], trains)
