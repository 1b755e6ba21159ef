"""The one rounding at the drain, in numpy: the definition that the hardware's rounder is built to.

The value integer * 2**exponent is rounded once to a target format, between the neighbours quotient * quantum and
(quotient + 1) * quantum in magnitude, where quantum = 2**(max(e, min_exponent) - mantissa_bits) and e is the exponent of the
value's leading one: formats go over into their subnormal numbers by that maximum alone.

- A sum of zero gives plus zero. A negative value that is rounded to zero gives the negative zero of a float format.
- A result beyond the largest finite number is an overflow. Integers and elements, which have nothing beyond it, give their
  largest or least number. So do the others with `saturate`, or when rounding toward zero. Otherwise an overflow gives infinity,
  or NaN for E4M3, which has none (OCP 8-bit Floating Point Specification 1.0, 5.2, non-saturating), with the value's sign.
- NaN gives the quiet NaN without payload or sign, 0 where there is none: in a block its scale says NaN.
"""

from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import Format, Kind, Specials

__all__ = ["RANDOM_BITS", "Rounding", "bit_length", "round_to"]

RANDOM_BITS = 8
"""Random bits for each result of stochastic rounding."""


class Rounding(Enum):
    """Which neighbour a value between two numbers goes to; numbers are the hardware's.

    `STOCHASTIC` rounds up in magnitude with the probability floor(2**RANDOM_BITS * remainder / quantum) / 2**RANDOM_BITS: so
    it is short by less than 2**-RANDOM_BITS of a quantum on average, and leaves numbers of the target alone.
    """

    NEAREST_EVEN = 0
    TOWARD_ZERO = 1
    NEAREST_AWAY = 2
    STOCHASTIC = 3


def round_to(
    target: Format,
    integers: ArrayLike,
    exponents: ArrayLike,
    mode: Rounding = Rounding.NEAREST_EVEN,
    *,
    saturate: bool = False,
    poisoned: ArrayLike = False,
    random: ArrayLike = 0,
) -> NDArray[np.uint32]:
    """Round integers * 2**exponents to codes of a target format.

    Parameters
    ----------
    target
        One of `TARGETS`. For elements in blocks, the exponent is less by the block's scale and the operand's own step.
    integers
        int64 above -2**63.
    exponents
        Between -2**15 and 2**15.
    mode
        See `Rounding`.
    saturate
        Whether an overflow gives the largest number rather than infinity or NaN.
    poisoned
        Whether the value is NaN.
    random
        Uniform numbers below 2**RANDOM_BITS, for `STOCHASTIC`.
    """
    value, exponent, nan, noise = np.broadcast_arrays(np.asarray(integers, np.int64), exponents, poisoned, random)
    negative = value < 0
    magnitude = np.abs(value)
    leading = np.where(magnitude > 0, exponent + bit_length(magnitude) - 1, target.min_exponent)
    quantum = np.maximum(leading, target.min_exponent) - target.mantissa_bits
    quotient, remainder, inexact = _divide(magnitude, quantum - exponent)

    half = 1 << RANDOM_BITS - 1
    up = {
        Rounding.NEAREST_EVEN: (remainder > half) | ((remainder == half) & (inexact | (quotient & 1 == 1))),
        Rounding.TOWARD_ZERO: np.zeros(value.shape, bool),
        Rounding.NEAREST_AWAY: remainder >= half,
        Rounding.STOCHASTIC: remainder + noise >= 2 * half,
    }[mode]
    # The leading one of a normal number counts in the exponent's field, where a carry out of the mantissa belongs, too.
    beyond = leading > max(target.max_exponent, target.min_exponent)
    field = np.where(beyond, 0, np.maximum(leading - target.min_exponent, 0)) << target.mantissa_bits
    code = field + quotient + up
    largest = target.largest_code + (negative if target.kind is Kind.INTEGER else 0)
    to_largest = saturate or mode is Rounding.TOWARD_ZERO or target.specials is Specials.NONE
    code = np.where(beyond | (code > largest), largest if to_largest else target.largest_code + 1, code)
    if target.kind is Kind.INTEGER:
        code = np.where(negative, -code, code) & (1 << target.bits) - 1
    else:
        code = code | negative.astype(np.int64) << target.bits - 1
    return np.where(nan, target.nan_code or 0, code).astype(np.uint32)


def bit_length(magnitude: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the bits of each number, exactly: float64 holds 32 of them at a time."""
    high = magnitude >> 32
    return np.where(high > 0, np.frexp(high.astype(float))[1] + 32, np.frexp(magnitude.astype(float))[1])


def _divide(magnitude: NDArray[np.int64], shift: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Divide by 2**shift: give the quotient, RANDOM_BITS of what is below it, and whether more ones are below those."""
    right = np.clip(shift - RANDOM_BITS, 0, 63)
    fixed = np.where(shift > RANDOM_BITS, magnitude >> right, magnitude << np.clip(RANDOM_BITS - shift, 0, 63))
    inexact = magnitude & ((np.int64(1) << right) - 1) != 0
    return fixed >> RANDOM_BITS, fixed & (1 << RANDOM_BITS) - 1, inexact
