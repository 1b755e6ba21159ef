"""Block quantisation against gfloat and ml_dtypes."""

from typing import Any

import gfloat
import numpy as np
import pytest
from gfloat import RoundMode
from gfloat.block import compute_scale_amax
from numpy.typing import NDArray

from cleave.numerics.formats import E4M3, OPERANDS, Kind, Operand
from cleave.numerics.quantise import Quantised, ScaleRule, encode_elements, quantise
from tb.numerics.references import BLOCKS, DTYPE, GFLOAT, decode

MX = [OPERANDS[name] for name in BLOCKS]
LARGEST = float(np.finfo(np.float32).max)
LEAST = float(np.finfo(np.float32).smallest_subnormal)
by_name = pytest.mark.parametrize("operand", MX, ids=lambda operand: operand.name)


def blocks(rng: np.random.Generator, count: int = 200) -> NDArray[np.float64]:
    """Blocks of 32 float32 values: over the whole range, heavy-tailed, near the ends of a binade, and with corners."""
    scale = np.exp2(rng.integers(-140, 120, (count, 1)).astype(float))
    values = rng.standard_t(2, (count, 32)) * scale
    near = rng.choice([4, 6, 7, 7.5, 8, 127 / 64, 127.5 / 64, 2, 7.75], (count, 32)) * rng.choice([1, -1], (count, 32))
    steps = 1 + rng.integers(-2, 3, (count, 32)) * 2.0**-23
    corners = [[0] * 32, [-0.0] * 32, [LARGEST] * 32, [-LARGEST, LARGEST] * 16, [LEAST] + [0] * 31, [LEAST, LARGEST] * 16,
               [2.0**-127] * 32, [-2.0**-149, 2.0**-126] * 16, [6] * 32, [7.5] * 32, [127 / 64] * 32]  # fmt: skip
    made = np.concatenate([values, near * steps * 2.0 ** rng.integers(-9, 9, (count, 1)), corners])
    return np.clip(made, -LARGEST, LARGEST).astype(np.float32).astype(float)


def least_scale(operand: Operand) -> Any:
    """The scale by which no element saturates, tried out rather than computed."""
    def scale(_: float, values: Any) -> float:
        largest = np.abs(values).max()
        return next(2.0**e for e in range(-127, 128) if e == 127 or largest / 2.0**e <= GFLOAT[operand.element].max)
    return scale


@by_name
@pytest.mark.parametrize("rule", ScaleRule)
def test_against_gfloat(operand: Operand, rule: ScaleRule, rng: np.random.Generator) -> None:
    values = blocks(rng)
    found = quantise(values, operand, rule=rule).dequantise()
    scale = compute_scale_amax if rule is ScaleRule.FLOOR else least_scale(operand)
    for block, got in zip(values, found, strict=True):
        assert np.array_equal(gfloat.quantize_block(BLOCKS[operand.name], block, scale), got), block


@by_name
def test_codes_against_ml_dtypes(operand: Operand, rng: np.random.Generator) -> None:
    """The codes themselves, with the sign of zeros."""
    values = blocks(rng)
    found = quantise(values, operand)
    scales = decode(operand.scale, found.scales)
    ratios = (values / scales).astype(np.float32)
    if operand.element.kind is Kind.INTEGER:
        wanted = np.clip(np.rint(ratios * 64), -128, 127).astype(np.int8).view(np.uint8)
    else:
        wanted = ratios.astype(DTYPE[operand.element]).view(np.uint8)
    assert np.array_equal(found.codes, wanted)


@pytest.mark.parametrize("operand", OPERANDS.values(), ids=lambda operand: operand.name)
def test_dequantise(operand: Operand) -> None:
    """Every element under every scale; E4M3 scales have no sign."""
    codes, scales = np.arange(1 << operand.element.bits), np.arange(128 if operand.scale is E4M3 else 256)[:, None]
    blocks = np.repeat(scales, -(-len(codes) // (operand.block or len(codes))), 1).astype(np.uint8)
    made = Quantised(operand, np.tile(codes, (len(scales), 1)).astype(np.uint8), blocks, 1)
    step = 2.0 ** (2 - operand.element.bits) if operand.block and operand.element.kind is Kind.INTEGER else 1
    assert np.array_equal(made.dequantise(), decode(operand.element, codes) * step * decode(operand.scale, scales), equal_nan=True)


def test_nvfp4(rng: np.random.Generator) -> None:
    values = blocks(rng)
    values = np.concatenate([values[np.abs(values).max(1) < 3000], rng.normal(size=(100, 32)).astype(np.float32)])
    found = quantise(values, OPERANDS["nvfp4"])
    for half in range(2):
        part = values[:, 16 * half : 16 * half + 16]
        scales = gfloat.round_ndarray(GFLOAT[E4M3], np.abs(part).max(1) / 6, RoundMode.TiesToEven, sat=True)
        assert np.array_equal(decode(E4M3, found.scales[:, half]), scales)
        ratios = np.divide(part, scales[:, None], out=np.zeros_like(part), where=scales[:, None] > 0)
        wanted = gfloat.round_ndarray(GFLOAT[OPERANDS["nvfp4"].element], ratios, sat=True) * scales[:, None]
        assert np.array_equal(found.dequantise()[:, 16 * half : 16 * half + 16], wanted)


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_whole_rows(name: str, rng: np.random.Generator) -> None:
    """Without blocks, integers share one power of two along the whole axis; integers that fit keep their values."""
    values = rng.integers(-7, 8, (3, 50)) * 2.0**9
    values[:, 0] = 7 * 2.0**9
    found = quantise(values, OPERANDS[name], rule=ScaleRule.UP)
    assert found.scales.shape == (3, 1) and np.array_equal(found.dequantise(), values)


@pytest.mark.parametrize("operand", OPERANDS.values(), ids=lambda operand: operand.name)
def test_axes_and_short_blocks(operand: Operand, rng: np.random.Generator) -> None:
    """Any axis, any length: every block is quantised as if it were alone."""
    for length in (1, 15, 16, 17, 31, 32, 33, 45):
        block = operand.block or length
        values = rng.standard_t(2, (2, length, 3))
        found = quantise(values, operand, 1)
        assert found.codes.shape == values.shape and found.scales.shape == (2, -(-length // block), 3)
        for i in range(0, length, block):
            alone = quantise(np.swapaxes(values[:, i : i + block], 1, 2), operand, -1).dequantise()
            assert np.array_equal(np.swapaxes(found.dequantise()[:, i : i + block], 1, 2), alone)


@pytest.mark.parametrize("operand", OPERANDS.values(), ids=lambda operand: operand.name)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_infinity_and_nan(operand: Operand, bad: float) -> None:
    """One of them makes its block NaN, and no other block."""
    block = operand.block or 8
    values = np.full((2, 2 * block if operand.block else block), 6.0)
    values[0, 3] = bad
    found = quantise(values, operand)
    assert found.scales[0, 0] == operand.scale.nan_code
    expected = np.full(values.shape, 6.0)
    expected[0, :block] = np.nan
    assert np.array_equal(found.dequantise(), expected, equal_nan=True)
    assert np.array_equal(found.poisoned, np.isnan(expected[:, ::block]))


def test_scales_stay_in_range() -> None:
    """Zeros take the least scale; float64 values beyond the largest saturate, and those beneath the least vanish."""
    for operand in MX:
        found = quantise([[0.0] * 32, [1e300] * 32, [-1e300] * 32, [1e-300] * 32], operand)
        assert found.scales.ravel().tolist() == [0, 254, 254, 0]
        least = -128 if operand.element.kind is Kind.INTEGER else -int(operand.element.integers.max())
        assert found.integers[:, 0].tolist() == [0, operand.element.integers.max(), least, 0]


def test_element_ties() -> None:
    """Every midpoint between neighbouring elements, and beside it, against gfloat."""
    for target in {operand.element for operand in OPERANDS.values()} | {E4M3}:
        unit = 2.0 ** (2 - target.bits) if target.kind is Kind.INTEGER else 1
        values = np.unique(target.integers * 2.0**target.step_exponent)
        middles = (values[1:] + values[:-1]) / 2
        tried = np.concatenate([middles, np.nextafter(middles, -np.inf), np.nextafter(middles, np.inf), values, values * 1.5])
        wanted = gfloat.round_ndarray(GFLOAT[target], tried * unit, sat=True)
        assert np.array_equal(encode_elements(tried, target), gfloat.encode_ndarray(GFLOAT[target], wanted))


def test_empty_axis() -> None:
    with pytest.raises(ValueError, match="at least one element, not 0"):
        quantise(np.zeros((3, 0)), MX[0])
