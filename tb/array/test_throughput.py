"""The timing contract on the whole engine, by its cycle counter: no bubble, in any partition, over any boundary.

ARRAY_CYCLES run from the first pass's start to the last result's write, so a train's length is known exactly:
(passes - 1) * max(M, rows / load_rows) for the starts, M for the last rows, and the way down the partition and along
the columns. Any bubble anywhere makes it longer.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from cleave.compile.layout import side_by_side
from cleave.compile.program import Program
from cleave.compile.trains import Train, compile_trains
from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.engine.isa import INSTRUCTION_BYTES, Counter, Destination, Output
from cleave.sim import Simulator
from tb.array.lanes import lanes_of

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": PRESETS["default"],
    "wide_load": EngineConfig(
        ArrayConfig(slabs=3, rows=8, columns=6, dot=4, load_rows=4, multiply_stages=1), accumulator_depth=128
    ),
    "lanes": EngineConfig(
        ArrayConfig(slabs=3, rows=8, columns=6, dot=4, load_rows=2, multiply_stages=1, stationary_bits=4), accumulator_depth=128
    ),
}


ZEROS = 2**20
"""Where in the window nothing is ever written."""


@pytest.fixture(scope="module", params=CONFIGS)
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(CONFIGS[request.param], memory_bytes=2**24) as simulator:
        yield simulator


def way(config: EngineConfig, rows: int, count: int) -> int:
    """Cycles of a single pass, from its start to its last result's write."""
    array = config.array
    return rows + count + array.cells + array.multiply_stages + array.lanes - 1 + array.columns


def period(config: EngineConfig, rows: int) -> int:
    """Cycles from one pass to the next. Where rows are fewer than 3, the sum before must be written first."""
    return max(rows, config.array.load_cycles, 3)


def run_train(simulator: Simulator, *trains: Train) -> dict[Counter, int]:
    """Run trains, check their results, and give the counters."""
    resident = compile_trains(simulator.config, list(trains), seed=sum(train.rows for train in trains))
    simulator.memory[: len(resident.memory)] = resident.memory
    counters = simulator.run(resident.offset, resident.length).counters
    for got, want in zip(resident.computed(simulator.memory), resident.expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert counters[Counter.USEFUL_MACS] == resident.useful_macs
    return counters


def pairings(config: EngineConfig) -> range:
    """What a byte of a stationary tile may be: one INT8, and with two lanes two INT4 or two E2M1."""
    return range(3 if config.array.lanes > 1 else 1)


def sizes(config: EngineConfig) -> list[int]:
    """Row counts around the shortest pass."""
    load = config.array.load_cycles
    return sorted({1, 2, 3, load - 1, load, load + 1, 2 * load + 1, min(config.accumulator_depth, 64)} - {0})


def test_passes_follow_each_other_in_every_partition(simulator: Simulator) -> None:
    config = simulator.config
    slabs = config.array.slabs
    passes = 12
    for count in range(1, slabs + 1):
        for first in range(slabs - count + 1):
            for rows, pairs in product(sizes(config), pairings(config)):
                counters = run_train(simulator, Train(first, count, rows, passes, pairs=pairs))
                expected = (passes - 1) * period(config, rows) + way(config, rows, count)
                assert counters[Counter.ARRAY_CYCLES] == expected, (first, count, rows, pairs)
                assert counters[Counter.STREAMING] == count * rows * passes


def test_disjoint_partitions_at_once(simulator: Simulator) -> None:
    config = simulator.config
    passes = 12
    counters = run_train(simulator, *(Train(s, 1, 5, passes, accumulate=False) for s in range(config.array.slabs)))
    alone = (passes - 1) * max(5, config.array.load_cycles) + way(config, 5, 1)
    # The dispatcher gives one MATMUL a cycle at best, and each is fetched over the bus.
    assert alone <= counters[Counter.ARRAY_CYCLES] <= alone + 8 * config.array.slabs


def sequence(simulator: Simulator, cuts: list[tuple[int, int]], rows: int, *, scaled: bool = False, pairs: int = 0) -> int:
    """Run one single-pass MATMUL per (first, count), all on the same operands; check the last; give ARRAY_CYCLES.

    If `scaled`, all scales are their anchors.
    """
    config = simulator.config
    array = config.array
    rng = np.random.default_rng(7)
    a = rng.integers(-128, 128, (rows, array.slabs * array.rows), np.int8)
    w = rng.integers(-128, 128, (array.slabs * array.rows, array.columns), np.int8)
    memory = simulator.memory
    memory[: a.size] = a.reshape(-1).view(np.uint8)
    memory[2**16 : 2**16 + w.size] = side_by_side(w, array).reshape(-1).view(np.uint8)
    program = Program()
    program.load(Destination.MOVING, slabs=1, address=0, rows=rows, row_bytes=a.shape[1], memory=0, stride=a.shape[1])
    load = program.load(
        Destination.STATIONARY, slabs=1, address=0, rows=array.rows, row_bytes=array.slabs * array.columns, memory=2**16,
        stride=array.slabs * array.columns,
    )  # fmt: skip
    if scaled:
        line = 1 + array.slabs
        program.load(
            Destination.MOVING_SCALES, slabs=1, address=0, rows=rows, row_bytes=line, memory=ZEROS, stride=0
        )  # fmt: skip
        for lane in range(array.lanes):
            load = program.load(
                Destination.STATIONARY_SCALES, slabs=1, address=array.load_cycles + lane, rows=line, row_bytes=array.columns,
                memory=ZEROS, stride=0,
            )  # fmt: skip
    for first, count in cuts:
        macs = count * array.rows * array.columns
        last = program.matmul(
            first, count, rows=rows, passes=1, moving=0, moving_step=0, stationary=0, stationary_step=0, accumulator=0,
            accumulate_first=False, scaled=scaled, pairs=pairs, row_macs=macs, last_row_macs=macs, after=[load],
            shift=config.exact_shift + (config.pair_shift if pairs else 0),
        )  # fmt: skip
    first, count = cuts[-1]
    weights = lanes_of(w, pairs)
    for lane in range(len(weights)):
        program.drain(
            Output.INT32, slab=first + count - 1, lane=lane, accumulator=0, rows=rows, columns=array.columns,
            memory=2**17 + lane * 2**16, stride=4 * array.columns, after=[last],
        )  # fmt: skip
    code = program.encode()
    memory[2**19 : 2**19 + len(code)] = np.frombuffer(code, np.uint8)
    counters = simulator.run(2**19, len(code) // INSTRUCTION_BYTES).counters
    members = slice(first * array.rows, (first + count) * array.rows)
    for lane, of_lane in enumerate(weights):
        results = memory[2**17 + lane * 2**16 :][: 4 * rows * array.columns]
        got = results.view(np.int32).reshape(rows, array.columns)
        np.testing.assert_array_equal(got, a[:, members].astype(int) @ of_lane[members])
    return counters[Counter.ARRAY_CYCLES]


def test_instructions_follow_each_other_without_a_bubble(simulator: Simulator) -> None:
    config = simulator.config
    fetch = -(-INSTRUCTION_BYTES // config.axi_bytes)
    for count in range(1, config.array.slabs + 1):
        for rows, scaled, pairs in product(sizes(config), (False, True), pairings(config)):
            step = max(rows, config.array.load_cycles + scaled * (2 if pairs else 1))
            if step < 2 * fetch:
                continue  # the bus brings no instruction as fast as that
            cycles = sequence(simulator, [(0, count)] * 10, rows, scaled=scaled, pairs=pairs)
            assert cycles == 9 * step + way(config, rows, count), (count, rows, scaled, pairs)


def test_the_cut_is_per_instruction(simulator: Simulator) -> None:
    """Fusing and splitting again costs only the way down the seams: a slab starts one cycle after the slab above."""
    config = simulator.config
    slabs = config.array.slabs
    rows = min(config.accumulator_depth, 4 * config.array.load_cycles)
    fused, split = [(0, slabs)], [(s, 1) for s in range(slabs)]
    cycles = sequence(simulator, [*fused, *split, *fused, *split, *fused], rows)
    # Five rounds; before each fused pass every slab has ended its own, and the last began `slabs - 1` cycles late.
    least = 4 * rows + way(config, rows, slabs)
    assert least <= cycles <= least + 4 * (slabs - 1), cycles
