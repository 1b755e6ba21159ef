"""cocotb bench of the cell: every port random in every cycle, against its formula."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge

from tb.array.drive import ARRAY, begin, operands, packed, signed

CYCLES = 3000


@cocotb.test()
async def formula(dut: HierarchyObject) -> None:
    """to_south and to_east follow the docstring, with writes and swaps at any time."""
    rng = await begin(dut)
    stages = ARRAY.multiply_stages
    waiting = held = None
    east = None
    products: list[int | None] = []
    wrap = 1 << ARRAY.sum_bits
    for cycle in range(CYCLES):
        west = operands(rng, ARRAY.dot)
        write = 0 if cycle % 7 else int(rng.integers(1 << ARRAY.dot // ARRAY.load_rows))
        if cycle < ARRAY.dot:
            write = (1 << ARRAY.dot // ARRAY.load_rows) - 1
        swap = cycle == ARRAY.dot or rng.random() < 0.2
        rows = operands(rng, ARRAY.load_rows)
        north = int(rng.integers(-wrap // 4, wrap // 4))
        dut.from_west.value = packed(west)
        dut.write.value = write
        dut.swap.value = int(swap)
        dut.stationary.value = packed(rows)
        dut.from_north.value = north % wrap
        products.append(None if held is None else int(west.astype(int) @ held.astype(int)))
        await FallingEdge(dut.clk)
        due = products[-1 - stages] if len(products) > stages else None
        if due is not None:
            assert signed(dut.to_south) == (north + due + wrap // 2) % wrap - wrap // 2, cycle
        east = west
        assert dut.to_east.value.to_unsigned() == packed(east)
        if swap and waiting is not None:
            held = waiting.copy()
        if write:
            waiting = np.zeros(ARRAY.dot, np.int8) if waiting is None else waiting
            for group in range(ARRAY.dot // ARRAY.load_rows):
                if write >> group & 1:
                    waiting[group * ARRAY.load_rows : (group + 1) * ARRAY.load_rows] = rows
    assert held is not None
