"""What DRAIN's outputs ROUNDED and BLOCKS should be, after gfloat and ml_dtypes, from the bytes of the records on."""

import numpy as np
from numpy.typing import NDArray

from cleave.numerics.formats import E8M0, TARGETS, Format, Kind
from cleave.numerics.rounding import Rounding
from tb.numerics.references import DTYPE, GFLOAT, decode, rounded

RECORD = np.dtype([("exponent", "<i2"), ("random", "u1"), ("anchor", "u1"), ("nan", "u1"), ("unused", "u1", 3)])

BLOCK = 32
LEAST, MOST = 2.0**-127, 2.0**127

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
    records["anchor"] = np.where(generator.random(shape) < 0.5, 254, generator.integers(0, 256, shape))
    records["unused"] = generator.integers(0, 256, (*shape, 3))
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
    values, random = _values(accumulators, rows, columns, relu)
    codes = rounded(TARGETS[target], values, Rounding(mode), random, saturate=bool(saturate))
    return codes.astype(f"<u{np.dtype(DTYPE[TARGETS[target]]).itemsize}")


def blocks(
    accumulators: NDArray[np.int64],
    rows: NDArray[np.void],
    columns: NDArray[np.void],
    *,
    target: int,
    mode: int,
    scale_up: int,
    relu: int,
) -> NDArray[np.uint8]:
    """Give the bytes of rows of accumulators in blocks: codes, the anchor, a scale for each block."""
    values, random = _values(accumulators, rows, columns, relu)
    codes, scales = quantised(values, random, TARGETS[target], Rounding(mode), scale_up=scale_up, anchors=rows["anchor"])
    return np.concatenate([codes, rows["anchor"][:, None], scales], 1)


def quantised(
    values: NDArray[np.float64],
    random: NDArray[np.int64],
    element: Format,
    mode: Rounding,
    *,
    scale_up: int,
    anchors: NDArray[np.uint8] | None = None,
    block: int = BLOCK,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Give the codes of values[row, column] in blocks along rows, and the blocks' scales, which their row's anchor limits."""
    unit = 2.0 ** (2 - element.bits) if element.kind is Kind.INTEGER else 1.0
    codes, scales = np.zeros(values.shape, np.uint8), np.zeros((len(values), -(-values.shape[1] // block)), np.uint8)
    for row, number in np.ndindex(scales.shape):
        columns = slice(number * block, (number + 1) * block)
        numbers, anchor = values[row, columns], 254 if anchors is None else min(anchors[row], 254)
        if np.isnan(numbers).any():
            scales[row, number] = 255
            continue
        scale = min(_scale(np.abs(numbers).max(), GFLOAT[element].max, scale_up), MOST, decode(E8M0, anchor).item())
        scales[row, number] = np.log2(max(scale, LEAST)) + 127
        with np.errstate(over="ignore"):
            elements = numbers / max(scale, LEAST) / unit
        codes[row, columns] = rounded(element, elements, mode, random[row, columns], saturate=True)
    return codes, scales


def _scale(most: float, largest: float, scale_up: int) -> float:
    """Give the scale of a block: OCP's, or the least by which nothing saturates."""
    scale = 2.0 ** (np.frexp(most)[1] - np.frexp(largest)[1]) if most else LEAST
    return scale * 2 if scale_up and most / scale > largest else scale


def _values(
    accumulators: NDArray[np.int64], rows: NDArray[np.void], columns: NDArray[np.void], relu: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give what accumulators[row, column] stand for, as nearly as matters, and the random number of each."""
    sums = np.where((accumulators < 0) & bool(relu), 0, accumulators)
    # More bits than float64 has: the lowest that it has stands for those that are lost, and the formats have far fewer.
    lost = 64 - FLOAT_BITS
    odd = sums >> lost << lost | (sums & (1 << lost) - 1 != 0).astype(np.int64) << lost
    fits = (sums < 2**FLOAT_BITS) & (sums >= -(2**FLOAT_BITS))
    exponents = rows["exponent"].astype(int)[:, None] + columns["exponent"].astype(int)
    values = np.ldexp(np.where(fits, sums, odd).astype(np.float64), np.clip(exponents, -FAR, FAR))
    values[(rows["nan"][:, None] | columns["nan"]) % 2 == 1] = np.nan
    return values, (rows["random"][:, None] ^ columns["random"]).astype(np.int64)
