"""What DRAIN's output ROUNDED should be, after gfloat and ml_dtypes, from the bytes of the records on."""

import numpy as np
from numpy.typing import NDArray

from cleave.numerics.formats import TARGETS
from cleave.numerics.rounding import Rounding
from tb.numerics.references import DTYPE, rounded

RECORD = np.dtype([("exponent", "<i2"), ("random", "u1"), ("nan", "u1"), ("unused", "<u4")])

FLOAT_BITS = 53

FAR = 900
"""Exponents beyond this, either way, say no more than this one does, and float64 still has room for it."""


def random_records(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.void]:
    """Give records with exponents near zero, where most formats are, or anywhere in FP32, or anywhere at all."""
    records = np.zeros(shape, RECORD)
    near, wide, ends = (
        generator.integers(-24, 4, shape), generator.integers(-110, 80, shape),
        generator.choice([-(2**15), 1 - 2**15, -600, -512, -511, 511, 512, 600, 2**15 - 1], shape),
    )  # fmt: skip
    kind = generator.random(shape)
    records["exponent"] = np.select([kind < 0.8, kind < 0.95], [near, wide], ends)
    records["random"] = generator.integers(0, 256, shape)
    records["nan"] = generator.integers(0, 128, shape) << 1 | (generator.random(shape) < 0.03)
    records["unused"] = generator.integers(0, 2**32, shape)
    return records


def results(
    accumulators: NDArray[np.int64],
    rows: NDArray[np.void],
    columns: NDArray[np.void],
    *,
    target: int,
    mode: int,
    saturate: int,
    relu: int,
) -> NDArray[np.unsignedinteger]:
    """Give the codes of accumulators[row, column], in words of the size that the dtype of the target has."""
    sums = np.where((accumulators < 0) & bool(relu), 0, accumulators)
    # More bits than float64 has: the lowest that it has stands for those that are lost, and the formats have far fewer.
    lost = 64 - FLOAT_BITS
    odd = sums >> lost << lost | (sums & (1 << lost) - 1 != 0).astype(np.int64) << lost
    fits = (sums < 2**FLOAT_BITS) & (sums >= -(2**FLOAT_BITS))
    exponents = rows["exponent"].astype(int)[:, None] + columns["exponent"].astype(int)
    values = np.ldexp(np.where(fits, sums, odd).astype(np.float64), np.clip(exponents, -FAR, FAR))
    values[(rows["nan"][:, None] | columns["nan"]) % 2 == 1] = np.nan
    random = (rows["random"][:, None] ^ columns["random"]).astype(np.int64)
    codes = rounded(TARGETS[target], values, Rounding(mode), random, saturate=bool(saturate))
    return codes.astype(f"<u{np.dtype(DTYPE[TARGETS[target]]).itemsize}")
