"""Drive the rounding unit in Amaranth's simulator: blocks in, blocks out, with pauses and stalls at random."""

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from cleave.config import BLOCK, ArrayConfig, EngineConfig
from cleave.engine.isa import Output
from cleave.engine.rounding_unit import RoundingUnit
from cleave.numerics.formats import ELEMENTS, Format
from cleave.numerics.quantise import ScaleRule
from cleave.numerics.rounding import Rounding

PATIENCE = 8000
"""Cycles after which nothing more is expected: more than twice what the longest test takes."""


@dataclass
class Block:
    """Sums with their exponents, and what is asked of them."""

    sums: NDArray[np.int64]
    exponents: NDArray[np.int64]
    poisoned: NDArray[np.bool_]
    random: NDArray[np.int64]
    element: Format
    rule: ScaleRule = ScaleRule.FLOOR
    mode: Rounding = Rounding.NEAREST_EVEN
    anchor: int = 254

    @property
    def values(self) -> NDArray[np.float64]:
        return np.where(self.poisoned, np.nan, np.ldexp(self.sums.astype(float), self.exponents))


def config(lanes: int) -> EngineConfig:
    """Give an engine whose drain has so many lanes, and blocks of 32 columns."""
    return EngineConfig(ArrayConfig(columns=BLOCK), axi_data_width=32 * lanes)


def run(blocks: list[Block], lanes: int, stall: float = 0.0) -> tuple[list[tuple[list[int], int, int]], int, int]:
    """Give each block's codes, scale and anchor, the cycles to the first word, and those from the first to the last."""
    dut = RoundingUnit(config(lanes))
    random = Random(1)
    results: list[tuple[list[int], int, int]] = []
    started = first = last = 0
    words = [(block, start) for block in blocks for start in range(0, len(block.sums), lanes)]

    def word(block: Block, start: int) -> dict[str, Any]:
        """Give an input; lanes beyond the block have what must not count."""
        unused = {"exponent": 500, "nan": 1, "random": 0, "anchor": 0}
        inside = range(start, min(start + lanes, len(block.sums)))
        columns = [
            {"exponent": int(block.exponents[n]), "nan": int(block.poisoned[n]), "random": int(block.random[n]), "anchor": 1}
            for n in inside
        ]  # fmt: skip
        pad = lanes - len(columns)
        wanted = {"target": ELEMENTS.index(block.element), "mode": block.mode.value, "saturate": 0}
        ends = start + lanes >= len(block.sums)
        place = {"output": Output.BLOCKS, "count": len(columns), "block_ends": ends, "offset": start % 7}
        return {
            "valid": 1, "accumulators": [int(block.sums[n]) for n in inside] + [-1] * pad, "columns": columns + [unused] * pad,
            "row": {"exponent": 0, "nan": 0, "random": 0, "anchor": block.anchor}, "relu": 0, "wanted": wanted,
            "scale_up": block.rule.value, "place": place,
        }  # fmt: skip

    async def bench(ctx: Any) -> None:
        nonlocal first, last, started
        sent, codes, cycle = 0, [], 0
        while len(results) < len(blocks):
            enable = random.random() >= stall
            offered = sent < len(words) and random.random() >= stall
            ctx.set(dut.enable, enable)
            ctx.set(dut.i, word(*words[sent]) if offered else {"valid": 0})
            *_, o, busy = await ctx.tick().sample(dut.o, dut.busy)
            cycle += 1
            assert cycle < PATIENCE, f"{len(results)} of {len(blocks)} blocks in {PATIENCE} cycles"
            assert busy or not o.valid
            if offered and enable:
                sent += 1
                started = started or cycle
            if o.valid and enable:
                first, last = first or cycle, cycle
                assert o.place.offset == len(codes) % 7
                codes += [o.codes[lane] for lane in range(o.place.count)]
                if o.place.block_ends:
                    results.append((codes, o.scale, o.anchor))
                    codes = []
        await ctx.tick()
        assert not ctx.get(dut.busy)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return results, first - started, last - first


def random_blocks(rng: np.random.Generator, count: int, elements: tuple[Format, ...] = ELEMENTS) -> list[Block]:
    """Random blocks of any exponents, and corners: zeros, NaNs, one value alone, short ones, values at both ends of the range."""
    made = []
    largest = dict(zip(ELEMENTS, (127, 7, 3, 15), strict=True))
    for number in range(count):
        element, rule = elements[int(rng.integers(len(elements)))], ScaleRule(int(rng.integers(2)))
        length = BLOCK if rng.random() < 0.6 else int(rng.integers(1, BLOCK + 1))
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
            case 4 | 5:  # the largest number, and a little more
                sums[:] = 0
                sums[0], rule = (largest[element] << 30) + number % 2, ScaleRule.UP
        made.append(Block(sums, exponents, poisoned, rng.integers(0, 256, length), element, rule))
    return made
