"""Requantisation in hardware against its definition in numpy, and against exact fractions.

Compiled, ten million random cases, or as many as CLEAVE_VECTORS says.
"""

import gc
import os
import subprocess
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from cleave.config import PRESETS
from cleave.engine.drain_converter import DrainConverter
from cleave.engine.isa import Output
from cleave.engine.requantiser import REQUANTISER_RECORD, RequantiserLane
from cleave.engine.round import RoundingShifter
from cleave.numerics.requantise import MAX_SHIFT, RECORD, requantise
from tb.compiled import build

VECTORS = int(os.environ.get("CLEAVE_VECTORS", "10000000"))
LOW, HIGH = -(2**31), 2**31 - 1


def exact(accumulator: int, bias: int, multiplier: int, shift: int, relu: int) -> int:
    """Requantise with nothing but Python's own rounding of an exact fraction."""
    value = Fraction((accumulator + bias) * multiplier, 2**shift)
    return min(127, max(-128, round(max(value, Fraction(0)) if relu else value)))


def in_numpy(accumulator: int, bias: int, multiplier: int, shift: int, relu: int) -> int:
    record = np.array([(bias, multiplier, shift)], RECORD)
    return int(requantise(np.array([accumulator], np.int32), record, relu=bool(relu))[0])


def in_hardware(cases: list[tuple[int, int, int, int, int]], *, raw: bool = False) -> list[int]:
    """Give the lane's results, one case per cycle."""
    dut = RequantiserLane()
    results: list[int] = []

    async def bench(ctx) -> None:  # noqa: ANN001
        ctx.set(dut.enable, 1)
        ctx.set(dut.raw, raw)
        for accumulator, bias, multiplier, shift, relu in [*cases, *[(0, 0, 0, 0, 0)] * (dut.LATENCY - 1)]:
            ctx.set(dut.accumulator, accumulator)
            ctx.set(dut.record, REQUANTISER_RECORD.const({"bias": bias, "multiplier": multiplier, "shift": shift}))
            ctx.set(dut.relu, relu)
            await ctx.tick()
            results.append(ctx.get(dut.result))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    results = results[dut.LATENCY - 1:]
    if raw:
        return [(result ^ 1 << 31) - (1 << 31) for result in results]
    assert max(results) < 256
    return [(result ^ 0x80) - 0x80 for result in results]


def check(cases: list[tuple[int, int, int, int, int]]) -> None:
    for case, result in zip(cases, in_hardware(cases), strict=True):
        assert (result, in_numpy(*case)) == (exact(*case), exact(*case)), case


def test_corners() -> None:
    accumulators = [LOW, LOW + 1, -129, -128, -127, -3, -2, -1, 0, 1, 2, 3, 126, 127, 128, HIGH - 1, HIGH]
    shifts = [0, 1, 2, 32, 47, 48, 49, MAX_SHIFT]
    check(list(product(accumulators, [LOW, -1, 0, HIGH], [0, 1, 3, 0xFFFF], shifts, [0, 1])))


def test_ties() -> None:
    """(n + 1/2) for every n near the result's range goes to the even neighbour, and its own neighbours do not."""
    cases = []
    for shift in (1, 2, 9, 23):
        for n in range(-131, 131):
            tie = ((2 * n + 1) << (shift - 1)) if n % 3 else n << shift
            cases += [(tie + step, 0, 1, shift, n & 1) for step in (-1, 0, 1)]
    check(cases)


def test_deep_ties() -> None:
    """Ties, and the least distance from one, with every bit of the product in use."""
    cases = [
        (accumulator, bias, multiplier, shift, 0)
        for accumulator, bias in [(HIGH, HIGH), (LOW, LOW), (HIGH, 1), (LOW, 0), (1 << 30, 0), (-(1 << 30), -(1 << 29))]
        for multiplier in (1, 0x8000, 0x8001, 0xFFFF, 0xC000)
        for shift in range(24, MAX_SHIFT + 1)
    ]
    check(cases)


word = st.integers(LOW, HIGH) | st.integers(-1000, 1000)


@settings(max_examples=25, deadline=None)
@given(st.lists(
    st.tuples(word, word, st.integers(0, 0xFFFF), st.integers(0, MAX_SHIFT), st.integers(0, 1)),
    min_size=20, max_size=40,
))
def test_any_case(cases: list[tuple[int, int, int, int, int]]) -> None:
    check(cases)


def test_random(tmp_path: Path, seed: int) -> None:
    program = build(RequantiserLane(), Path(__file__).with_name("requantiser.cpp"), tmp_path, {"LATENCY": RequantiserLane.LATENCY})
    answer = subprocess.run([program, str(VECTORS), str(seed)], check=False, capture_output=True, text=True).stdout
    assert answer == f"0 of {VECTORS} wrong\n"


def test_raw() -> None:
    """Raw accumulators pass whatever the record says."""
    values = [LOW, -1, 0, 1, HIGH, 0x12345678]
    assert in_hardware([(value, HIGH, 0xFFFF, 63, 0) for value in values], raw=True) == values


def test_rounding_shifter_exhaustively() -> None:
    """Every value, every shift, in a small size."""
    dut = RoundingShifter(8, 4, 4)

    async def bench(ctx) -> None:  # noqa: ANN001
        ctx.set(dut.enable, 1)
        for value, shift in product(range(-128, 128), range(16)):
            ctx.set(dut.value, value)
            ctx.set(dut.shift, shift)
            await ctx.tick()
            assert ctx.get(dut.quotient) == value >> shift
            assert ctx.get(dut.result) == min(7, max(-8, round(Fraction(value, 2**shift)))), (value, shift)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_rounding_shifter_refuses_a_result_wider_than_the_value() -> None:
    with pytest.raises(ValueError, match="result_bits must be 2 to value_bits"):
        RoundingShifter(8, 4, 9)
    gc.collect()


@pytest.mark.parametrize("name", ["tiny", "default"])
def test_beats(name: str) -> None:
    """Beats meet their columns' parameters, keep their place and order, and nothing is lost under stalls."""
    config = PRESETS[name].plain()
    random, generator = Random(1), np.random.default_rng(1)
    print(f"{name}, seed 1")
    dut = DrainConverter(config)
    records = np.zeros((config.parameter_depth, config.drain_lanes), RECORD)
    records["bias"] = generator.integers(LOW, HIGH, records.shape) >> 8
    records["multiplier"] = generator.integers(0, 2**16, records.shape)
    records["shift"] = generator.integers(30, 40, records.shape)
    # Bits of the shift beyond the lowest 6 do not count.
    stored = records.copy()
    stored["shift"] |= generator.integers(0, 2**10, records.shape).astype(np.uint16) << 6
    beats = [
        (
            generator.integers(LOW, HIGH, config.drain_lanes).astype(np.int32) >> random.choice([0, 12]),
            random.randrange(config.parameter_depth), random.randrange(2), Output(random.randrange(3)),
        )
        for _ in range(100)
    ]

    async def drive(ctx) -> None:  # noqa: ANN001
        for address, entry in enumerate(stored):
            ctx.set(dut.parameters.address, address)
            ctx.set(dut.parameters.data, int.from_bytes(entry.tobytes(), "little"))
            ctx.set(dut.parameters.enable, 1)
            await ctx.tick()
        ctx.set(dut.parameters.enable, 0)
        for number, (accumulators, address, relu, output) in enumerate(beats):
            while random.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.i.payload, {
                "accumulators": [int(value) for value in accumulators],
                "parameters": address,
                "relu": relu & (output != Output.INT32),
                "place": {"output": output, "count": 1, "offset": number % config.axi_bytes, "last": number & 1},
            })
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def check_results(ctx) -> None:  # noqa: ANN001
        for number, (accumulators, address, relu, output) in enumerate(beats):
            while random.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.o.ready, 1)
            result, = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            ctx.set(dut.o.ready, 0)
            expected = accumulators
            if output != Output.INT32:
                expected = requantise(accumulators, records[address], relu=bool(relu))
            assert result.data == int.from_bytes(expected.tobytes(), "little")
            assert (result.place.output, result.place.offset) == (output, number % config.axi_bytes)
            assert result.place.last == number & 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.add_testbench(check_results)
    simulator.run()
