"""Products of 16 and 24 bits from an array of 8: operands in slices, one integer pass per pair of slices.

Every row of the moving matrix, and every column of the stationary one, has one exponent e, and each of its values is rounded
to nearest even in S slices, signed digits of base 256:

    value = 2**(e - 8 * S + 1) * (slice[0] * 256**(S - 1) + ... + slice[S - 1]) + r,  |r| <= 2**(e - 8 * S)

with e the least for which all slices are INT8 and |value| <= 2**e. Every slice of one operand is multiplied by every one of the
other, in S**2 integer passes: 4 for 16 bits, 9 for 24. To the array the slices of a row are blocks, one behind the other, whose
scales are 2**8 apart; so accumulators drop what is below their unit, as from any other block (`accumulate`). With
u = 2**(-8 * S), the sum of K products is off by less than

    2**(row e + column e) * K * (2 * u + u**2) + (pieces of K, of all passes) * (unit of the accumulator)

The second term is far smaller than the first: less than 2**-8 of it at K = 4096 in 48 bits. Values of INT16 in
[-32768, 32639] are split without rounding. Source: K. Ozaki et al., "Error-free transformations of matrix
multiplication", 2012; H. Ootomo, K. Ozaki and R. Yokota, "DGEMM on integer matrix multiplication unit", 2024.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config import SCALED_ACCUMULATOR_BITS
from .accumulate import Accumulators, accumulate
from .formats import E8M0, INT8, Operand
from .quantise import Quantised

__all__ = ["FIRST", "PRECISIONS", "SLICE_BITS", "Sliced", "blocks", "error_bound", "multiply", "passes", "split"]

SLICE_BITS = 8
"""Binary logarithm of the weight of one slice over that of the next."""

FIRST = -1
"""Exponent of the scale of a first slice, as a block of fractions, under an exponent e of 0."""

PRECISIONS = {16: 2, 24: 3}
"""Slices for each precision in bits."""


@dataclass(frozen=True, eq=False)
class Sliced:
    """A matrix in INT8 slices.

    Attributes
    ----------
    slices
        One matrix per slice, the most significant first.
    exponents
        e of each row of a moving matrix, or of each column of a stationary one.
    """

    slices: NDArray[np.int8]
    exponents: NDArray[np.int64]


def split(values: ArrayLike, count: int, axis: int) -> Sliced:
    """Split a matrix into slices, with one exponent for all values along an axis (K).

    Raises
    ------
    ValueError
        If a value is infinite or NaN.
    """
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError("values to be split into slices must be finite")
    significand, exponents = np.frexp(np.abs(array).max(axis, keepdims=True, initial=0))
    exponents = exponents - (significand == 0.5)  # a power of two takes one less
    # Digits reach 127 only, so that the top half percent of a binade of positive values needs an exponent more.
    exponents = exponents + (_units(array, exponents, count) > 127 * (256**count // 255)).any(axis, keepdims=True)
    units = _units(array, exponents, count)
    slices = []
    for _ in range(count):
        digit = units.astype(np.int8)  # the low byte, with its sign
        slices.append(digit)
        units = (units - digit) >> 8
    return Sliced(np.stack(slices[::-1]), exponents.squeeze(axis).astype(np.int64))


def _units(array: NDArray[np.float64], exponents: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Round to the units of the least slice."""
    return np.rint(np.ldexp(array, 8 * count - 1 - exponents)).astype(np.int64)


def passes(count: int) -> list[tuple[int, int]]:
    """Give the pairs of slices, moving and stationary, of which number 0 is the most significant; that pair comes first."""
    return sorted(product(range(count), range(count)), key=sum)


def blocks(moving: Sliced, stationary: Sliced) -> tuple[Quantised, Quantised]:
    """Give a product of slices as one of blocks, without the exponents of rows and columns.

    There is a block of K elements for each pass, each an integer with `Operand.step_exponent` for its unit, under a scale that is
    2**-8 for each place of its slice.

    Raises
    ------
    ValueError
        If the shapes or the numbers of slices differ.
    """
    (count, rows, length), others = moving.slices.shape, stationary.slices.shape
    if (count, length) != others[:2]:
        raise ValueError(f"operands must be [slice, row, K] and [slice, K, column], not {moving.slices.shape} and {others}")
    operand = Operand("slices", INT8, length)
    taken, scales = [], []
    for side in (0, 1):
        numbers = np.array([step[side] for step in passes(count)])
        taken.append(numbers)
        scales.append((E8M0.bias - SLICE_BITS * numbers).astype(np.uint8))
    a = np.moveaxis(moving.slices[taken[0]], 0, 1).reshape(rows, -1).view(np.uint8)
    b = stationary.slices[taken[1]].reshape(-1, others[2]).view(np.uint8)
    return (
        Quantised(operand, a, np.tile(scales[0], (rows, 1)), 1),
        Quantised(operand, b, np.tile(scales[1][:, None], (1, others[2])), 0),
    )


def error_bound(count: int, length: int) -> float:
    """Give what rounding to slices puts a sum of K = `length` products off by at most, over 2**(row exponent + column exponent)."""
    unit = 2.0 ** (-SLICE_BITS * count)
    return length * (2 * unit + unit**2)


def multiply(
    moving: Sliced,
    stationary: Sliced,
    accumulator_bits: int = SCALED_ACCUMULATOR_BITS,
    terms: int | None = None,
    sum_bits: int | None = None,
) -> Accumulators:
    """Multiply [row, K] by [K, column] as the array does, bit by bit; the parameters are those of `accumulate`.

    Raises
    ------
    ValueError
        If the shapes or the numbers of slices differ, or the accumulators are too narrow.
    """
    sums = accumulate(*blocks(moving, stationary), accumulator_bits, terms, sum_bits)
    exponents = (moving.exponents + FIRST)[:, None] + (stationary.exponents + FIRST)
    return Accumulators(sums.integers, sums.exponents + exponents, sums.poisoned)
