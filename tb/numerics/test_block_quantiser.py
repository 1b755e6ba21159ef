"""The block quantiser in hardware against gfloat, and against its definition in numpy."""

import gc

import gfloat
import numpy as np
import pytest
from amaranth.sim import Simulator

from cleave.numerics.block_quantiser import BLOCK, BlockQuantiser
from cleave.numerics.formats import E8M0, ELEMENTS, INT4, OPERANDS, Kind, Operand
from cleave.numerics.quantise import ScaleRule, quantise
from cleave.numerics.random_bits import RandomBits
from cleave.numerics.rounding import RANDOM_BITS, Rounding, random_numbers
from tb.numerics.block_bench import Block, random_blocks, run
from tb.numerics.references import BLOCKS, decode, rounded
from tb.numerics.test_quantise import least_scale


def step(block: Block) -> float:
    """Weight of an element's own unit: integers are fractions in a block."""
    return 2.0 ** (2 - block.element.bits) if block.element.kind is Kind.INTEGER else 1.0


def test_against_gfloat(rng: np.random.Generator) -> None:
    mx = {OPERANDS[name].element: other for name, other in BLOCKS.items()}
    blocks = [block for block in random_blocks(rng, 120, 4) if block.element is not INT4 and not block.poisoned.any()]
    found, *_ = run(blocks, 4, 0.1)
    for block, (codes, scale) in zip(blocks, found, strict=True):
        operand = Operand("", block.element, BLOCK)
        rule = gfloat.block.compute_scale_amax if block.rule is ScaleRule.FLOOR else least_scale(operand)
        wanted = gfloat.quantize_block(mx[block.element], block.values, rule)
        assert np.array_equal(decode(block.element, codes) * step(block) * decode(E8M0, scale), wanted), block


@pytest.mark.parametrize(("lanes", "stall"), [(1, 0.0), (1, 0.3), (4, 0.3), (32, 0.1)])
def test_against_numpy(lanes: int, stall: float, rng: np.random.Generator) -> None:
    """Codes and scales to the bit, with NaNs, under stalls on both sides."""
    blocks = random_blocks(rng, 60 if lanes < BLOCK else 30, lanes)
    found, *_ = run(blocks, lanes, stall)
    for block, (codes, scale) in zip(blocks, found, strict=True):
        wanted = quantise(block.values, Operand("", block.element, BLOCK), rule=block.rule)
        assert (codes, scale) == (wanted.codes.tolist(), wanted.scales.item()), block


@pytest.mark.parametrize("lanes", [1, 8])
def test_modes(lanes: int, rng: np.random.Generator) -> None:
    """Every rounding mode; the random numbers are used in the order of the elements, whatever the stalls."""
    blocks = random_blocks(rng, 60, lanes)
    for block in blocks:
        block.mode = Rounding(int(rng.integers(len(Rounding))))
    found, *_ = run(blocks, lanes, 0.2)
    random = random_numbers(1, sum(len(block.sums) for block in blocks)).astype(np.int64)
    for block, (codes, scale) in zip(blocks, found, strict=True):
        mine, random = random[: len(codes)], random[len(codes) :]
        wanted = quantise(block.values, Operand("", block.element, BLOCK), rule=block.rule).scales.item()
        assert scale == wanted
        exponent = 0 if wanted == E8M0.nan_code else wanted - E8M0.bias
        if wanted != E8M0.nan_code:
            values = block.values / 2.0**exponent / step(block)
            assert codes == rounded(block.element, values, block.mode, mine, saturate=True).tolist(), block


@pytest.mark.parametrize("lanes", [1, 2, 16, 32])
def test_throughput_and_latency(lanes: int, rng: np.random.Generator) -> None:
    """A word per cycle, from block to block, BLOCK / lanes + 8 cycles later."""
    words = BLOCK // lanes
    blocks = [block for block in random_blocks(rng, 40, lanes) if len(block.sums) == BLOCK][:8]
    _, latency, cycles = run(blocks, lanes)
    assert (latency, cycles) == (words + 8, len(blocks) * words)


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_random_bits(lanes: int) -> None:
    dut = RandomBits(lanes)

    async def bench(ctx) -> None:  # noqa: ANN001
        for seed in (0x12345678, 0, 0xFFFFFFFF):
            ctx.set(dut.seed, seed)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            for start in range(0, 40 * lanes, lanes):
                wanted = int.from_bytes(random_numbers(seed, start + lanes)[start:].tobytes(), "little")
                ctx.set(dut.take, start % 3 == 0)
                while True:
                    assert ctx.get(dut.bits) == wanted
                    taken = ctx.get(dut.take)
                    await ctx.tick()
                    if taken:
                        break
                    ctx.set(dut.take, 1)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(dut.bits) == RANDOM_BITS * lanes


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_wrong_lanes() -> None:
    for lanes in (0, 3, 64):
        with pytest.raises(ValueError, match=f"lanes must divide 32, not {lanes}"):
            BlockQuantiser(48, lanes)
    with pytest.raises(ValueError, match="lanes must be at least 1, not 0"):
        RandomBits(0)
    gc.collect()


def test_elements() -> None:
    """Every element format comes up in the random blocks."""
    assert {block.element for block in random_blocks(np.random.default_rng(1), 60, 4)} == set(ELEMENTS)
