"""What the benches of the array's parts share: clock and reset, operands as ports have them, tokens."""

import os

import numpy as np
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject, LogicArrayObject
from cocotb.triggers import ClockCycles, FallingEdge
from numpy.typing import NDArray

from tb.array.shapes import ECP5_CELLS, ECP5_SHAPES, EXTREMES, SHAPES

SHAPE = os.environ["SHAPE"]
CONFIG = (SHAPES | ECP5_SHAPES).get(SHAPE)  # none where a cell is alone
ARRAY = CONFIG.array if CONFIG else ECP5_CELLS[SHAPE]
SEED = int(os.environ["SEED"])


async def begin(dut: HierarchyObject) -> np.random.Generator:
    """Set all ports to 0, start the clock and reset; give the seeded generator. Ports change at falling edges."""
    for handle in dut:
        handle.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    return np.random.default_rng(SEED)


def operands(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    """Draw INT8 operands, the extreme ones often; a quarter of the first axis is all -128, for the largest sums."""
    values = rng.choice(EXTREMES, shape).astype(np.int8)
    if len(shape) > 1:
        values[rng.random(shape[0]) < 0.25] = -128
    return values


def packed(values: NDArray[np.integer]) -> int:
    """Pack operands into a port, the first in the low byte."""
    return int.from_bytes(values.tobytes(), "little")


def signed(handle: LogicArrayObject) -> int:
    """Read a port as a two's complement number."""
    return handle.value.to_signed()


def token(layout: data.StructLayout, **values: int) -> int:
    """Pack a token's fields as its port has them."""
    assert values.keys() <= layout.members.keys()
    return sum(int(values.get(name, 0)) << field.offset for name, field in layout)
