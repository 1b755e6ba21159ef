"""cocotb bench of the slab: passes at the contract's shortest distance, as any slab of a partition, cycle by cycle."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from cleave.array.tokens import load_layout, start_layout
from tb.array.drive import ARRAY, CONFIG, begin, operands, packed, signed, token
from tb.array.lanes import lanes_of

PASSES = 60

AHEAD = ARRAY.load_cycles + ARRAY.head_latency - ARRAY.cells + 2
"""Least cycles between a tile's load and the start that swaps it in."""


async def fill(
    dut: HierarchyObject, moving: NDArray[np.int8], of_row: NDArray[np.uint8], tiles: NDArray[np.int8], of_column: NDArray[np.uint8]
) -> None:
    """Write the operand banks; moving[word, byte], of_row[word], tiles[tile, row, column], of_column[tile, lane, column]."""
    banks = {"moving": moving} | ({"distances": of_row} if CONFIG.block_scales else {})
    for name, words in banks.items():
        for address, word in enumerate(words):
            getattr(dut, f"{name}__enable").value = 1
            getattr(dut, f"{name}__address").value = address
            getattr(dut, f"{name}__data").value = packed(word)
            await FallingEdge(dut.clk)
        getattr(dut, f"{name}__enable").value = 0
    for tile, rows in enumerate(tiles):
        words = [divmod(row, ARRAY.load_rows) for row in range(ARRAY.rows)]
        lines = [*zip(words, rows, strict=True)]
        if CONFIG.block_scales:
            lines += [((ARRAY.load_cycles + lane, 0), line) for lane, line in enumerate(of_column[tile])]
        for (word, part), line in lines:
            dut.stationary__enable.value = 1 << part
            dut.stationary__address.value = tile * CONFIG.tile_words + word
            dut.stationary__data.value = packed(line) << 8 * ARRAY.columns * part
            await FallingEdge(dut.clk)
    dut.stationary__enable.value = 0


def distances(rng: np.random.Generator, *shape: int) -> NDArray[np.uint8]:
    """Draw distances of blocks from their anchors: mostly small, some beyond every accumulator."""
    return np.where(rng.random(shape) < 0.1, rng.integers(256, size=shape), rng.integers(12, size=shape)).astype(np.uint8)


@cocotb.test()
async def passes(dut: HierarchyObject) -> None:
    """Every column's sum leaves in its cycle, though loads and starts follow each other without a gap."""
    rng = await begin(dut)
    moving = operands(rng, CONFIG.moving_depth, ARRAY.rows)
    tiles = CONFIG.stationary_depth // CONFIG.tile_words
    stationary = operands(rng, tiles, ARRAY.rows, ARRAY.columns)
    of_row, of_column = distances(rng, len(moving)), distances(rng, tiles, ARRAY.lanes, ARRAY.columns)
    await fill(dut, moving, of_row, stationary, of_column)

    # A schedule of passes: starts at the shortest distance, each load as early or as late as may be.
    loads, starts = {}, {}
    sums: dict[tuple[int, int], tuple] = {}
    start = 2 + CONFIG.tile_words
    load = 1
    accumulators: dict[tuple[int, int], int] = {}  # when the row was started that wrote them last, by lane and address
    signals: dict[int, int] = {}  # what `signal` shows in the cycles in which a row's last column is written
    latency = 2 + ARRAY.cells + ARRAY.multiply_stages + ARRAY.lanes - 1
    for number in range(PASSES):
        rows = int(rng.integers(1, 2 * CONFIG.tile_words))
        scaled = int(CONFIG.block_scales and rng.random() < 0.7)
        pairs = int(rng.integers(3)) if ARRAY.lanes > 1 else 0
        shift = int(rng.integers(4, 40)) if CONFIG.block_scales else 0
        head, tile = int(rng.integers(len(moving) - rows)), int(rng.integers(tiles))
        last, fused = int(rng.integers(2)), int(rng.integers(2))
        base = int(rng.integers(CONFIG.accumulator_depth - rows))
        ranged = range(base, base + rows)
        quiet = all(accumulators.get((lane, a), start) < start - 2 for a in ranged for lane in range(2 if pairs else 1))
        accumulate = int(last and quiet and rng.random() < 0.8)
        scales = {"scaled": scaled} if CONFIG.block_scales else {}
        kinds, paired = ({"pairs": pairs}, {"paired": int(pairs > 0)}) if ARRAY.lanes > 1 else ({}, {})
        loads[load] = token(load_layout(CONFIG), address=tile * CONFIG.tile_words, below=1 - last, **scales, **kinds), fused
        starts[start] = token(
            start_layout(CONFIG), rows=rows, moving=head, accumulator=base, accumulate=accumulate, fused=fused,
            below=1 - last, signal=number % 4 if last else 0, row_macs=number, **paired,
            **scales | ({"shift": shift} if CONFIG.block_scales else {}),
        ), fused, number  # fmt: skip
        for m in range(rows):
            for lane, w in enumerate(lanes_of(stationary[tile], pairs)):
                products = moving[head + m].astype(int) @ w
                if CONFIG.block_scales:
                    down = np.minimum(shift + scaled * (of_row[head + m] + of_column[tile, lane].astype(int)), 63)
                    up = CONFIG.accumulator_bits - ARRAY.product_bits + (4 if pairs else 0)
                    products = (products << up) >> down
                for c in range(ARRAY.columns):
                    old = accumulators[lane, base + m] if accumulate else None
                    sums[start + m + latency + c, lane * ARRAY.columns + c] = int(products[c]), fused, old
                if last:
                    accumulators[lane, base + m] = start + m
            if last:
                signals[start + m + latency + ARRAY.columns - 1] = number % 4 if m == rows - 1 else 0
        before, loaded = start - ARRAY.head_latency, load + ARRAY.load_cycles + scaled * (2 if pairs else 1)
        load = max(before, loaded)
        start = max(start + rows, load + AHEAD)
        load = load if rng.integers(2) else int(rng.integers(load, start - AHEAD + 1))

    written: dict[tuple[int, int], int] = {}  # the accumulators, by the cycle of the row that was written, and column
    north_before = [0] * ARRAY.lanes * ARRAY.columns
    checked = 0
    for cycle in range(start + 2 * latency + ARRAY.columns):
        for name, tokens in [("load", loads), ("start", starts)]:
            value, fused, *_ = tokens.get(cycle, (0, 0))
            for side, chosen in [("", not fused), ("_from_north", fused)]:
                getattr(dut, f"{name}{side}__valid").value = int(bool(chosen) and cycle in tokens)
                getattr(dut, f"{name}{side}__p").value = value if chosen else 0
        north = [int(v) for v in rng.integers(-(2**24), 2**24, ARRAY.lanes * ARRAY.columns)]
        for c in range(ARRAY.lanes * ARRAY.columns):
            getattr(dut, f"sums_from_north__{c}").value = ~north[c] % 2**CONFIG.accumulator_bits
            if (cycle, c) in sums:
                product, fused, old = sums[cycle, c]
                expected = product + (north_before[c] if fused else 0)
                if old is not None:
                    expected += written[old, c]
                assert ~signed(getattr(dut, f"sums_to_south__{c}")) == expected, (cycle, c)
                written[cycle - latency - c % ARRAY.columns, c] = expected
                checked += 1
        assert dut.written.value == (cycle in signals), cycle
        assert dut.signal.value.to_unsigned() == signals.get(cycle, 0), cycle
        north_before = north
        await FallingEdge(dut.clk)
    assert checked == len(sums)
