"""Block-scaled products: exactly, and as the array accumulates them.

A dot product of `terms` decoded elements, all under one moving and one stationary scale, is an exact integer. The accumulator
of a result (row, column) has the weight of one unit

    2**(row anchor + column anchor + moving step + stationary step - fraction of the column)

where an anchor is the largest exponent among the scales of a row or column. So a dot product counts in it as

    floor(dot * 2**fraction / 2**shift),  shift = (row anchor - moving scale) + (column anchor - stationary scale) >= 0

and these integers are added. What is below the unit is dropped from each dot product alone, always downwards: the sum does
not depend on order, split or schedule, and is never above the exact one, nor as much as one unit per dot product below it.
Where nothing is shifted by more than `fraction`, the sum is exact.

`fraction` is at most the bits that an accumulator has more than a slab's sum, which lies in its uppermost bits before it is
shifted: hardware shifts to the right only, by (accumulator_bits - sum_bits - fraction) + shift. And it is small enough for the sum
of a whole column never to overflow, whatever the moving operand is. That bound knows the column: its elements' magnitudes, each
weighed with its distance from the anchor. On heavy-tailed data it leaves up to log2(dot products) bits more below the unit than
the bound that knows only how many dot products there are.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..config import SCALED_ACCUMULATOR_BITS
from .formats import E8M0, Operand, product_bits
from .quantise import Quantised

__all__ = ["Accumulators", "accumulate", "anchors", "exact_product", "fraction_bits", "pieces"]


@dataclass(frozen=True, eq=False)
class Accumulators:
    """A matrix of sums: integers * 2**exponents, or NaN.

    Attributes
    ----------
    integers
        What the accumulators hold, [row, column].
    exponents
        The weight of each accumulator's unit, as a power of two.
    poisoned
        Whether the result is NaN: a scale in the row or the column is.
    """

    integers: NDArray[np.int64]
    exponents: NDArray[np.int64]
    poisoned: NDArray[np.bool_]

    def fractions(self) -> NDArray[np.object_]:
        """Give the sums as exact fractions, NaN not regarded."""
        return np.vectorize(lambda i, e: Fraction(int(i)) * Fraction(2) ** int(e), otypes=[object])(self.integers, self.exponents)


def anchors(quantised: Quantised) -> NDArray[np.int64]:
    """Give the largest exponent of the scales along the axis that shares them; a NaN counts as the least."""
    return np.where(quantised.poisoned, -E8M0.bias, quantised.exponents).max(quantised.axis)


def fraction_bits(
    moving: Operand,
    stationary: Quantised,
    accumulator_bits: int = SCALED_ACCUMULATOR_BITS,
    terms: int | None = None,
    sum_bits: int | None = None,
) -> NDArray[np.int64]:
    """Give how many bits the accumulators of each column have below the unit of a dot product.

    For a column, the most for which no sum overflows: with m the largest magnitude of a moving element,

        2**fraction * m * (sum of |element| / 2**(anchor - scale)) + (dot products) < 2**(accumulator_bits - 1)

    and at most accumulator_bits - sum_bits. Parameters are those of `accumulate`.

    Raises
    ------
    ValueError
        If the accumulator is too narrow for even the integers of some column.
    """
    terms, edges = _pieces(moving, stationary.operand, len(stationary.codes), terms)
    dots = len(edges)
    needed = product_bits(moving, stationary.operand, terms * dots) + 1  # as much again for what is rounded down
    if accumulator_bits < needed:
        rule = f"accumulator_bits must be at least {needed} for {dots} dot products of {terms} terms"
        raise ValueError(f"{rule} of {moving.name}:{stationary.operand.name}, not {accumulator_bits}")
    distance = anchors(stationary) - np.where(stationary.poisoned, -E8M0.bias, stationary.exponents)
    weights = stationary.spread(np.ldexp(1.0, -distance))
    bound = moving.magnitude * (np.abs(stationary.integers) * weights).sum(0)
    room = 2.0 ** (accumulator_bits - 1) - dots
    # Rounded up: a sum of floats may be too small by a few units in the last place, and frexp gives bound < 2**exponent.
    exponent = np.frexp(bound * (1 + 2.0**-32) / room)[1]
    if sum_bits is None:
        above = accumulator_bits - product_bits(moving, stationary.operand, terms)
    else:
        above = accumulator_bits - sum_bits + moving.element.alignment + stationary.operand.element.alignment
    return np.minimum(-exponent, above).astype(np.int64)


def accumulate(
    moving: Quantised,
    stationary: Quantised,
    accumulator_bits: int = SCALED_ACCUMULATOR_BITS,
    terms: int | None = None,
    sum_bits: int | None = None,
) -> Accumulators:
    """Multiply [row, K] by [K, column] as the array does, bit by bit.

    Parameters
    ----------
    moving, stationary
        Operands with E8M0 scales along K: axis 1 of the moving one, axis 0 of the stationary one.
    accumulator_bits
        Width of an accumulator, at most 64.
    terms
        Most products that are added before they are shifted: the rows of a slab. By default a whole block.
    sum_bits
        Width of the sum of a slab that is built for INT8, which decoded elements are shifted left for by their `alignment`; by
        default as few bits as hold the dot products.

    Raises
    ------
    ValueError
        If the operands do not fit each other, a scale is no power of two, or the accumulator is too narrow.
    """
    length = _check(moving, stationary)
    for quantised in (moving, stationary):
        if quantised.operand.scale is not E8M0:
            raise ValueError(f"scales must be E8M0 (powers of two) to be shifted, not {quantised.operand.scale.name}")
    if accumulator_bits > 64:
        raise ValueError(f"accumulator_bits must be at most 64, not {accumulator_bits}")
    blocks = [quantised.operand.block or length for quantised in (moving, stationary)]
    fraction = fraction_bits(moving.operand, stationary, accumulator_bits, terms, sum_bits)
    row, column = anchors(moving), anchors(stationary)
    total = np.zeros((len(row), len(column)), np.int64)
    for start, stop in pieces(moving, stationary, terms):
        part = slice(start, stop)
        # Floating-point products of small integers are exact, and many times faster.
        dot = (moving.integers[:, part].astype(float) @ stationary.integers[part].astype(float)).astype(np.int64)
        row_shift = row - moving.exponents[:, start // blocks[0]]
        column_shift = column - stationary.exponents[start // blocks[1]]
        total += dot << fraction >> np.clip(row_shift[:, None] + column_shift, 0, 63)
    steps = moving.operand.step_exponent + stationary.operand.step_exponent
    exponents = row[:, None] + column + (steps - fraction)
    return Accumulators(total, exponents, _poisoned(moving, stationary))


def pieces(moving: Quantised, stationary: Quantised, terms: int | None = None) -> list[tuple[int, int]]:
    """Cut K where a block ends, and into pieces of at most `terms`: what is added before it is shifted, as (start, stop)."""
    return _pieces(moving.operand, stationary.operand, _check(moving, stationary), terms)[1]


def _pieces(moving: Operand, stationary: Operand, length: int, terms: int | None) -> tuple[int, list[tuple[int, int]]]:
    """Give the most products of a piece, too."""
    shared = [operand.block for operand in (moving, stationary) if operand.block]
    block = min([*shared, length])
    terms = min([terms or block, *shared])
    blocks = [(start, min(start + block, length)) for start in range(0, length, block)]
    return terms, [(i, min(i + terms, stop)) for start, stop in blocks for i in range(start, stop, terms)]


def exact_product(moving: Quantised, stationary: Quantised) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Multiply [row, K] by [K, column] exactly; give fractions, and which results are NaN instead.

    Raises
    ------
    ValueError
        If the operands do not fit each other.
    """
    _check(moving, stationary)
    (a, a_exponent), (b, b_exponent) = _exact_integers(moving), _exact_integers(stationary)
    return np.asarray(a @ b, object) * Fraction(2) ** (a_exponent + b_exponent), _poisoned(moving, stationary)


def _poisoned(moving: Quantised, stationary: Quantised) -> NDArray[np.bool_]:
    """Say which results have a NaN among their terms."""
    return np.logical_or.outer(np.any(moving.poisoned, 1), np.any(stationary.poisoned, 0))


def _check(moving: Quantised, stationary: Quantised) -> int:
    """Give K."""
    shapes = moving.codes.shape, stationary.codes.shape
    if (moving.axis, stationary.axis) != (1, 0) or shapes[0][1:] != shapes[1][:1]:
        raise ValueError(
            "operands must be [row, K] with scales along axis 1 and [K, column] with scales along axis 0, "
            f"not {list(shapes[0])} along {moving.axis} and {list(shapes[1])} along {stationary.axis}"
        )
    return shapes[0][1]


def _exact_integers(quantised: Quantised) -> tuple[NDArray[np.object_], int]:
    """Give an operand as Python integers and the one power of two that they count."""
    operand = quantised.operand
    elements = np.asarray(quantised.integers, object)
    scales = quantised.spread(np.where(quantised.poisoned, 0, quantised.scales))
    if operand.scale is E8M0:
        return elements * 2 ** np.asarray(scales, object), operand.step_exponent - E8M0.bias
    return elements * operand.scale.integers[scales].astype(object), operand.step_exponent + operand.scale.step_exponent
