"""Requantisation of accumulators to INT8: the one definition that hardware, reference and compiler share.

A column's parameters are a record of 8 bytes, little-endian: `bias` int32, `multiplier` uint16, `shift` uint16, of which
only the lowest 6 bits count (0 to `MAX_SHIFT`). The result is

    saturate(round_to_nearest_even((accumulator + bias) * multiplier / 2**shift))

with the sum taken exactly, in one bit more than an accumulator, and with one rounding.
"""

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BITS

BIAS_BITS = 32
MULTIPLIER_BITS = 16
MAX_SHIFT = 63
RECORD_BYTES = 8

SUM_BITS = ACCUMULATOR_BITS + 1
"""Width of accumulator + bias."""

PRODUCT_BITS = SUM_BITS + MULTIPLIER_BITS
"""Width of the product with the unsigned multiplier: 49, so no int64 overflows."""

RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<u2"), ("shift", "<u2")])
"""A column's parameters as the hardware reads them."""


def scale_to_fixed(scale: float) -> tuple[int, int]:
    """Give `(multiplier, shift)` nearest to a positive scale, with a 16-bit multiplier.

    Raises
    ------
    ValueError
        If the scale is not finite and positive, is 2**16 or more, or is so small that its multiplier would be 0.
    """
    if not (np.isfinite(scale) and 0 < scale < 2**MULTIPLIER_BITS):
        raise ValueError(f"scale must be above 0 and below {2**MULTIPLIER_BITS}, not {scale}")
    fraction, exponent = np.frexp(scale)
    shift = MULTIPLIER_BITS - int(exponent)
    multiplier = round(float(fraction) * 2**MULTIPLIER_BITS)
    if multiplier == 2**MULTIPLIER_BITS:
        multiplier, shift = multiplier // 2, shift - 1
    if shift > MAX_SHIFT:
        multiplier, shift = round(float(scale) * 2.0**MAX_SHIFT), MAX_SHIFT
    if not multiplier:
        raise ValueError(f"scale must be at least 2**-{MAX_SHIFT}, not {scale}")
    if shift < 0:
        multiplier, shift = multiplier << -shift, 0
    return min(multiplier, 2**MULTIPLIER_BITS - 1), shift


def requantise(accumulators: NDArray[np.int32], records: NDArray[np.void], *, relu: bool) -> NDArray[np.int8]:
    """Requantise `accumulators[..., columns]` with one record per column, exactly as the drain does."""
    total = accumulators.astype(np.int64) + records["bias"].astype(np.int64)
    product = total * records["multiplier"].astype(np.int64)
    if relu:
        product = np.maximum(product, 0)
    shift = (records["shift"] & MAX_SHIFT).astype(np.int64)
    quotient = product >> shift
    remainder = product - (quotient << shift)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), np.int64(2**62))
    up = (remainder > half) | ((remainder == half) & (quotient & 1 == 1))
    return np.clip(quotient + up, -128, 127).astype(np.int8)
