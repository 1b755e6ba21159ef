"""DRAIN's output BLOCKS from instruction to bytes, against gfloat and ml_dtypes."""

from itertools import product

import numpy as np
import pytest

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.isa import Error, Output
from cleave.numerics.drain import ROUND_RECORD, quantise_accumulators
from cleave.numerics.formats import ELEMENTS, Format
from cleave.numerics.quantise import ScaleRule
from cleave.numerics.rounding import Rounding
from tb.engine.drain_bench import DrainBench
from tb.engine.rounded_reference import blocks, random_records
from tb.engine.test_drain_rounded import random_case

WAYS = list(product(range(4), (0, 1), (0, 1)))
"""Mode, rule, ReLU."""


def engine(columns: int, axi_data_width: int, bits: int = 48) -> EngineConfig:
    """Give an engine of so many columns, few rows of accumulators and few records."""
    depth = 4 - -4 * columns // axi_data_width * 8
    return EngineConfig(
        ArrayConfig(slabs=2, rows=3, columns=columns), accumulator_depth=40, parameter_depth=depth, axi_data_width=axi_data_width,
        max_burst=5, accumulator_bits=bits,
    )  # fmt: skip


CONFIGS = {
    "two lanes": engine(70, 64),  # blocks of 16 beats, and of 3
    "four lanes": engine(64, 128, 64),
    "eight lanes": engine(49, 256, 40),
    "sixteen lanes": engine(100, 512),
    "a block in a beat": engine(70, 1024),
    "one beat": engine(11, 512),  # lanes that do not divide a block
    "long trailer": engine(300, 64),  # 11 bytes behind a row's codes, 8 bytes in a beat
}


def test_definition(rng: np.random.Generator) -> None:
    """What model and compiler go by is what gfloat says, in every format, mode and rule, with short blocks and NaNs."""
    every_scale = set()
    for bits, (element, (mode, scale_up, relu)) in product((40, 63), product(range(len(ELEMENTS)), WAYS)):
        accumulators, rows, columns = random_case(rng, bits, (16, 70))
        accumulators[3], accumulators[4, 40:], accumulators[5] = 0, 0, 0
        accumulators[5, [0, 40]] = np.array([127, 7, 3, 15])[element] << 20  # the largest number, and a little more
        accumulators[5, 40] += 1
        columns["nan"] &= rng.random(70) < 0.1
        given = accumulators, rows.view(ROUND_RECORD), columns.view(ROUND_RECORD), ELEMENTS[element], Rounding(mode)
        codes, scales = quantise_accumulators(*given, ScaleRule(scale_up), relu=bool(relu))
        expected = blocks(accumulators, rows, columns, target=element, mode=mode, scale_up=scale_up, relu=relu)
        found = np.concatenate([codes, rows["anchor"][:, None], scales], 1)
        np.testing.assert_array_equal(found, expected, f"{ELEMENTS[element].name} {mode} {scale_up}")
        every_scale |= set(scales.ravel().tolist())
    assert {0, 127, 254, 255} <= every_scale


@pytest.mark.parametrize("stalled", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_programs(name: str, *, stalled: bool, seed: int) -> None:
    """Rows in blocks among those of all other outputs, on memory that is not aligned."""
    bench = DrainBench(
        CONFIGS[name], seed % 1000, stall=0.5 * stalled, read_stall=0.6 if stalled else (0, 1),
        latency=(1, 40) if stalled else (30, 30), unaligned=5 * stalled, size=1 << 17,
    )  # fmt: skip
    bench.outputs += [Output.BLOCKS] * 4
    program = bench.program(16)
    bench.run(program, cycles=60000).check()
    assert len(bench.completions) == len(program)


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.name)
def test_every_way(element: Format) -> None:
    """Each mode and rule with and without ReLU, on values that are near each other, in columns of every number up to two blocks."""
    bench = DrainBench(CONFIGS["eight lanes"], ELEMENTS.index(element), stall=0.2, latency=(1, 9), unaligned=3)
    near = random_records(np.random.default_rng(1), bench.records.shape)
    near["exponent"], near["nan"] = near["exponent"] % 3, 0
    bench.records = near.view(bench.records.dtype)
    program = [
        bench.instruction(
            Output.BLOCKS, target=ELEMENTS.index(element), mode=mode, scale_up=scale_up, relu=relu,
            rows=9, accumulator=n, columns=1 + 3 * n, row_parameters=n % 2, parameters=0, memory=600 * n + n % 4, stride=52 + n % 3,
        )
        for n, (mode, scale_up, relu) in enumerate(WAYS)
    ]  # fmt: skip
    bench.run(program).check()


def test_corners() -> None:
    """Zeros, one value alone, the ends of accumulators and of exponents, NaN rows and columns, anchors, in both rules."""
    bench = DrainBench(CONFIGS["four lanes"], 5)
    ends = np.array([0, 0, 1, -1, 2**63 - 1, -(2**63) + 1, 2**62, 127 << 56, (127 << 56) + 1, 3 << 61, (3 << 61) + 1])
    bench.accumulators[0, :11, :] = ends[:, None]
    bench.accumulators[0, 1, 40] = -5
    bench.row_records["exponent"].reshape(-1)[:4], bench.records.view(bench.row_records.dtype)["exponent"] = 0, 0
    bench.row_records["exponent"].reshape(-1)[:11] = [0, 0, -700, 2000, -62, 0, 65, -4, -4, -8, -8]
    bench.row_records["nan"].reshape(-1)[:10] = 0
    bench.records.view(bench.row_records.dtype)["nan"] = 0
    bench.row_records["anchor"].reshape(-1)[:11] = [0, 254, 255, 254, 255, 7, 100, 254, 254, 254, 254]
    same = {"slab": 0, "accumulator": 0, "rows": 11, "columns": 64, "row_parameters": 0, "parameters": 0, "stride": 67, "relu": 0}
    ways = list(product(range(4), range(4), (0, 1)))[::3]
    bench.run([
        bench.instruction(Output.BLOCKS, target=target, mode=mode, scale_up=rule, memory=n * 740, **same)
        for n, (target, mode, rule) in enumerate(ways)
    ]).check()  # fmt: skip


ILLEGAL = Error.ILLEGAL_INSTRUCTION
BAD = [
    ("a target that is no element", Output.BLOCKS, {"target": len(ELEMENTS)}, ILLEGAL),
    ("saturate", Output.BLOCKS, {"saturate": 1}, ILLEGAL),
    ("no columns", Output.BLOCKS, {"columns": 0}, ILLEGAL),
    ("parameters of rows", Output.BLOCKS, {"row_parameters": 0xFFFF}, Error.BANK_RANGE),
    ("parameters of columns", Output.BLOCKS, {"parameters": 0xFFFF}, Error.BANK_RANGE),
    ("window, by the last scale", Output.BLOCKS, {"columns": 49, "memory": (1 << 14) - 51}, Error.WINDOW),
    ("window, by the anchor", Output.BLOCKS, {"columns": 4, "memory": (1 << 14) - 5}, Error.WINDOW),
    *((f"the rule, {output.name}", output, {"scale_up": 1}, ILLEGAL) for output in Output if output != Output.BLOCKS),
]


def test_failures() -> None:
    bench = DrainBench(CONFIGS["eight lanes"], 7, stall=0.3, latency=(1, 9))
    before = [bench.instruction(Output.BLOCKS, memory=0)]

    async def fail(ctx) -> None:  # noqa: ANN001
        for name, output, changes, code in BAD:
            print(name)
            place = {"stride": 0, "memory": 1} if output == Output.MOVING else {"stride": 64, "memory": 0}
            bad = bench.instruction(output, **{"accumulator": 0, "rows": 1, "columns": 1, **place, **changes})
            beats = bench.memory.beats
            await bench.recover(ctx)
            await bench.execute(ctx, [bad], 500)
            assert bench.failures == [(code, 100)]
            assert bench.memory.beats == beats
        await bench.recover(ctx)
        last = bench.instruction(Output.BLOCKS, memory=(1 << 14) - 52, rows=1, columns=49)
        await bench.execute(ctx, [last], 500)
        bench.check()

    bench.run(before, then=fail)


@pytest.mark.parametrize(("columns", "axi_data_width"), [(64, 128), (64, 512)])
def test_throughput(columns: int, axi_data_width: int) -> None:
    """`drain_lanes` codes in every cycle and one cycle more for each row, across instructions."""
    config, rows = engine(columns, axi_data_width), 30
    bench = DrainBench(config, 13, read_stall=(0, 1), latency=(20, 20))
    whole = {"columns": columns, "rows": rows, "stride": 128, "accumulator": 0, "parameters": 0, "row_parameters": 0}
    bench.run([bench.instruction(Output.BLOCKS, memory=n * 4096, **whole) for n in range(2)]).check()
    beats = bench.memory.beat_cycles
    words = len(beats) // (2 * rows)
    cycles = beats[-1] - beats[words - 1]
    print(f"{2 * rows - 1} rows in {cycles} cycles")
    assert cycles == (2 * rows - 1) * (columns // config.drain_lanes + 1)
