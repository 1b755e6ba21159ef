"""Scaled operands as the engine takes them: elements in pieces of a slab's rows, a scale for each piece, records for the drain.

A slab's dot product has one scale on each side. So K is cut where either operand's blocks end, and into pieces of at most `rows`
elements, each filled up with zeros to `rows`. Operands in slices (`numerics.slices`) are the same thing: the slices of a
row are blocks one behind the other, with scales 2**8 apart, and every pair of slices that is multiplied is a piece of K.

A column's fraction (`numerics.accumulate`) and its distance from the anchor are one shift: a column with fewer bits below the unit
than the others counts as farther below its anchor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import EngineConfig
from ..numerics.accumulate import anchors, fraction_bits, pieces
from ..numerics.drain import ROUND_RECORD
from ..numerics.formats import E8M0, ELEMENTS
from ..numerics.quantise import Quantised
from ..numerics.slices import FIRST, Sliced, blocks

__all__ = ["Scales", "ScaledGemm", "from_quantised", "from_slices"]

NAN = E8M0.nan_code or 0


@dataclass(frozen=True, eq=False)
class Scales:
    """E8M0 codes: anchors[m] and codes[m, piece] of a moving operand, anchors[n] and codes[piece, n] of a stationary one."""

    anchors: NDArray[np.uint8]
    codes: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ScaledGemm:
    """A product of scaled operands: all of it but its tiling.

    Attributes
    ----------
    moving, stationary
        Codes of elements, uint8[M, K] and uint8[K, N], with K a multiple of the slab's rows.
    elements
        Number of the moving and of the stationary element's format.
    row_scales, column_scales
        None where no piece is farther below its anchor than another: no pass needs scales then.
    shift
        Of every pass, besides its scales.
    rows, columns
        The drain's record of each row and column.
    widths
        Elements of each piece without padding, K of them in all.
    """

    moving: NDArray[np.uint8]
    stationary: NDArray[np.uint8]
    elements: tuple[int, int]
    row_scales: Scales | None
    column_scales: Scales | None
    shift: int
    rows: NDArray[np.void]
    columns: NDArray[np.void]
    widths: tuple[int, ...]


def from_quantised(moving: Quantised, stationary: Quantised, config: EngineConfig, *, seed: int = 0) -> ScaledGemm:
    """Prepare operands with E8M0 scales along K for an engine.

    Raises
    ------
    ValueError
        If the operands do not fit each other, a scale is no power of two, or the accumulators are too narrow for K.
    """
    array = config.array
    edges = pieces(moving, stationary, array.rows)
    fraction = fraction_bits(moving.operand, stationary, config.accumulator_bits, array.rows, array.product_bits)
    row, column = anchors(moving), anchors(stationary)
    steps = moving.operand.step_exponent + stationary.operand.step_exponent
    starts = np.array([start for start, _ in edges])
    row_blocks, column_blocks = [starts // (quantised.operand.block or len(stationary.codes)) for quantised in (moving, stationary)]
    scaled = len(edges) > 1 and any(quantised.operand.block for quantised in (moving, stationary))
    below = fraction if scaled else 0 * fraction
    return ScaledGemm(
        _spread(moving.codes, edges, array.rows, axis=1),
        _spread(stationary.codes, edges, array.rows, axis=0),
        (ELEMENTS.index(moving.operand.element), ELEMENTS.index(stationary.operand.element)),
        _scales(row, moving.scales[:, row_blocks].astype(int), axis=1) if scaled else None,
        _scales(column, stationary.scales[column_blocks].astype(int), 0, below.max() - below) if scaled else None,
        config.exact_shift + moving.operand.element.alignment + stationary.operand.element.alignment - int(below.max()),
        _records(row, np.any(moving.poisoned, 1), (seed, 0)),
        _records(column + steps - below, np.any(stationary.poisoned, 0), (seed, 1)),
        tuple(stop - start for start, stop in edges),
    )


def from_slices(moving: Sliced, stationary: Sliced, config: EngineConfig, *, seed: int = 0) -> ScaledGemm:
    """Prepare operands in slices for an engine, of which `numerics.slices.multiply` says what it computes.

    Raises
    ------
    ValueError
        If the operands do not fit each other, or the accumulators are too narrow for K.
    """
    gemm = from_quantised(*blocks(moving, stationary), config, seed=seed)
    gemm.rows["exponent"] += (moving.exponents + FIRST).astype(np.int16)
    gemm.columns["exponent"] += (stationary.exponents + FIRST).astype(np.int16)
    return gemm


def _spread(codes: NDArray[np.uint8], edges: list[tuple[int, int]], rows: int, *, axis: int) -> NDArray[np.uint8]:
    """Fill up each piece along K to a slab's rows."""
    along = np.moveaxis(codes, axis, 0)
    spread = np.zeros((len(edges), rows, *along.shape[1:]), np.uint8)
    for piece, (start, stop) in zip(spread, edges, strict=True):
        piece[: stop - start] = along[start:stop]
    return np.moveaxis(spread.reshape(-1, *along.shape[1:]), 0, axis)


def _scales(anchors: NDArray[np.int64], codes: NDArray[np.integer], axis: int, farther: NDArray[np.int64] | int = 0) -> Scales:
    """Give the bytes of anchors and scales whose distances are `farther` than the scales themselves say.

    Both are lowered alike where the anchor has no code; a scale that has none then is farther than any accumulator is wide.
    """
    high = anchors + E8M0.bias + farther
    lowered = np.maximum(high - (NAN - 1), 0)
    nan = codes == NAN
    placed = np.clip(codes - np.expand_dims(lowered, axis), 0, None)
    return Scales(np.where(nan.any(axis), NAN, high - lowered).astype(np.uint8), np.where(nan, NAN, placed).astype(np.uint8))


def _records(exponents: NDArray[np.int64], poisoned: NDArray[np.bool_], seed: tuple[int, int]) -> NDArray[np.void]:
    """Give the drain's records of rows or columns, with anchors that limit nothing; `seed` is that of their random numbers."""
    records = np.zeros(len(exponents), ROUND_RECORD)
    records["exponent"], records["nan"], records["anchor"] = exponents, poisoned, E8M0.largest_code
    records["random"] = np.random.PCG64(seed).random_raw(len(exponents)) & 0xFF
    return records
