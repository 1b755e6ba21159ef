"""Cells of the precision report that no array is made of: they compute what they are measured for."""

# Ports are handed to `super().__init__`, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from cleave.array.cell import Cell
from cleave.report.precision import STRUCTURES, NibbleCell, TogetherCell

MADE = {structure.make: structure for structure in STRUCTURES if structure.make in (TogetherCell, NibbleCell)}
EXTREMES = [-128, 127, *range(-128, 128)]


def operands(rng: np.random.Generator, kind: type, places: int, *, narrow: bool) -> tuple[NDArray, NDArray, int]:
    """Draw what a cell gets from the west, what it holds, and its dot product.

    The lowest bit of the first operand that it holds says whether operands are narrow.
    """
    moving, held = rng.choice(EXTREMES, (2, places))
    if kind is TogetherCell and narrow:
        moving, held = rng.choice(EXTREMES, 2 * places), rng.choice([-15, 15, *range(-15, 16)], 2 * places)
    held[0] += (held[0] & 1) != narrow and (-1 if held[0] > 0 else 1)
    if kind is TogetherCell and not narrow:
        return np.repeat(moving, 2), np.stack([held & 15, held >> 4], axis=1).reshape(-1), int(moving @ held)
    if kind is NibbleCell and narrow:
        halves = [((value + 8) % 16 - 8, value >> 4) for value in (moving, held)]
        return moving, held, int(halves[0][0] @ halves[1][0] + halves[0][1] @ halves[1][1])
    return moving, held, int(moving @ held)


@pytest.mark.parametrize("kind", MADE)
def test_computes(kind: type, seed: int) -> None:
    rng, structure = np.random.default_rng(seed), MADE[kind]
    cell: Cell = structure.make(structure.array)

    async def bench(ctx: SimulatorContext) -> None:
        for number in range(40):
            moving, held, product = operands(rng, kind, structure.places, narrow=bool(number & 1))
            for place, value in enumerate(held):
                ctx.set(cell.write, 1 << place)
                ctx.set(cell.stationary, int(value) % (1 << cell.place_bits))
                await ctx.tick()
            ctx.set(cell.write, 0)
            ctx.set(cell.swap, 1)
            await ctx.tick()
            ctx.set(cell.swap, 0)
            north = int(rng.integers(-(2**15), 2**15))
            ctx.set(cell.from_west, int.from_bytes(moving.astype(np.int8).tobytes(), "little"))
            ctx.set(cell.from_north[0], north)
            await ctx.tick()
            assert ctx.get(cell.to_south[0]) == north + product, number

    simulator = Simulator(cell)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
