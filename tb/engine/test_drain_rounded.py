"""DRAIN's rounded output from instruction to bytes, against gfloat and ml_dtypes, in engines with block scales."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from amaranth.sim import Simulator

from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.engine.isa import Error, Output
from cleave.engine.rounding_lane import ROUNDING_RECORD, RoundingLane
from cleave.numerics.drain import ROUND_RECORD, round_accumulators
from cleave.numerics.formats import FP16, FP32, INT8, TARGETS, Format
from cleave.numerics.rounding import Rounding
from tb.engine.drain_bench import DrainBench
from tb.engine.rounded_reference import RECORD, random_records, results

ODD = replace(PRESETS["odd"], block_scales=True, accumulator_bits=48)  # 3 slabs x 6 rows x 10 columns, 4 lanes
THREE_LANES = EngineConfig(
    ArrayConfig(slabs=2, rows=4, columns=3), accumulator_depth=24, parameter_depth=5, block_scales=True, accumulator_bits=40,
)  # fmt: skip
CONFIGS = {
    "odd, 48 bits": ODD,
    "tiny, 64 bits": replace(PRESETS["tiny"], block_scales=True, accumulator_bits=64),
    "three lanes, 40 bits": THREE_LANES,
    "eleven lanes, 48 bits": EngineConfig(
        ArrayConfig(slabs=2, rows=3, columns=11), axi_data_width=512, max_burst=7, accumulator_depth=128, parameter_depth=3,
        block_scales=True, accumulator_bits=48,
    ),
    "one column, 32 bits": EngineConfig(
        ArrayConfig(slabs=1, rows=2, columns=1), parameter_depth=9, accumulator_depth=64, block_scales=True,
    ),
}  # fmt: skip
"""Name -> configuration; lanes that are, and are not, a power of two, and every width of accumulators there is in them."""


def random_case(rng: np.random.Generator, bits: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give accumulators of all lengths, with few ones or many, and the records of their rows and columns."""
    wide = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape) >> rng.integers(0, bits, shape)
    cut = np.where(rng.random(shape) < 0.5, rng.integers(0, bits, shape), 0)
    return wide >> cut << cut, random_records(rng, shape[:1]), random_records(rng, shape[1:])


@pytest.mark.parametrize("bits", [40, 48, 63])
def test_definition(bits: int, rng: np.random.Generator) -> None:
    """What model and compiler go by is what gfloat says, in every format and mode."""
    for target, mode, saturate, relu in product(range(len(TARGETS)), Rounding, (0, 1), (0, 1)):
        accumulators, rows, columns = random_case(rng, bits, (16, 24))
        codes = round_accumulators(
            accumulators, rows.view(ROUND_RECORD), columns.view(ROUND_RECORD), TARGETS[target], mode,
            saturate=bool(saturate), relu=bool(relu),
        )  # fmt: skip
        expected = results(accumulators, rows, columns, target=target, mode=mode.value, saturate=saturate, relu=relu)
        assert codes.dtype == expected.dtype
        np.testing.assert_array_equal(codes, expected, f"{TARGETS[target].name} {mode}")


@pytest.mark.parametrize("bits", [40, 48, 64])
def test_lane(bits: int, rng: np.random.Generator) -> None:
    """Every format and mode, over the whole width of an accumulator, with exponents whose sum is, and is not, limited."""
    side = 4
    ways = list(product(range(len(TARGETS)), range(4), (0, 1), (0, 1)))
    cases, expected = [], []
    for target, mode, saturate, relu in ways:
        sums, rows, columns = random_case(rng, bits, (side, side))
        if relu:
            sums[0] = [-(2 ** (bits - 1)), -1, 1, 2 ** (bits - 1) - 1]
        wanted = {"target": target, "mode": mode, "saturate": saturate}
        expected += [int(code) for code in results(sums, rows, columns, relu=relu, **wanted).ravel()]
        cases += [(int(sums[r, c]), rows[r], columns[c], relu, wanted) for r in range(side) for c in range(side)]
    dut = RoundingLane(bits)
    codes = []

    async def bench(ctx) -> None:  # noqa: ANN001
        ctx.set(dut.enable, 1)
        for accumulator, row, column, relu, wanted in [*cases, *cases[: dut.LATENCY - 1]]:
            ctx.set(dut.accumulator, accumulator)
            ctx.set(dut.relu, relu)
            ctx.set(dut.wanted, wanted)
            for port, record in [(dut.row, row), (dut.column, column)]:
                fields = {name: int(record[name]) for name in ("exponent", "random")}
                ctx.set(port, ROUNDING_RECORD.const({**fields, "nan": int(record["nan"]) & 1}))
            await ctx.tick()
            codes.append(ctx.get(dut.code))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    wrong = [
        (case, code, right)
        for case, code, right in zip(cases, codes[dut.LATENCY - 1 :], expected, strict=True)
        if code != right
    ]
    assert not wrong, f"{len(wrong)} of {len(cases)} wrong, first {wrong[0]}"


@pytest.mark.parametrize("stalled", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_programs(name: str, *, stalled: bool, seed: int) -> None:
    """Instructions of all outputs, on memory that is not aligned, one after the other."""
    bench = DrainBench(
        CONFIGS[name], seed % 1000,
        stall=0.5 * stalled, read_stall=0.6 if stalled else (0, 1), latency=(1, 40) if stalled else (30, 30),
        unaligned=5 * stalled,
    )  # fmt: skip
    program = bench.program(24)
    bench.run(program).check()
    assert len(bench.completions) == len(program)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_way(target: Format) -> None:
    """Each mode with and without saturation and ReLU, with ragged columns and records from every place in a word on."""
    bench = DrainBench(THREE_LANES, TARGETS.index(target), stall=0.2, latency=(1, 9), unaligned=3)
    ways = list(product(range(4), (0, 1), (0, 1)))
    program = [
        bench.instruction(
            Output.ROUNDED, target=TARGETS.index(target), mode=mode, saturate=saturate, relu=relu,
            rows=9, accumulator=n % 16, columns=1 + n % 3, row_parameters=n % 3, parameters=n % 5, memory=200 * n + n % 4,
            stride=16 + n % 3,
        )
        for n, (mode, saturate, relu) in enumerate(ways)
    ]  # fmt: skip
    bench.run(program).check()


def test_stochastic_rounding_uses_both_records() -> None:
    """1/2 goes up for half of the random numbers, whichever of the two records brings them."""
    bench = DrainBench(ODD, 3)
    bench.accumulators[:] = 1
    for records in (bench.row_records, bench.records.view(RECORD)):
        records["exponent"], records["nan"] = 0, 0
    bench.row_records["exponent"] = -1
    fields = {"target": TARGETS.index(INT8), "mode": Rounding.STOCHASTIC.value, "rows": 40, "columns": 10, "row_parameters": 0}
    bench.run([bench.instruction(Output.ROUNDED, accumulator=0, memory=0, stride=10, relu=0, **fields)]).check()
    codes = bench.memory.bytes[:400].reshape(40, 10)
    assert 150 < codes.sum() < 250
    assert (codes.min(axis=0) < codes.max(axis=0)).all()
    assert (codes.min(axis=1) < codes.max(axis=1)).all()


ROUNDED = [
    ("target past the last", Output.ROUNDED, {"target": len(TARGETS)}, Error.ILLEGAL_INSTRUCTION),
    ("target 15", Output.ROUNDED, {"target": 15}, Error.ILLEGAL_INSTRUCTION),
    ("output 5", Output.ROUNDED, {"output": 5}, Error.ILLEGAL_INSTRUCTION),
    ("output 7", Output.INT8, {"output": 7}, Error.ILLEGAL_INSTRUCTION),
    ("parameters of columns", Output.ROUNDED, {"parameters": 14, "columns": 9}, Error.BANK_RANGE),
    ("parameters of rows", Output.ROUNDED, {"row_parameters": 13, "rows": 13}, Error.BANK_RANGE),
    ("parameters of rows, far", Output.ROUNDED, {"row_parameters": 0xFFFF}, Error.BANK_RANGE),
    ("parameters of rows, next", Output.ROUNDED, {"row_parameters": 16}, Error.BANK_RANGE),
    ("window, by one byte", Output.ROUNDED, {"target": TARGETS.index(FP16), "memory": (1 << 14) - 5, "columns": 3}, Error.WINDOW),
]
OTHERS = [
    (f"{name} with {output.name}", output, {name: value}, Error.ILLEGAL_INSTRUCTION)
    for output in (Output.INT32, Output.INT8, Output.MOVING)
    for name, value in [("row_parameters", 0x8000), ("target", 8), ("mode", 2), ("saturate", 1), ("scale_up", 1)]
]
PLAIN = [(f"output {output}", Output.INT8, {"output": output}, Error.ILLEGAL_INSTRUCTION) for output in (3, 4)] + OTHERS


@pytest.mark.parametrize(("config", "errors"), [(ODD, ROUNDED + OTHERS), (PRESETS["odd"].plain(), PLAIN)], ids=["scaled", "plain"])
def test_failures(config: EngineConfig, errors: list[tuple[str, Output, dict[str, int], Error]]) -> None:
    bench = DrainBench(config, 7, stall=0.3, latency=(1, 9))
    before = bench.program(1)

    async def fail(ctx) -> None:  # noqa: ANN001
        for name, output, changes, code in errors:
            print(name)
            place = {"stride": 0, "memory": 1} if output == Output.MOVING else {"stride": 64, "memory": 0}
            bad = bench.instruction(output, **{"accumulator": 0, "rows": 1, "columns": 1, **place, **changes})
            beats, chunks = bench.memory.beats, len(bench.chunk_cycles)
            await bench.recover(ctx)
            await bench.execute(ctx, [bad], 500)
            assert bench.failures == [(code, 100)]
            assert (bench.memory.beats, len(bench.chunk_cycles)) == (beats, chunks)

    bench.run(before, then=fail)


def test_limits() -> None:
    """The last records of rows, of which a word holds three, and the last bytes."""
    bench = DrainBench(THREE_LANES, 8)
    last = {"target": TARGETS.index(FP32), "columns": 3, "stride": 16}
    bench.run([
        bench.instruction(Output.ROUNDED, rows=3, row_parameters=4, memory=0, **last),
        bench.instruction(Output.ROUNDED, rows=15, row_parameters=0, accumulator=0, memory=1000, **last),
        bench.instruction(Output.ROUNDED, rows=1, row_parameters=1, memory=(1 << 14) - 12, **last),
    ]).check()
    assert len(bench.completions) == 3
    for rows, word in [(4, 4), (16, 0)]:
        bench = DrainBench(THREE_LANES, 8)
        bench.run([bench.instruction(Output.ROUNDED, rows=rows, row_parameters=word, accumulator=0, memory=0, **last)])
        assert bench.failures == [(Error.BANK_RANGE, 100)]


@pytest.mark.parametrize("target", [FP32, FP16, INT8], ids=lambda target: target.name)
def test_throughput(target: Format) -> None:
    """`drain_lanes` codes in every cycle, across rows and instructions, as raw rows have it."""
    config = replace(PRESETS["default"], block_scales=True, accumulator_bits=48)
    width, rows = target.storage_bytes * config.array.columns, 30
    bench = DrainBench(config, 13, read_stall=(0, 1), latency=(20, 20))
    fields = {"target": TARGETS.index(target), "columns": config.array.columns, "rows": rows, "stride": width}
    bench.run([bench.instruction(Output.ROUNDED, memory=n * rows * width, **fields) for n in range(2)]).check()
    # From the second row's first word on, as reads start late.
    beats, words = bench.memory.beat_cycles, width // config.axi_bytes
    cycles, codes = beats[-1] - beats[words - 1], (2 * rows - 1) * config.array.columns
    print(f"{codes} codes in {cycles} cycles")
    assert len(beats) == 2 * rows * words
    assert cycles == codes // config.drain_lanes
