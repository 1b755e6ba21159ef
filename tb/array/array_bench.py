"""cocotb bench of the array: every cut, all partitions at once, passes back to back, read out as the drain does."""

import cocotb
import numpy as np
from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from cleave.array.tokens import load_layout, start_layout
from cleave.engine.ports import READ_LATENCY
from tb.array.drive import ARRAY, CONFIG, begin, operands, packed, signed, token
from tb.array.lanes import lanes_of
from tb.array.shapes import cuts

PASSES = 3


async def fill(dut: HierarchyObject, a: NDArray[np.int8], w: NDArray[np.int8]) -> None:
    """Write all slabs' operand banks at once; a[slab, pass, m, row], w[slab, pass, row, column]."""
    for p, m in np.ndindex(a.shape[1:3]):
        for s in range(ARRAY.slabs):
            getattr(dut, f"moving__{s}__enable").value = 1
            getattr(dut, f"moving__{s}__address").value = p * a.shape[2] + m
            getattr(dut, f"moving__{s}__data").value = packed(a[s, p, m])
        await FallingEdge(dut.clk)
    for p, k in np.ndindex(w.shape[1:3]):
        word, part = divmod(k, ARRAY.load_rows)
        for s in range(ARRAY.slabs):
            getattr(dut, f"moving__{s}__enable").value = 0
            getattr(dut, f"stationary__{s}__enable").value = 1 << part
            getattr(dut, f"stationary__{s}__address").value = p * ARRAY.load_cycles + word
            getattr(dut, f"stationary__{s}__data").value = packed(w[s, p, k]) << 8 * ARRAY.columns * part
        await FallingEdge(dut.clk)
    for s in range(ARRAY.slabs):
        getattr(dut, f"stationary__{s}__enable").value = 0


async def read_row(dut: HierarchyObject, slab: int, lane: int, address: int) -> list[int]:
    """Read a row of a lane's accumulators through the drain's port."""
    row = []
    for group in range(lane * CONFIG.read_groups, (lane + 1) * CONFIG.read_groups):
        getattr(dut, f"accumulators__{slab}__valid").value = 1
        getattr(dut, f"accumulators__{slab}__group").value = group
        for everywhere in range(ARRAY.slabs):
            getattr(dut, f"accumulators__{everywhere}__address").value = address
        await FallingEdge(dut.clk)
        assert getattr(dut, f"accumulators__{slab}__ready").value
        getattr(dut, f"accumulators__{slab}__valid").value = 0
        for _ in range(READ_LATENCY - 1):
            await FallingEdge(dut.clk)
        for i in range(CONFIG.read_columns):
            row.append(signed(getattr(dut, f"accumulators__{slab}__data__{i}")))
            await FallingEdge(dut.clk)
    return row[: ARRAY.columns]


@cocotb.test()
@cocotb.parametrize(rows=[1, 3, ARRAY.load_cycles, 2 * ARRAY.load_cycles + 1])
@cocotb.parametrize(pairs=range(3 if ARRAY.lanes > 1 else 1))
async def every_cut(dut: HierarchyObject, rows: int, pairs: int) -> None:
    """Partitions that run at once do not disturb each other, and fused ones add up to the whole contraction."""
    rng = await begin(dut)
    period = max(rows, ARRAY.load_cycles, 3)
    starts = [ARRAY.load_cycles + ARRAY.head_latency + p * period for p in range(PASSES)]
    loads = [0, *(start - ARRAY.head_latency for start in starts[:-1])]
    exact = {"shift": CONFIG.accumulator_bits - ARRAY.product_bits + (4 if pairs else 0)} if CONFIG.block_scales else {}
    kinds, paired = ({"pairs": pairs}, {"paired": int(pairs > 0)}) if ARRAY.lanes > 1 else ({}, {})
    for cut in cuts(ARRAY.slabs):
        a, w = operands(rng, ARRAY.slabs, PASSES, rows, ARRAY.rows), operands(
            rng, ARRAY.slabs, PASSES, ARRAY.rows, ARRAY.columns
        )
        await fill(dut, a, w)
        for cycle in range(starts[-1] + rows + ARRAY.slabs + ARRAY.columns + ARRAY.rows + 8):
            for first, count in cut:
                getattr(dut, f"load__{first}__valid").value = int(cycle in loads)
                getattr(dut, f"start__{first}__valid").value = int(cycle in starts)
                if cycle in loads:
                    address = loads.index(cycle) * ARRAY.load_cycles
                    getattr(dut, f"load__{first}__p").value = token(
                        load_layout(CONFIG), address=address, below=count - 1, **kinds
                    )
                if cycle in starts:
                    p = starts.index(cycle)
                    getattr(dut, f"start__{first}__p").value = token(
                        start_layout(CONFIG), rows=rows, moving=p * rows, accumulator=1, accumulate=p > 0,
                        below=count - 1, **exact, **paired,
                    )
            await FallingEdge(dut.clk)
        for first, count in cut:
            members = slice(first, first + count)
            for lane, weights in enumerate(lanes_of(w[members], pairs)):
                expected = np.einsum("spmk,spkn->mn", a[members].astype(int), weights)
                for m in range(rows):
                    assert await read_row(dut, first + count - 1, lane, 1 + m) == list(expected[m]), (cut, first, lane, m)
