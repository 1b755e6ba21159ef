"""Products of 16 and 24 bits from an array of 8: operands in slices, one integer pass per pair of slices.

Every row of the moving matrix, and every column of the stationary one, has one exponent e, and each of its values is rounded
to nearest even in S slices, signed digits of base 256:

    value = 2**(e - 8 * S + 1) * (slice[0] * 256**(S - 1) + ... + slice[S - 1]) + r,  |r| <= 2**(e - 8 * S)

with e the least for which all slices are INT8 and |value| <= 2**e. Passes i, j with i + j < S are run, each an INT8 product of
whole matrices, and added with the left shift 8 * (S - 1 - i - j) into one accumulator; what the passes left out would add is
of the size of the rounding. S * (S + 1) / 2 passes: 3 for 16 bits, 6 for 24. With u = 2**(-8 * S), the sum of K products is off
by less than

    2**(row e + column e) * K * (2 * u + u**2 + sum of 2**(-8 * (i + j)) over the pairs with i + j >= S)

which is (3 * 2**-16 + 2**-32) for 16 bits and (4 * 2**-24 + 2**-32 + 2**-48) for 24, times K. Values of INT16 in
[-32768, 32639] are split without rounding. Source: K. Ozaki et al., "Error-free transformations of matrix
multiplication", 2012; H. Ootomo, K. Ozaki and R. Yokota, "DGEMM on integer matrix multiplication unit", 2024.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .accumulate import Accumulators

__all__ = ["PRECISIONS", "SLICE_BITS", "Pass", "Sliced", "accumulator_bits", "error_bound", "multiply", "passes", "split"]

SLICE_BITS = 8
"""Binary logarithm of the weight of one slice over that of the next."""

PRECISIONS = {16: 2, 24: 3}
"""Slices for each precision in bits."""


class Pass(NamedTuple):
    """A product of two slices, the most significant of which is number 0, and its left shift into the accumulator."""

    moving: int
    stationary: int
    shift: int


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


def passes(count: int) -> list[Pass]:
    """Give the passes for operands of so many slices, the most significant first."""
    pairs = sorted(product(range(count), repeat=2), key=sum)
    return [Pass(i, j, 8 * (count - 1 - i - j)) for i, j in pairs if i + j < count]


def accumulator_bits(count: int, length: int) -> int:
    """Give the bits of an accumulator that holds all passes over K = `length`, whatever the operands."""
    return (length * sum(128 * 128 << step.shift for step in passes(count))).bit_length() + 1


def error_bound(count: int, length: int) -> float:
    """Give what the sum of K = `length` products is off by at most, over 2**(row exponent + column exponent)."""
    unit = 2.0 ** (-8 * count)
    dropped = sum(2.0 ** (-8 * (i + j)) for i, j in product(range(count), repeat=2) if i + j >= count)
    return length * (2 * unit + unit**2 + dropped)


def multiply(moving: Sliced, stationary: Sliced) -> Accumulators:
    """Multiply [row, K] by [K, column] as the array does, bit by bit.

    Raises
    ------
    ValueError
        If the shapes or the numbers of slices differ, or an accumulator of 64 bits does not hold the sums.
    """
    (count, _, length), others = moving.slices.shape, stationary.slices.shape
    if (count, length) != others[:2]:
        raise ValueError(f"operands must be [slice, row, K] and [slice, K, column], not {moving.slices.shape} and {others}")
    if accumulator_bits(count, length) > 64:
        raise ValueError(f"K of {count} slices must need at most 64 accumulator bits, not {accumulator_bits(count, length)}")
    a, b = moving.slices.astype(float), stationary.slices.astype(float)
    total = np.zeros((a.shape[1], b.shape[2]), np.int64)
    for step in passes(count):
        total += (a[step.moving] @ b[step.stationary]).astype(np.int64) << step.shift
    exponents = moving.exponents[:, None] + stationary.exponents - (8 * count + 6)
    return Accumulators(total, exponents, np.zeros(total.shape, bool))
