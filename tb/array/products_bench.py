"""cocotb bench of a cell of one moving operand: its product with every stationary operand, in every lane."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge

from tb.array.cell_bench import places
from tb.array.drive import ARRAY, begin, signed

BYTES = np.arange(256, dtype=np.uint8).view(np.int8)

LANES = np.arange(-15, 16)

HELD = BYTES[:, None] if ARRAY.lanes == 1 else np.concatenate([np.stack([LANES, np.roll(LANES, n)], 1) for n in range(0, 31, 5)])
"""Stationary operands [number, lane]: each one, and of two lanes each with several of the other."""


@cocotb.test()
async def every_product(dut: HierarchyObject) -> None:
    """All moving bytes meet all stationary operands, which take over from each other without a pause."""
    rng = await begin(dut)
    assert ARRAY.dot == 1
    dut.write.value, dut.stationary.value = 1, places(HELD[0])
    await FallingEdge(dut.clk)
    dut.write.value, dut.swap.value = 0, 1
    await FallingEdge(dut.clk)
    products = np.stack([np.outer(of_lane, BYTES).ravel() for of_lane in HELD.T.astype(int)], axis=1)  # [cycle, lane]
    largest = (1 << ARRAY.sum_bits - 1) - 1 - abs(products).max()
    norths = rng.integers(-largest, largest, (len(products) + ARRAY.multiply_stages, ARRAY.lanes))
    checked = 0
    for cycle, north in enumerate(norths):
        held, moving = divmod(cycle, len(BYTES))
        dut.from_west.value = moving
        dut.stationary.value = places(HELD[(held + 1) % len(HELD)])
        dut.write.value = int(moving == 0)
        dut.swap.value = int(moving == len(BYTES) - 1)
        for lane, addend in enumerate(north):
            getattr(dut, f"from_north__{lane}").value = int(addend) % (1 << ARRAY.sum_bits)
        await FallingEdge(dut.clk)
        if cycle >= ARRAY.multiply_stages:
            expected = north + products[cycle - ARRAY.multiply_stages]
            assert [signed(getattr(dut, f"to_south__{lane}")) for lane in range(ARRAY.lanes)] == expected.tolist(), cycle
            checked += 1
    assert checked == len(BYTES) * len(HELD)
