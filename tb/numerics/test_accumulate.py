"""Block-scaled products: the exact one and the accumulated one against fractions of what ml_dtypes decodes."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave.numerics.accumulate import Accumulators, accumulate, anchors, exact_product, fraction_bits
from cleave.numerics.formats import E8M0, OPERANDS, Kind, Operand, parse_operands, product_bits
from cleave.numerics.quantise import Quantised, quantise
from tb.numerics.references import decode, exact, powers

PAIRS = ["int8", "int4", "mxint8", "mxfp6", "mxfp4", "mxint8:mxfp4", "mxfp4:mxfp6", "int8:mxint8", "mxfp6:int4"]


def random_operand(
    rng: np.random.Generator, operand: Operand, rows: int, length: int, spread: int, *, extreme: bool = False
) -> Quantised:
    """Random codes under random scales, [row, K]; `extreme` takes only the elements of largest magnitude."""
    element = operand.element
    codes = rng.choice(np.flatnonzero(np.abs(element.integers) >= element.integers.max() * extreme), (rows, length))
    high = 127 + rng.integers(-127 + spread, 128 - spread) if spread < 127 else 127
    scales = rng.integers(high - spread, high + spread + 1, (rows, -(-length // (operand.block or length))))
    return Quantised(operand, codes.astype(np.uint8), np.clip(scales, 0, 254).astype(np.uint8), 1)


def transposed(quantised: Quantised) -> Quantised:
    return Quantised(quantised.operand, quantised.codes.T, quantised.scales.T, 0)


def values(quantised: Quantised) -> NDArray[np.object_]:
    """The elements as fractions, after ml_dtypes; NaN scales count as 1."""
    operand, (rows, length) = quantised.operand, quantised.codes.shape
    step = 2.0 ** (2 - operand.element.bits) if operand.block and operand.element.kind is Kind.INTEGER else 1.0
    scales = np.where(quantised.scales == operand.scale.nan_code, 127, quantised.scales)
    block = operand.block or (length if quantised.axis else rows)
    spread = np.repeat(exact(decode(operand.scale, scales)), block, quantised.axis)[:rows, :length]
    return exact(decode(operand.element, quantised.codes) * step) * spread


def check(
    moving: Quantised, stationary: Quantised, bits: int, terms: int, rng: np.random.Generator, sum_bits: int | None = None
) -> Accumulators:
    """Compare with floor(dot product / unit), added in a random order, and with the exact sum."""
    found = accumulate(moving, stationary, bits, terms, sum_bits)
    a, b, units = values(moving), values(stationary), powers(found.exponents)
    length = a.shape[1]
    block = min(operand.block or length for operand in (moving.operand, stationary.operand))
    starts = rng.permutation([i for i in range(length) if i % block % terms == 0])
    down = np.vectorize(floor, otypes=[object])
    ends = {i: min(i + terms, i - i % block + block) for i in starts}
    wanted = sum(down((a[:, i : ends[i]] @ b[i : ends[i]]) / units) for i in starts)
    assert np.array_equal(found.integers, wanted)
    assert np.abs(found.integers).max() < 1 << bits - 1
    error = a @ b - found.fractions()
    assert (error >= 0).all() and (error < len(starts) * units).all()
    return found


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("spread", [0, 4, 30, 127])
def test_against_fractions(pair: str, spread: int, rng: np.random.Generator) -> None:
    """Any spread of the scales, up to 2**-127 and 2**127 side by side, any ragged length, any height of a slab."""
    moving, stationary = parse_operands(pair)
    for length, terms, bits in [(1, 32, 32), (70, 32, 32), (70, 8, 48), (90, 12, 48), (100, 4, 40), (64, 16, 64)]:
        a = random_operand(rng, moving, 3, length, spread)
        b = transposed(random_operand(rng, stationary, 4, length, spread))
        check(a, b, bits, terms, rng)
        found = check(a, b, bits, terms, rng, sum_bits=21)
        low = {8: 0, 6: 1, 4: 3}  # bits of a sum of INT8 that an element's format does not reach
        unused = sum(4 if each.element.name == "INT4" else low[each.element.bits] for each in (moving, stationary))
        assert (found.exponents >= anchors(a)[:, None] + anchors(b) + a.operand.step_exponent + b.operand.step_exponent
                - (bits - 21 + unused)).all()  # fmt: skip
        product, poisoned = exact_product(a, b)
        assert np.array_equal(product, values(a) @ values(b)) and not poisoned.any()


@pytest.mark.parametrize("pair", PAIRS)
def test_extremes(pair: str, rng: np.random.Generator) -> None:
    """The largest operands under one scale: exact, no overflow, and no bit of the accumulator to spare."""
    moving, stationary = parse_operands(pair)
    for length, bits in [(32, 32), (96, 30), (4096, 48)]:
        a = random_operand(rng, moving, 2, length, 0, extreme=True)
        for codes in (a.codes, a.codes[:, :1].repeat(length, 1)):
            a = Quantised(moving, codes, a.scales[:, :1].repeat(a.scales.shape[1], 1), 1)
            least = int(np.argmin(stationary.element.integers))
            scales = np.full((-(-length // (stationary.block or length)), 1), 3, np.uint8)
            b = Quantised(stationary, np.full((length, 1), least, np.uint8), scales, 0)
            found = check(a, b, bits, 32, rng)
            assert np.array_equal(found.fractions(), values(a) @ values(b))
        assert np.abs(found.integers).max() >= 1 << bits - 3


def test_anchors_and_exponents(rng: np.random.Generator) -> None:
    """A unit is 2**(largest row exponent + largest column exponent + steps - fraction)."""
    moving, stationary = parse_operands("mxint8:mxfp4")
    a = random_operand(rng, moving, 3, 128, 20)
    b = transposed(random_operand(rng, stationary, 2, 128, 20))
    a.scales[1, 2] = E8M0.nan_code
    rows = [max(int(code) - 127 for code in row if code != 255) for row in a.scales]
    columns = [max(int(code) - 127 for code in column) for column in b.scales.T]
    assert anchors(a).tolist() == rows and anchors(b).tolist() == columns
    fractions = fraction_bits(moving, b, 40).tolist()
    wanted = [[row + column - 6 - 1 - below for column, below in zip(columns, fractions, strict=True)] for row in rows]
    assert accumulate(a, b, 40).exponents.tolist() == wanted


@pytest.mark.parametrize("pair", PAIRS)
def test_fractions(pair: str, rng: np.random.Generator) -> None:
    """The most bits below the unit with which the worst moving row cannot overflow: one more, and it could, or has no place."""
    moving, stationary = parse_operands(pair)
    least = np.abs(moving.element.integers).max()
    capped = set()
    for spread, length, bits in [(0, 200, 30), (0, 5, 40), (3, 200, 48), (30, 200, 48)]:
        b = transposed(random_operand(rng, stationary, 4, length, spread, extreme=spread == 0))
        step = powers(anchors(b) + b.operand.step_exponent)
        worst = least * (np.abs(values(b)) / step).sum(0)
        dots = -(-length // 32)
        for fraction, total in zip(fraction_bits(moving, b, bits, 32), worst, strict=True):
            at_most = bits - product_bits(moving, stationary, 32)
            assert total * 2 ** int(fraction) + dots < 1 << bits - 1 and fraction <= at_most
            capped.add(fraction == at_most)
            assert fraction == at_most or total * 2 ** int(fraction + 1) + dots >= 1 << bits - 1
    assert capped == {False, True}


def test_nan_scales(rng: np.random.Generator) -> None:
    """A NaN scale poisons its whole row or column of the result, and changes no other bit."""
    operand = OPERANDS["mxfp4"]
    a = random_operand(rng, operand, 4, 100, 40)
    b = transposed(random_operand(rng, operand, 5, 100, 40))
    clean = accumulate(a, b)
    a.scales[2, 1] = b.scales[3, 4] = E8M0.nan_code
    found = accumulate(a, b)
    poisoned = np.zeros((4, 5), bool)
    poisoned[2] = poisoned[:, 4] = True
    assert np.array_equal(found.poisoned, poisoned) and np.array_equal(exact_product(a, b)[1], poisoned)
    assert np.array_equal(found.integers[~poisoned], clean.integers[~poisoned])
    with np.errstate(invalid="ignore"):
        assert np.array_equal(np.isnan(a.dequantise() @ b.dequantise()), poisoned)


def test_nvfp4_exactly(rng: np.random.Generator) -> None:
    a = quantise(rng.normal(size=(3, 40)), OPERANDS["nvfp4"], 1)
    b = quantise(rng.normal(size=(40, 2)), OPERANDS["mxint8"], 0)
    assert np.array_equal(exact_product(a, b)[0], exact(a.dequantise()) @ exact(b.dequantise()))


@pytest.mark.parametrize("pair", ["mxint8", "mxfp6", "mxfp4", "mxint8:mxfp4"])
def test_more_exact_than_fp32(pair: str, rng: np.random.Generator) -> None:
    """48 bits lose less than FP32 accumulation of the same operands, on heavy-tailed rows and blocks, K = 4096."""
    moving, stationary = parse_operands(pair)
    tails = [rng.standard_t(2, (4, 4096)) * np.repeat(np.exp2(rng.normal(0, 3, (4, 128))), 32, 1) for _ in range(2)]
    a, b = quantise(tails[0], moving, 1), quantise(tails[1].T, stationary, 0)
    product, _ = exact_product(a, b)
    x, y = a.dequantise(), b.dequantise()
    magnitudes = np.abs(x) @ np.abs(y)
    in_order = np.zeros((4, 4), np.float32)
    for k in range(4096):
        in_order += np.outer(x[:, k], y[k]).astype(np.float32)
    ours = (np.abs(product - accumulate(a, b).fractions()).astype(float) / magnitudes).max()
    fp32 = (np.abs(product - exact(in_order)).astype(float) / magnitudes).max()
    print(f"{pair}: {ours:.1e} against {fp32:.1e}")
    assert ours <= fp32


def test_wrong_operands(rng: np.random.Generator) -> None:
    a = random_operand(rng, OPERANDS["mxint8"], 2, 64, 1)
    b = transposed(random_operand(rng, OPERANDS["mxint8"], 2, 64, 1))
    with pytest.raises(ValueError, match=r"\[row, K\] .* not \[2, 64\] along 1 and \[2, 64\] along 1"):
        accumulate(a, a)
    with pytest.raises(ValueError, match="at least 23 for 2 dot products of 32 terms of mxint8:mxint8, not 22"):
        accumulate(a, b, 22)
    assert (fraction_bits(a.operand, b, 23) >= 0).all()
    with pytest.raises(ValueError, match="at most 64, not 65"):
        accumulate(a, b, 65)
    with pytest.raises(ValueError, match="not E4M3"):
        accumulate(quantise(np.ones((2, 64)), OPERANDS["nvfp4"], 1), b)


def test_unused_bits_of_a_sum() -> None:
    """A slab's sum has 21 bits, for 32 products of INT8; those of other elements use them all, and have more below their unit."""
    for names, unused in [("mxint8", 0), ("mxfp6", 2), ("mxfp4", 6), ("mxint8:mxfp4", 3), ("mxfp6:mxint8", 1), ("mxfp4:int4", 7)]:
        moving, stationary = parse_operands(names)
        one = quantise(np.eye(32, 1), stationary, 0)
        assert fraction_bits(moving, one, 48, 32, sum_bits=21).tolist() == [48 - 21 + unused], names


def test_unit_of_a_small_case() -> None:
    """By hand: 3 * 5 under equal scales of 1, and beside it -1 * 1 under scales 2**-50 and 2**-50."""
    codes = np.zeros((1, 64), np.uint8)
    codes[0, 0], codes[0, 32] = 3, 255
    other = np.zeros((64, 1), np.uint8)
    other[0, 0], other[32, 0] = 5, 1
    a = Quantised(OPERANDS["mxint8"], codes, np.array([[127, 77]], np.uint8), 1)
    b = Quantised(OPERANDS["mxint8"], other, np.array([[127], [77]], np.uint8), 0)
    found = accumulate(a, b, 32)
    assert fraction_bits(a.operand, b, 32).tolist() == [11]  # a dot product of 32 terms takes 21 bits
    assert found.integers.tolist() == [[(15 << 11) - 1]]  # what is below zero by next to nothing is one unit below
    assert found.exponents.tolist() == [[-6 - 6 - 11]]
    assert exact_product(a, b)[0][0, 0] == Fraction(15, 1 << 12) - Fraction(1, 1 << 112)
