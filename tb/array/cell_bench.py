"""cocotb bench of the cell: every port random in every cycle, against its formula."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from tb.array.drive import ARRAY, begin, operands, packed, signed

CYCLES = 3000


def stationary(rng: np.random.Generator, count: int) -> NDArray[np.int8]:
    """Draw stationary operands [count, lane]: of two lanes those that `PairDecoder` gives."""
    if ARRAY.lanes == 1:
        return operands(rng, count)[:, None]
    return rng.choice([-15, 15, *range(-15, 16)], (count, ARRAY.lanes)).astype(np.int8)


def places(rows: NDArray[np.int8]) -> int:
    """Pack stationary operands [count, lane] as the portable cell holds them."""
    bits = ARRAY.lane_bits
    return sum((int(value) & (1 << bits) - 1) << bits * number for number, value in enumerate(rows.reshape(-1)))


@cocotb.test()
async def formula(dut: HierarchyObject) -> None:
    """to_south and to_east follow the docstring, with writes and swaps at any time, but not at once."""
    rng = await begin(dut)
    stages = ARRAY.multiply_stages
    waiting = held = None
    east = None
    products: list[list[int] | None] = []
    wrap = 1 << ARRAY.sum_bits
    for cycle in range(CYCLES):
        west = operands(rng, ARRAY.dot)
        write = 0 if cycle % 7 else int(rng.integers(1 << ARRAY.dot // ARRAY.load_rows))
        if cycle < ARRAY.dot:
            write = (1 << ARRAY.dot // ARRAY.load_rows) - 1
        swap = cycle == ARRAY.dot or rng.random() < 0.2
        if swap:
            write = 0
        rows = stationary(rng, ARRAY.load_rows)
        north = [int(rng.integers(-wrap // 4, wrap // 4)) for _ in range(ARRAY.lanes)]
        dut.from_west.value = packed(west)
        dut.write.value = write
        dut.swap.value = int(swap)
        dut.stationary.value = places(rows)
        for lane, addend in enumerate(north):
            getattr(dut, f"from_north__{lane}").value = addend % wrap
        products.append(None if held is None else [int(west.astype(int) @ weights) for weights in held.T])
        await FallingEdge(dut.clk)
        due = products[-1 - stages] if len(products) > stages else None
        if due is not None:
            for lane, (addend, product) in enumerate(zip(north, due, strict=True)):
                south = signed(getattr(dut, f"to_south__{lane}"))
                assert south == (addend + product + wrap // 2) % wrap - wrap // 2, (cycle, lane)
        east = west
        assert dut.to_east.value.to_unsigned() == packed(east)
        if swap and waiting is not None:
            held = waiting.copy()
        if write:
            waiting = np.zeros((ARRAY.dot, ARRAY.lanes), np.int8) if waiting is None else waiting
            for group in range(ARRAY.dot // ARRAY.load_rows):
                if write >> group & 1:
                    waiting[group * ARRAY.load_rows : (group + 1) * ARRAY.load_rows] = rows
    assert held is not None
