"""What DRAIN makes of accumulators that are rounded: the definition that hardware, model and compiler share.

A row and a column of accumulators have a record of 8 bytes each, little-endian: `exponent` int16; `random` uint8; `anchor` uint8;
`nan` uint8, of which only the lowest bit counts; 3 bytes that are not used. The result is

    round(accumulator * 2**(row exponent + column exponent))

to the target format, or NaN if either record says so. Stochastic rounding takes the exclusive or of the two random numbers. If
these are drawn independently of each other, the results' random numbers are uniform and pairwise independent, and belong to
their row and column, whatever the tiling, the split and the order.

In blocks, a row's columns share a scale 32 at a time, from the first one drained on; the last block may be short. The scale is
that of `quantise`, but not above the row's `anchor`, an E8M0 code; values that it is too small for saturate. So a row's anchor
is known before its blocks are, and one row's blocks may come from different instructions. 254 limits nothing.
"""

import numpy as np
from numpy.typing import NDArray

from ..config import BLOCK
from .formats import E8M0, Format, Operand
from .quantise import ScaleRule
from .rounding import Rounding, bit_length, round_to

__all__ = ["ROUND_RECORD", "block_row_bytes", "quantise_accumulators", "round_accumulators"]

ROUND_RECORD = np.dtype([("exponent", "<i2"), ("random", "u1"), ("anchor", "u1"), ("nan", "u1"), ("unused", "u1", 3)])
"""A row's or a column's parameters as the hardware reads them; a column's anchor does not count."""


def block_row_bytes(columns: int) -> int:
    """Give the bytes of a row of results in blocks: a code for each column, the anchor, a scale for each block."""
    return columns + 1 + -(-columns // BLOCK)


def round_accumulators(
    accumulators: NDArray[np.int64],
    rows: NDArray[np.void],
    columns: NDArray[np.void],
    target: Format,
    mode: Rounding = Rounding.NEAREST_EVEN,
    *,
    saturate: bool = False,
    relu: bool = False,
) -> NDArray[np.unsignedinteger]:
    """Round accumulators[row, column]; give codes, each in the `storage_bytes` of the target.

    With `relu` an accumulator below 0 counts as 0.
    """
    codes = round_to(
        target, np.maximum(accumulators, 0) if relu else accumulators, _exponents(rows, columns), mode, saturate=saturate,
        poisoned=_poisoned(rows, columns), random=_random(rows, columns),
    )  # fmt: skip
    return codes.astype(f"<u{target.storage_bytes}")


def quantise_accumulators(
    accumulators: NDArray[np.int64],
    rows: NDArray[np.void],
    columns: NDArray[np.void],
    element: Format,
    mode: Rounding = Rounding.NEAREST_EVEN,
    rule: ScaleRule = ScaleRule.FLOOR,
    *,
    relu: bool = False,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Quantise accumulators[row, column]; give the codes of elements, and those of scales[row, block].

    With `relu` an accumulator below 0 counts as 0.
    """
    operand = Operand(element.name, element, BLOCK)
    integers = np.maximum(accumulators, 0) if relu else accumulators
    exponents, poisoned = _exponents(rows, columns), _poisoned(rows, columns)
    starts = range(0, integers.shape[1], BLOCK)

    # The least exponent of a scale with which each value fits.
    magnitudes = np.abs(integers)
    lengths = bit_length(magnitudes)
    reaches = exponents + lengths - 1 - operand.max_exponent
    if rule is ScaleRule.UP:
        limit = int(np.frexp(operand.largest)[0] * 2**8) << 63 - 8
        reaches += magnitudes << 63 - lengths > limit
    reaches = np.where(magnitudes > 0, reaches, -E8M0.bias)
    wanted = np.maximum.reduceat(reaches, starts, axis=1)
    limits = np.minimum(rows["anchor"].astype(np.int64) - E8M0.bias, E8M0.bias)
    scales = np.clip(wanted, -E8M0.bias, limits[:, None])

    nan = np.logical_or.reduceat(poisoned, starts, axis=1)
    steps = scales + operand.step_exponent - element.step_exponent
    codes = round_to(
        element, integers, exponents - np.repeat(steps, BLOCK, 1)[:, : integers.shape[1]], mode,
        poisoned=np.repeat(nan, BLOCK, 1)[:, : integers.shape[1]], random=_random(rows, columns),
    )  # fmt: skip
    return codes.astype(np.uint8), np.where(nan, E8M0.nan_code, scales + E8M0.bias).astype(np.uint8)


def _exponents(rows: NDArray[np.void], columns: NDArray[np.void]) -> NDArray[np.int64]:
    return rows["exponent"].astype(np.int64)[:, None] + columns["exponent"]


def _poisoned(rows: NDArray[np.void], columns: NDArray[np.void]) -> NDArray[np.bool_]:
    return np.equal((rows["nan"][:, None] | columns["nan"]) & 1, 1)


def _random(rows: NDArray[np.void], columns: NDArray[np.void]) -> NDArray[np.integer]:
    return np.bitwise_xor(rows["random"][:, None], columns["random"])
