"""The drain's rounding of blocks in hardware against gfloat, and against its definition in numpy."""

import gfloat
import numpy as np
import pytest

from cleave.config import BLOCK
from cleave.engine.rounding_unit import RoundingUnit
from cleave.numerics.formats import E8M0, ELEMENTS, INT4, OPERANDS, Kind, Operand
from cleave.numerics.quantise import ScaleRule, quantise
from cleave.numerics.rounding import Rounding
from tb.engine.block_bench import Block, random_blocks, run
from tb.numerics.references import BLOCKS, decode, rounded
from tb.numerics.test_quantise import least_scale


def step(block: Block) -> float:
    """Weight of an element's own unit: integers are fractions in a block."""
    return 2.0 ** (2 - block.element.bits) if block.element.kind is Kind.INTEGER else 1.0


def test_against_gfloat(rng: np.random.Generator) -> None:
    mx = {OPERANDS[name].element: other for name, other in BLOCKS.items()}
    blocks = [block for block in random_blocks(rng, 120) if block.element is not INT4 and not block.poisoned.any()]
    found, *_ = run(blocks, 4, 0.1)
    for block, (codes, scale, _) in zip(blocks, found, strict=True):
        operand = Operand("", block.element, BLOCK)
        rule = gfloat.block.compute_scale_amax if block.rule is ScaleRule.FLOOR else least_scale(operand)
        values = np.pad(block.values, (0, BLOCK - len(block.values)))
        wanted = gfloat.quantize_block(mx[block.element], values, rule)[: len(block.values)]
        assert np.array_equal(decode(block.element, codes) * step(block) * decode(E8M0, scale), wanted), block


@pytest.mark.parametrize(("lanes", "stall"), [(2, 0.0), (2, 0.3), (4, 0.3), (16, 0.1)])
def test_against_numpy(lanes: int, stall: float, rng: np.random.Generator) -> None:
    """Codes and scales to the bit, with NaNs, under stalls and pauses."""
    blocks = random_blocks(rng, 60)
    found, *_ = run(blocks, lanes, stall)
    for block, (codes, scale, _) in zip(blocks, found, strict=True):
        wanted = quantise(block.values, Operand("", block.element, BLOCK), rule=block.rule)
        assert (codes, scale) == (wanted.codes.tolist(), wanted.scales.item()), block


def test_modes_and_anchors(rng: np.random.Generator) -> None:
    """Every rounding mode, with scales that an anchor limits."""
    blocks = random_blocks(rng, 80)
    for block in blocks:
        block.mode = Rounding(int(rng.integers(len(Rounding))))
        free = quantise(block.values, Operand("", block.element, BLOCK), rule=block.rule).scales.item()
        block.anchor = int(np.clip(free + rng.choice([-300, -5, -1, 0, 1, 300]), 0, 255))
    found, *_ = run(blocks, 8, 0.2)
    for block, (codes, scale, anchor) in zip(blocks, found, strict=True):
        wanted = quantise(block.values, Operand("", block.element, BLOCK), rule=block.rule).scales.item()
        nan = wanted == E8M0.nan_code
        assert (scale, anchor) == (wanted if nan else min(wanted, block.anchor), block.anchor)
        values = np.zeros(len(block.sums)) if nan else block.values / 2.0 ** (scale - E8M0.bias) / step(block)
        assert codes == rounded(block.element, values, block.mode, block.random, saturate=True).tolist(), block


@pytest.mark.parametrize("lanes", [2, 4, 16])
def test_throughput_and_latency(lanes: int, rng: np.random.Generator) -> None:
    """A word per cycle, from block to block; the first comes `LATENCY` + 2 cycles after the last one of its block."""
    words = BLOCK // lanes
    blocks = [block for block in random_blocks(rng, 40) if len(block.sums) == BLOCK][:8]
    _, latency, cycles = run(blocks, lanes)
    assert (latency, cycles) == (words - 1 + RoundingUnit.LATENCY + 2, len(blocks) * words - 1)


@pytest.mark.parametrize("lanes", [2, 8])
def test_short_blocks_behind_long_ones(lanes: int, rng: np.random.Generator) -> None:
    """Every number of one-word blocks behind a full one, without a pause: a word per cycle, and none is lost."""
    long, short = (next(b for b in random_blocks(rng, 100) if len(b.sums) == n and not b.poisoned.any()) for n in (BLOCK, 1))
    blocks = [block for count in range(2 * BLOCK // lanes) for block in [long, *[short] * count]]
    words = sum(-(-len(block.sums) // lanes) for block in blocks)
    found, _, cycles = run(blocks, lanes)
    assert cycles >= words - 1
    for block, (codes, scale, _) in zip(blocks, found, strict=True):
        wanted = quantise(block.values, Operand("", block.element, BLOCK), rule=block.rule)
        assert (codes, scale) == (wanted.codes.tolist(), wanted.scales.item())


def test_elements() -> None:
    """Every element format comes up in the random blocks."""
    assert {block.element for block in random_blocks(np.random.default_rng(1), 60)} == set(ELEMENTS)
