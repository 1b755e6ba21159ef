"""Quantisation of float arrays to elements with shared scales, and back.

Conversion follows OCP MX 1.0, section 6.3. A block's scale is

    FLOOR:  2**(floor(log2 max) - emax)        the specification's own; what is beyond the largest number saturates, which
                                               is less than a step off for INT8, and up to a quarter for E2M1 (7.99 is 6)
    UP:     2**ceil(log2 (max / largest))      the least power of two at which nothing saturates

with `max` the largest magnitude of the block, `emax` and `largest` those of the element format, limited to 2**-127 to 2**127;
elements are value / scale, rounded to nearest even and limited to what the format has. An E4M3 scale (NVFP4) is max / largest
to nearest even, limited likewise.

What the specification leaves open: a block of zeros has the least scale there is, so that it never raises an anchor; a block
with an infinity or a NaN has the scale NaN, which makes all of it NaN, and codes of 0. The last block of an axis may be short.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import E8M0, Format, Kind, Operand

__all__ = ["ScaleRule", "Quantised", "quantise", "encode_elements"]


class ScaleRule(Enum):
    """How a power of two is chosen as the scale of a block; numbers are the hardware's."""

    FLOOR = 0
    UP = 1


@dataclass(frozen=True, eq=False)
class Quantised:
    """An array of elements with shared scales.

    Attributes
    ----------
    operand
        Its format.
    codes
        One element per byte, in the lowest bits.
    scales
        Codes of the scales: of `codes`' shape, but with one entry per block, or a single one, along `axis`.
    axis
        The axis along which elements share scales.
    """

    operand: Operand
    codes: NDArray[np.uint8]
    scales: NDArray[np.uint8]
    axis: int

    @cached_property
    def integers(self) -> NDArray[np.int64]:
        """Elements in units of `operand.step_exponent`."""
        return self.operand.element.integers[self.codes]

    @property
    def poisoned(self) -> NDArray[np.bool_]:
        """Whether each block's scale is NaN."""
        return np.equal(self.scales, self.operand.scale.nan_code)

    @property
    def exponents(self) -> NDArray[np.int64]:
        """Exponent of each block's E8M0 scale; that of a NaN has no meaning."""
        return self.scales.astype(np.int64) - E8M0.bias

    def spread(self, per_block: NDArray[Any]) -> NDArray[Any]:
        """Give each element the entry of its block."""
        length = self.codes.shape[self.axis]
        return np.repeat(per_block, self.operand.block or length, self.axis).take(range(length), self.axis)

    def dequantise(self) -> NDArray[np.float64]:
        """Give the value of each element, exactly."""
        if self.operand.scale is E8M0:
            scales = np.ldexp(1.0, self.exponents)
        else:
            scales = np.ldexp(self.operand.scale.integers[self.scales].astype(float), self.operand.scale.step_exponent)
        scales = np.where(self.poisoned, np.nan, scales)
        return np.ldexp(self.integers.astype(float), self.operand.step_exponent) * self.spread(scales)


def quantise(values: ArrayLike, operand: Operand, axis: int = -1, rule: ScaleRule = ScaleRule.FLOOR) -> Quantised:
    """Quantise an array with scales shared along an axis.

    Parameters
    ----------
    values
        Numbers that float64 holds, and infinities and NaNs.
    operand
        The format.
    axis
        The contraction: columns of a moving matrix, rows of a stationary one.
    rule
        How an E8M0 scale is chosen; an E4M3 scale has one rule only.

    Raises
    ------
    ValueError
        If the axis is empty.
    """
    array = np.moveaxis(np.asarray(values, np.float64), axis, -1)
    length = array.shape[-1]
    if not length:
        raise ValueError("the axis along which scales are shared must have at least one element, not 0")
    block = operand.block or length
    padding = [(0, 0)] * (array.ndim - 1) + [(0, -length % block)]
    blocks = np.pad(array, padding).reshape(*array.shape[:-1], -1, block)
    finite = np.isfinite(blocks)
    largest = np.abs(np.where(finite, blocks, 0)).max(-1)
    poisoned = ~finite.all(-1)
    if operand.scale is E8M0:
        exponents = _exponents(largest, operand, rule)
        scales = exponents + E8M0.bias
        ratios = np.ldexp(np.where(finite, blocks, 0), -exponents[..., None])
    else:
        scales = encode_elements(largest / operand.largest, operand.scale)
        values_of_scales = np.ldexp(operand.scale.integers[scales].astype(float), operand.scale.step_exponent)[..., None]
        ratios = np.divide(blocks, values_of_scales, out=np.zeros_like(blocks), where=finite & (values_of_scales > 0))
    # In units of the element format's own step, which differs for integers that are fractions.
    shift = operand.element.step_exponent - operand.step_exponent
    codes = encode_elements(np.ldexp(ratios, shift), operand.element).reshape(*array.shape[:-1], -1)[..., :length]
    codes = np.where(np.repeat(poisoned, block, -1)[..., :length], 0, codes).astype(np.uint8)
    scales = np.where(poisoned, operand.scale.nan_code, scales).astype(np.uint8)
    axis %= array.ndim
    return Quantised(operand, np.moveaxis(codes, -1, axis), np.moveaxis(scales, -1, axis), axis)


def encode_elements(values: NDArray[np.float64], target: Format) -> NDArray[np.uint8]:
    """Round finite values to nearest even in a format of up to 8 bits, limited to its largest and least number."""
    limit = 2 * target.largest
    magnitude = np.minimum(np.abs(values), limit)
    exponent = np.maximum(np.frexp(magnitude)[1] - 1, target.min_exponent) - target.mantissa_bits
    units = np.ldexp(np.rint(np.ldexp(magnitude, -exponent)), exponent - target.step_exponent).astype(np.int64)
    if target.kind is Kind.INTEGER:
        low, high = target.integers.min(), target.integers.max()
        return (np.clip(np.where(values < 0, -units, units), low, high) & (1 << target.bits) - 1).astype(np.uint8)
    magnitudes = target.integers[: target.largest_code + 1]
    sign = np.signbit(values).astype(np.int64) << target.bits - 1
    return (np.searchsorted(magnitudes, np.minimum(units, magnitudes[-1])) | sign).astype(np.uint8)


def _exponents(largest: NDArray[np.float64], operand: Operand, rule: ScaleRule) -> NDArray[np.int64]:
    """Give the exponents of power-of-two scales for blocks' largest magnitudes."""
    significand, exponent = np.frexp(largest)
    if rule is ScaleRule.FLOOR:
        wanted = exponent - 1 - operand.max_exponent
    else:
        limit, limit_exponent = np.frexp(operand.largest)
        wanted = exponent - limit_exponent + (significand > limit)
    return np.clip(np.where(largest > 0, wanted, -E8M0.bias), -E8M0.bias, E8M0.bias).astype(np.int64)
