"""What DRAIN makes of accumulators that are rounded: the definition that hardware, model and compiler share.

A row and a column of accumulators have a record of 8 bytes each, little-endian: `exponent` int16; `random` uint8; `nan` uint8, of
which only the lowest bit counts; 4 bytes that are not used. The result is

    round(accumulator * 2**(row exponent + column exponent))

to the target format, or NaN if either record says so. Stochastic rounding takes the exclusive or of the two random numbers. If
these are drawn independently of each other, the results' random numbers are uniform and pairwise independent, and belong to
their row and column, whatever the tiling, the split and the order.
"""

import numpy as np
from numpy.typing import NDArray

from .formats import Format
from .rounding import Rounding, round_to

__all__ = ["ROUND_RECORD", "round_accumulators"]

ROUND_RECORD = np.dtype([("exponent", "<i2"), ("random", "u1"), ("nan", "u1"), ("unused", "<u4")])
"""A row's or a column's parameters as the hardware reads them."""


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
    integers = np.maximum(accumulators, 0) if relu else accumulators
    exponents = rows["exponent"].astype(np.int64)[:, None] + columns["exponent"]
    codes = round_to(
        target, integers, exponents, mode, saturate=saturate,
        poisoned=((rows["nan"][:, None] | columns["nan"]) & 1).astype(bool), random=rows["random"][:, None] ^ columns["random"],
    )  # fmt: skip
    return codes.astype(f"<u{target.storage_bytes}")
