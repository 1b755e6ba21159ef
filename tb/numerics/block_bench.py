"""Drive the block quantiser in Amaranth's simulator: blocks in, blocks out, both sides stalling at random."""

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

from cleave.numerics.block_quantiser import BLOCK, BlockQuantiser
from cleave.numerics.formats import ELEMENTS, Format
from cleave.numerics.quantise import ScaleRule
from cleave.numerics.random_bits import RandomBits
from cleave.numerics.rounding import Rounding

PATIENCE = 8000
"""Cycles after which nothing more is expected: more than twice what the longest test takes."""


@dataclass
class Block:
    """Sums with their exponents, and what is asked of them."""

    sums: NDArray[np.int64]
    exponents: NDArray[np.int64]
    poisoned: NDArray[np.bool_]
    element: Format
    rule: ScaleRule = ScaleRule.FLOOR
    mode: Rounding = Rounding.NEAREST_EVEN

    @property
    def values(self) -> NDArray[np.float64]:
        return np.where(self.poisoned, np.nan, np.ldexp(self.sums.astype(float), self.exponents))


class Dut(wiring.Component):
    """The quantiser with its random bits, which start from 1."""

    def __init__(self, lanes: int) -> None:
        self.quantiser = BlockQuantiser(48, lanes)
        super().__init__({})

    def elaborate(self, platform: object) -> Elaboratable:  # noqa: ARG002
        m = Module()
        m.submodules.quantiser = self.quantiser
        m.submodules.random = random = RandomBits(self.quantiser.lanes)
        m.d.comb += [self.quantiser.random.eq(random.bits), random.take.eq(self.quantiser.take)]
        return m


def run(blocks: list[Block], lanes: int, stall: float = 0.0) -> tuple[list[tuple[list[int], int]], int, int]:
    """Give each block's codes and scale, the cycles to the first word, and those from the first to the last."""
    dut = Dut(lanes)
    i, o = dut.quantiser.i, dut.quantiser.o
    random = Random(1)
    results: list[tuple[list[int], int]] = []
    first = last = 0
    stuck = False

    async def drive(ctx: Any) -> None:
        for block in blocks:
            for start in range(0, len(block.sums), lanes):
                while random.random() < stall:
                    await ctx.tick()
                for lane in range(lanes):
                    at = start + lane
                    ctx.set(i.p.values[lane].sum, int(block.sums[at]))
                    ctx.set(i.p.values[lane].exponent, int(block.exponents[at]))
                    ctx.set(i.p.values[lane].poisoned, int(block.poisoned[at]))
                asked = {"element": ELEMENTS.index(block.element), "mode": block.mode.value, "rule": block.rule.value}
                ctx.set(i.p.asked, asked)
                ctx.set(i.p.last, start + lanes >= len(block.sums))
                ctx.set(i.valid, 1)
                ready = False
                while not ready and not stuck:
                    *_, ready = await ctx.tick().sample(i.ready)
                ctx.set(i.valid, 0)

    async def collect(ctx: Any) -> None:
        nonlocal first, last, stuck
        cycle, codes = 0, []
        while len(results) < len(blocks) and not stuck:
            ctx.set(o.ready, random.random() >= stall)
            *_, word, valid, ready = await ctx.tick().sample(o.p, o.valid, o.ready)
            cycle += 1
            stuck = cycle == PATIENCE
            if valid and ready:
                first, last = first or cycle, cycle
                codes += [word.codes[lane] for lane in range(lanes)]
                if word.last:
                    results.append((codes, word.scale))
                    codes = []

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.add_testbench(collect)
    simulator.run()
    assert not stuck, f"{len(results)} of {len(blocks)} blocks in {PATIENCE} cycles"
    return results, first - 1, last - first + 1


def random_blocks(rng: np.random.Generator, count: int, lanes: int, elements: tuple[Format, ...] = ELEMENTS) -> list[Block]:
    """Random blocks of any exponents, and corners: zeros, NaNs, one value alone, short ones, values at both ends of the range."""
    made = []
    for number in range(count):
        length = BLOCK if rng.random() < 0.6 else lanes * int(rng.integers(1, BLOCK // lanes + 1))
        sums = rng.integers(-(2**47), 2**47, length) >> rng.integers(0, 48, length)
        exponents = rng.integers(-150, 100) + rng.integers(-9, 10, length)
        if rng.random() < 0.3:  # close to what the rules decide by: 1, 1.5, 1.75, 1.875, 127 / 64 times a power of two
            tops = rng.choice([64, 96, 112, 120, 127], length).astype(np.int64) << 40
            sums, exponents = (tops + rng.integers(-1, 2, length)) * rng.choice([-1, 1], length), exponents // 20
        poisoned = rng.random(length) < (0.1 if rng.random() < 0.1 else 0)
        match number % 10:
            case 0:
                sums[:] = 0
            case 1:
                sums[1:] = 0
            case 2:
                exponents[:] = rng.choice([-512, 511], length)
            case 3:
                poisoned[:] = True
        element = elements[int(rng.integers(len(elements)))]
        made.append(Block(sums, exponents, poisoned, element, ScaleRule(int(rng.integers(2)))))
    return made
