"""The array by itself in Amaranth's simulator: tokens at the contract's cycles, results against numpy."""

import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator

from cleave.array.array import Array
from cleave.config import ArrayConfig, EngineConfig

SHAPES = [
    ArrayConfig(slabs=2, rows=4, columns=3, dot=1),
    ArrayConfig(slabs=3, rows=4, columns=4, dot=2, load_rows=2),
    ArrayConfig(slabs=2, rows=8, columns=5, dot=2, multiply_stages=1),
    ArrayConfig(slabs=2, rows=6, columns=10, dot=2, multiply_stages=2),
    ArrayConfig(slabs=1, rows=8, columns=2, dot=4, load_rows=4),
]


def small(array: ArrayConfig) -> EngineConfig:
    return EngineConfig(
        array, moving_depth=64, stationary_depth=64, accumulator_depth=32, axi_data_width=64, bank_columns=4
    )


def partitions(slabs: int):
    """Every way to cut the array into partitions that cover it: lists of (first, count)."""
    for cuts in itertools.product([False, True], repeat=slabs - 1):
        edges = [0, *[s + 1 for s, cut in enumerate(cuts) if cut], slabs]
        yield [(a, b - a) for a, b in itertools.pairwise(edges)]


def play(config: EngineConfig, cut, moving_rows: int, passes: int, seed: int) -> None:
    """Run `passes` accumulating passes back to back in each partition of `cut`; compare all accumulators with numpy."""
    array = config.array
    rng = np.random.default_rng(seed)
    a = rng.choice([-128, 127, *range(-128, 128)], (array.slabs, passes, moving_rows, array.rows)).astype(np.int8)
    w = rng.choice([-128, 127, *range(-128, 128)], (array.slabs, passes, array.rows, array.columns)).astype(np.int8)
    dut = Array(config)
    period = max(moving_rows, array.load_cycles, 3)
    first_load = 5
    first_start = first_load + array.load_cycles

    async def bench(ctx):
        for s in range(array.slabs):
            for p, m in itertools.product(range(passes), range(moving_rows)):
                ctx.set(dut.moving[s].enable, 1)
                ctx.set(dut.moving[s].address, p * moving_rows + m)
                ctx.set(dut.moving[s].data, int.from_bytes(a[s, p, m].tobytes(), "little"))
                await ctx.tick()
            ctx.set(dut.moving[s].enable, 0)
            for p, k in itertools.product(range(passes), range(array.rows)):
                part = k % array.load_rows
                ctx.set(dut.stationary[s].enable, 1 << part)
                ctx.set(dut.stationary[s].address, p * array.load_cycles + k // array.load_rows)
                word = int.from_bytes(w[s, p, k].tobytes(), "little") << (8 * array.columns * part)
                ctx.set(dut.stationary[s].data, word)
                await ctx.tick()
            ctx.set(dut.stationary[s].enable, 0)

        # Loads come as early as the contract allows: in the cycle of the start that swaps the tile before.
        loads = [first_load, *[first_start + p * period for p in range(passes - 1)]]
        starts = [first_start + p * period for p in range(passes)]
        for cycle in range(starts[-1] + moving_rows + array.slabs + array.columns + array.cells + 8):
            for first, count in cut:
                ctx.set(dut.load[first].valid, cycle in loads)
                ctx.set(dut.start[first].valid, cycle in starts)
                if cycle in loads:
                    address = loads.index(cycle) * array.load_cycles
                    ctx.set(dut.load[first].p, {"address": address, "below": count - 1})
                if cycle in starts:
                    p = starts.index(cycle)
                    ctx.set(dut.start[first].p, {
                        "rows": moving_rows, "moving": p * moving_rows, "accumulator": 1, "accumulate": p > 0,
                        "fused": 0, "below": count - 1, "signal": 0, "row_macs": 0,
                    })
            await ctx.tick()

        for first, count in cut:
            last = first + count - 1
            expected = sum(
                a[s, p].astype(int) @ w[s, p].astype(int) for s in range(first, last + 1) for p in range(passes)
            )
            for m in range(moving_rows):
                got = np.zeros(config.read_groups * config.read_columns, int)
                for group in range(config.read_groups):
                    port = dut.accumulators[last]
                    ctx.set(port.valid, 1)
                    ctx.set(port.group, group)
                    ctx.set(port.address, 1 + m)
                    assert ctx.get(port.ready)
                    await ctx.tick()
                    ctx.set(port.valid, 0)
                    for i in range(config.read_columns):
                        await ctx.tick()
                        got[group * config.read_columns + i] = np.int32(np.uint32(ctx.get(port.data[i])))
                assert np.array_equal(got[: array.columns], expected[m]), (cut, first, m)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("array", SHAPES, ids=lambda array: small(array).name)
@pytest.mark.parametrize("moving_rows", [1, 3, 4, 9])
def test_every_partition_back_to_back(array: ArrayConfig, moving_rows: int) -> None:
    for seed, cut in enumerate(partitions(array.slabs)):
        play(small(array), cut, moving_rows, passes=3, seed=seed)
