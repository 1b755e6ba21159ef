"""DRAIN from instruction to bytes, under random stalls."""

import pytest

from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.engine.isa import Error, Output
from tb.engine.drain_bench import DrainBench

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "odd": PRESETS["odd"],
    "default": PRESETS["default"],
    "one column": EngineConfig(ArrayConfig(slabs=1, rows=2, columns=1), parameter_depth=3, accumulator_depth=8),
    "narrow row, wide bus": EngineConfig(
        ArrayConfig(slabs=5, rows=3, columns=11),
        axi_data_width=512, max_burst=7, accumulator_depth=16, parameter_depth=3,
    ),
    "widest bus": EngineConfig(ArrayConfig(slabs=2, rows=6, columns=40), axi_data_width=1024, max_burst=32, parameter_depth=4),
    "half a read": EngineConfig(ArrayConfig(slabs=2, rows=14, columns=13), axi_data_width=256, max_burst=1),
    "three chunks a row": EngineConfig(ArrayConfig(slabs=5, rows=4, columns=19), axi_data_width=64, parameter_depth=12),
    "tall": EngineConfig(ArrayConfig(slabs=2, rows=40, columns=37), axi_data_width=64, max_burst=256),
}
"""Name -> configuration; every bus width, and max_burst that is 1, not a power of two, and a page."""


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CONFIGS)
def test_programs(name: str, seed: int) -> None:
    bench = DrainBench(
        CONFIGS[name].plain(), seed,
        stall=(0.0, 0.5)[seed], read_stall=((0, 1), 0.6)[seed], latency=((30, 30), (1, 40))[seed], unaligned=seed * 5,
    )
    program = bench.program(14)
    bench.run(program).check()
    assert len(bench.completions) == len(program)


def moving(mask: int, word: int = 0) -> int:
    """Field `memory` of a drain to moving banks."""
    return word << 32 | mask


ODD = PRESETS["odd"].plain()  # 3 slabs x 6 rows x 10 columns, 4 lanes
ERRORS = [
    ("output 3", Output.INT8, {"output": 3}, Error.ILLEGAL_INSTRUCTION),
    ("no such slab", Output.INT32, {"slab": 3}, Error.ILLEGAL_INSTRUCTION),
    ("slab 31", Output.INT32, {"slab": 31}, Error.ILLEGAL_INSTRUCTION),
    ("no such lane", Output.INT32, {"lane": 1}, Error.ILLEGAL_INSTRUCTION),
    ("no rows", Output.INT32, {"rows": 0}, Error.ILLEGAL_INSTRUCTION),
    ("no columns", Output.INT8, {"columns": 0}, Error.ILLEGAL_INSTRUCTION),
    ("too many columns", Output.INT32, {"columns": 11}, Error.ILLEGAL_INSTRUCTION),
    ("very many columns", Output.INT8, {"columns": 0xFFFF}, Error.ILLEGAL_INSTRUCTION),
    ("int32 rectified", Output.INT32, {"relu": 1}, Error.ILLEGAL_INSTRUCTION),
    ("int32 with parameters", Output.INT32, {"parameters": 1}, Error.ILLEGAL_INSTRUCTION),
    ("moving with stride", Output.MOVING, {"stride": 1 << 31}, Error.ILLEGAL_INSTRUCTION),
    ("moving to nobody", Output.MOVING, {"memory": moving(0)}, Error.ILLEGAL_INSTRUCTION),
    ("moving to no such slab", Output.MOVING, {"memory": moving(0b1001)}, Error.ILLEGAL_INSTRUCTION),
    ("bits between mask and word", Output.MOVING, {"memory": 1 | 1 << 31}, Error.ILLEGAL_INSTRUCTION),
    ("segment past the last slab", Output.MOVING, {"memory": moving(0b100), "columns": 7}, Error.ILLEGAL_INSTRUCTION),
    ("segments meet", Output.MOVING, {"memory": moving(0b011), "columns": 7}, Error.ILLEGAL_INSTRUCTION),
    ("accumulators", Output.INT32, {"accumulator": 47, "rows": 2}, Error.BANK_RANGE),
    ("accumulators, far", Output.INT32, {"accumulator": 0xFFFF, "rows": 1}, Error.BANK_RANGE),
    ("accumulators, many", Output.INT32, {"accumulator": 0, "rows": 0xFFFF}, Error.BANK_RANGE),
    ("parameters", Output.INT8, {"parameters": 14, "columns": 9}, Error.BANK_RANGE),
    ("parameters, far", Output.INT8, {"parameters": 0xFFFF, "columns": 1}, Error.BANK_RANGE),
    ("moving words", Output.MOVING, {"memory": moving(1, 95), "columns": 1, "rows": 2}, Error.BANK_RANGE),
    ("moving words, far", Output.MOVING, {"memory": moving(1, 0xFFFF), "columns": 1, "rows": 1}, Error.BANK_RANGE),
    ("window", Output.INT8, {"memory": 1 << 14, "columns": 1, "rows": 1}, Error.WINDOW),
    ("window, far", Output.INT8, {"memory": (1 << 48) - 1, "columns": 1, "rows": 1}, Error.WINDOW),
    ("window, by one byte", Output.INT32, {"memory": (1 << 14) - 39, "columns": 10, "rows": 1}, Error.WINDOW),
]
LIMITS = [
    ("all accumulators", Output.INT32, {"accumulator": 0, "rows": 48, "memory": 0}),
    ("last accumulator", Output.INT32, {"accumulator": 47, "rows": 1, "memory": 4096}),
    ("last parameters", Output.INT8, {"parameters": 14, "columns": 8, "memory": 5000}),
    ("last word", Output.MOVING, {"memory": moving(1, 95), "columns": 1, "rows": 1}),
    ("last slab", Output.MOVING, {"memory": moving(0b010, 10), "columns": 10, "parameters": 3}),
    ("every slab", Output.MOVING, {"memory": moving(0b111, 20), "columns": 6, "parameters": 4}),
    ("window, last byte", Output.INT32, {"memory": (1 << 14) - 40, "columns": 10, "rows": 1}),
]


def test_failures() -> None:
    """A failing instruction has no effect and nothing after it is done; a reset makes all well."""
    bench = DrainBench(ODD, 7, stall=0.3, latency=(1, 9))
    before, after = bench.program(1), bench.instruction(Output.INT8, 2000)

    async def fail(ctx) -> None:  # noqa: ANN001
        for name, output, changes, code in ERRORS:
            print(name)
            bench.completions.clear()
            plain = {"rows": 1, "columns": 1, "stride": 0, "memory": moving(1) if output == Output.MOVING else 0}
            bad = bench.instruction(output, **plain | changes)
            effects = bench.memory.beats, len(bench.chunk_cycles)
            reads = bench.reads
            await bench.execute(ctx, [bad, after], 500)
            assert bench.failures == [(code, 100)]
            assert not bench.completions
            assert (bench.memory.beats, len(bench.chunk_cycles)) == effects
            assert bench.reads == reads or code == Error.WINDOW
            await bench.recover(ctx)
            await bench.execute(ctx, [*before, after], 1000)
            bench.check()

    bench.run(before, then=fail)


def test_limits() -> None:
    """What just fits is done."""
    bench = DrainBench(ODD, 8)
    plain = {"rows": 2, "accumulator": 5}
    bench.run([
        bench.instruction(output, **plain | {"stride": 0 if output == Output.MOVING else 64} | changes)
        for _, output, changes in LIMITS
    ])
    assert not bench.failures
    assert len(bench.completions) == len(LIMITS)


def test_whole_bank() -> None:
    """Every row of a bank whose depth is a power of two, twice."""
    bench = DrainBench(PRESETS["tiny"].plain(), 14)
    bench.run([
        bench.instruction(Output.INT32, columns=4, accumulator=0, rows=32, memory=1024 * n, stride=16) for n in range(2)
    ]).check()


def test_address_past_the_bus() -> None:
    bench = DrainBench(ODD, 9, window=(1 << 48) - 1)
    memory = (1 << ODD.axi_address_width) - bench.base
    bench.run([bench.instruction(Output.INT8, columns=2, rows=1, memory=memory - 1, stride=0)])
    assert bench.failures == [(Error.WINDOW, 100)]


def test_window_ends_in_the_middle() -> None:
    """Rows before the first that is outside may be written, and nothing else."""
    bench = DrainBench(ODD, 10, stall=0.3, latency=(1, 30), window=10 * 40 + 39)
    fields = bench.instruction(Output.INT32, columns=10, rows=12, accumulator=0, memory=0, stride=40)
    before = bench.memory.bytes.copy()
    bench.run([bench.instruction(Output.MOVING), fields])
    assert bench.failures == [(Error.WINDOW, 101)]
    bench.expect(fields)
    written = bench.memory.bytes != before
    assert not written[400:].any()
    assert (bench.memory.bytes[written] == bench.expected[written]).all()


@pytest.mark.parametrize("response", [1, 2, 3])
@pytest.mark.parametrize("number", [0, 5, 11])
def test_bus_error(number: int, response: int) -> None:
    """The failing instruction is named, though others are under way; bursts are whole, and nothing completes after."""
    bench = DrainBench(ODD, 11 + number, stall=0.2, latency=(1, 60))
    program = [
        bench.instruction(Output.INT32, rows=4, columns=10, accumulator=n, memory=1024 * n, stride=64)
        for n in range(4)
    ]
    program.insert(2, bench.instruction(Output.MOVING))
    bench.memory.responses[number] = response
    bench.run(program)
    failing = number // 4
    assert bench.failures == [(Error.AXI_WRITE, 100 + (failing if failing < 2 else failing + 1))]
    assert len(bench.completions) <= failing + (failing == 2)


@pytest.mark.parametrize("seed", range(12))
def test_abort(seed: int) -> None:
    """Whenever it comes, bursts that were started are whole, and no byte is wrong."""
    bench = DrainBench(
        ODD, seed, stall=(0.0, 0.4)[seed % 2], latency=(1, 40), unaligned=seed, read_stall=0.4)
    program = bench.program(8)
    before = bench.memory.bytes.copy()
    bench.abort_at = 25 + 11 * seed
    after = bench.instruction(Output.INT32, 4096)

    async def then(ctx) -> None:  # noqa: ANN001
        done = len(bench.completions)
        for fields in program[done:]:
            bench.expect(fields)
        written = bench.memory.bytes != before
        assert (bench.memory.bytes[written] == bench.expected[written]).all()
        await bench.recover(ctx)
        await bench.execute(ctx, [after], 1000)
        bench.check()

    bench.run(program, then=then)


@pytest.mark.parametrize(
    ("name", "beside_a_pass"), [("tiny", 0), ("tiny", 1), ("default", 0), ("default", 1), ("medium", 1)],
)
def test_throughput(name: str, beside_a_pass: int) -> None:
    """Raw rows keep the bus busy in every cycle, across rows and instructions, with reads accepted every other cycle.

    Either in the even cycles, or as a pass lets them in, that reads the odd and the even rows in turn.

    The second beat ends the start: its columns are read after the first beat's, which does not wait for it.
    """
    config = PRESETS[name].plain()
    width = 4 * config.array.columns
    bench = DrainBench(config, 12, read_stall=(0, 1), read_parity=beside_a_pass, latency=(20, 20))
    raw = {"columns": config.array.columns, "rows": 30, "stride": width}
    program = [bench.instruction(Output.INT32, accumulator=n, memory=30 * n * width, **raw) for n in range(2)]
    bench.run(program).check()
    second, last, beats = bench.memory.beat_cycles[1], bench.memory.beat_cycles[-1], bench.memory.beats
    assert beats == 2 * 30 * width // config.axi_bytes
    print(f"{beats - 1} beats in {last - second + 1} cycles, {bench.memory.most_outstanding} bursts outstanding")
    assert last - second + 1 == beats - 1
    assert bench.memory.most_outstanding > 4


@pytest.mark.parametrize("output", [Output.INT8, Output.MOVING])
def test_throughput_int8(output: Output) -> None:
    """Requantised rows take as many cycles as they have beats of lanes."""
    config = PRESETS["default"].plain()
    bench = DrainBench(config, 13, read_stall=(0, 1))
    place = {"stride": 16, "memory": 0} if output == Output.INT8 else {"memory": moving(1)}
    bench.run([bench.instruction(output, columns=16, rows=30, accumulator=0, **place, parameters=0)]).check()
    cycles = bench.memory.beat_cycles or bench.chunk_cycles
    assert len(cycles) == 30
    assert cycles[-1] - cycles[0] == 29 * 16 // config.drain_lanes
