"""The timing model against the RTL: every counter, and when each instruction begins and ends."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from cleave.compile.gemm import compile_gemm
from cleave.compile.problem import Problem
from cleave.config import PRESETS
from cleave.engine.isa import INSTRUCTION_BYTES, Counter, Destination, Opcode, Output, Unit, encode, slab_bit
from cleave.model.timing import DeadlockError, decode_all, predict
from cleave.sim.simulator import BASE, Simulator
from tb.model.timed import CONFIGS, cases, differences, draw, expected, first_loads, measure, observed, predicted


@pytest.mark.parametrize("name", CONFIGS)
def test_counters(name: str, seed: int) -> None:
    config = CONFIGS[name]
    wrong = []
    for case, counters in cases(config, count(seed), 25, 40):
        wrong += differences(case, predicted(config, case), counters)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["tiny", "odd"])
def test_each_instruction(name: str, seed: int, tmp_path: Path) -> None:
    """LOADs and DRAINs are taken, MATMULs begin and all give their tokens in the cycles that the model says."""
    config = CONFIGS[name]
    seen = 0
    for case, _ in cases(config, count(seed), 6, 25):
        measure(config, case, tmp_path / "trace.vcd")
        events, timing = observed(tmp_path / "trace.vcd", config), predicted(config, case)
        for event, at in expected(case, timing, config).items():
            if event[0] == "gives" or event[1] < Unit.SLAB:
                assert events[event] == at, (str(case), event)
                seen += len(at)
        for leader, matmuls in first_loads(case.program, config).items():
            loads = events["loads", Unit.SLAB + leader]  # a cycle after they are decided
            assert [loads[before] - 1 for _, before in matmuls] == [timing.start[index] for index, _ in matmuls], str(case)
            seen += len(matmuls)
    assert seen > 50


@pytest.mark.parametrize(("rows", "depth", "columns", "pairs"), [(33, 100, 70, 0), (1, 64, 48, 0), (40, 90, 33, 1)])
def test_compiled_product(rows: int, depth: int, columns: int, pairs: int) -> None:
    config = PRESETS["w4a8"]
    gemm = compile_gemm(Problem(rows, depth, columns, pairs=pairs), config)
    program = bytes(gemm.program)
    offset = gemm.start
    with Simulator(config, latency=50, memory_bytes=2**22) as engine:
        engine.memory[offset:][: len(program)] = np.frombuffer(program, np.uint8)
        engine.step(100)
        counters = engine.run(offset, len(program) // INSTRUCTION_BYTES).counters
    assert predict(program, config, latency=50, base=BASE, offset=offset).counters == counters


def test_deadlock() -> None:
    program = encode(Opcode.LOAD, destination=Destination.MOVING, slabs=1, rows=1, row_bytes=1)
    program += encode(Opcode.MATMUL, count=1, rows=1, passes=1, wait=1 << Unit.DRAIN)
    with pytest.raises(DeadlockError, match="instruction 1: DEADLOCK"):
        predict(program, PRESETS["tiny"], latency=5)


def test_no_instruction() -> None:
    timing = predict(b"", PRESETS["tiny"], latency=5)
    assert timing.counters[Counter.CYCLES] == 2
    assert len(timing.start) == 0


def test_bad_length() -> None:
    with pytest.raises(ValueError, match="whole instructions of 32 bytes, not 33"):
        predict(bytes(33), PRESETS["tiny"], latency=5)


def test_decoded() -> None:
    """All fields, at once, as one by one; they cross 64-bit words in every opcode."""
    rng = np.random.default_rng(0)
    config = PRESETS["w4a8"]
    fields = {"signal": 2**32 - 1, "memory": 2**48 - 3, "stride": 2**32 - 5, "rows": 65535, "wait": slab_bit(3)}
    drain = encode(Opcode.DRAIN, output=Output.ROUNDED, columns=15, target=6, lane=1, slab=9, **fields)
    load = encode(Opcode.LOAD, destination=5, row_bytes=int(rng.integers(1, 65536)), **fields)
    matmul = encode(Opcode.MATMUL, rows=65535, last_row_macs=2**20 - 7, pairs=2, count=3, passes=4, accumulator_step=2**15 - 1)
    decoded = decode_all(load + drain + matmul, config)
    for name, value in fields.items():
        assert decoded[name][0] == decoded[name][1] == value
    assert (decoded["last_row_macs"][2], decoded["pairs"][2], decoded["accumulator_step"][2]) == (2**20 - 7, 2, 2**15 - 1)
    assert (decoded["size"][1], decoded["last_beat"][1], decoded["tail"][1], decoded["drained_bytes"][1]) == (2, 3, 3, 30)


def test_cases_differ(seed: int) -> None:
    assert len({draw(CONFIGS["tiny"], seed + n, 30).program for n in range(10)}) == 10
