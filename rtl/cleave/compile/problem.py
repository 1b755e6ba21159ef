"""What is to be computed: a product of matrices, a batch of them, or a ragged group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BYTES, MAX_CONTRACTION
from ..numerics.formats import FP32, Format
from ..numerics.quantise import ScaleRule
from ..numerics.rounding import Rounding

Integers: TypeAlias = Any
"""An integer, or an array of them: the same formulas hold for both."""


def cuts(total: Integers, part: Integers) -> Integers:
    """Parts of at most `part` that make `total`."""
    return -(-total // part)


def dimensions(a: NDArray[np.generic], b: NDArray[np.generic]) -> tuple[int, int, int]:
    """Give M, K and N of the product of `a` [M, K] and `b` [K, N].

    Raises
    ------
    ValueError
        If they are no matrices, are empty, or do not fit each other.
    """
    for name, operand in [("a", a), ("b", b)]:
        if operand.ndim != 2:
            raise ValueError(f"{name} must have 2 dimensions, not {operand.ndim}")
        if 0 in operand.shape:
            raise ValueError(f"{name} must have at least 1 row and 1 column, not shape {operand.shape}")
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"a's columns must equal b's rows (K), not {a.shape[1]} and {b.shape[0]}")
    return *a.shape, b.shape[1]


def part_rows(parts: Iterable[SupportsIndex]) -> tuple[int, ...]:
    """Give how many rows parts have.

    Raises
    ------
    TypeError
        If they are no integers.
    """
    try:
        return tuple(index(part) for part in parts)
    except TypeError as error:
        raise TypeError(f"parts must be numbers of rows, not {parts!r}") from error


def part_dimensions(a: NDArray[np.generic], b: NDArray[np.generic], parts: Sequence[int]) -> tuple[int, int, int]:
    """Give M, K and N of the products of so many rows of `a` [M, K] each by a matrix of `b` [part, K, N].

    Raises
    ------
    ValueError
        If they do not fit each other.
    """
    if b.ndim != 3 or len(b) != len(parts) or not parts:
        raise ValueError(f"b must have a matrix for each of the {len(parts)} parts, [part, K, N], not shape {b.shape}")
    return dimensions(a, b[0])


@dataclass(frozen=True)
class Scaling:
    """How a product's elements are decoded and scaled, and its accumulators rounded.

    Attributes
    ----------
    elements
        Number of the moving and of the stationary element's format.
    blocks
        Whether passes are scaled.
    shift
        Of every pass, besides its scales.
    widths
        Elements of each slab's piece of K that are no padding.
    target, mode, saturate
        What accumulators are rounded to, and how.
    block_rule
        How scales are found, for results in blocks.
    """

    elements: tuple[int, int]
    blocks: bool
    shift: int
    widths: tuple[int, ...] = field(repr=False)
    target: Format = FP32
    mode: Rounding = Rounding.NEAREST_EVEN
    saturate: bool = False
    block_rule: ScaleRule | None = None


@dataclass(frozen=True)
class Problem:
    """A GEMM: `m` x `k` times `k` x `n`, with int32 results, int8 ones if `requantised`, or rounded ones with `scaling`.

    With `pairs`, a number in `PAIRS`, stationary operands are codes of 4 bits, two of which share a place in the array.

    With `parts`, it is a batch of GEMMs, or a ragged group: so many rows each, one after the other in `m`, are multiplied by a
    `k` x `n` matrix of their own. A part may have no rows.
    """

    m: int
    k: int
    n: int
    requantised: bool = False
    relu: bool = False
    scaling: Scaling | None = None
    pairs: int = 0
    parts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.m, self.k, self.n) < 1:
            raise ValueError(f"M, K and N must be at least 1, not {self.m}, {self.k} and {self.n}")
        if self.k > MAX_CONTRACTION and self.scaling is None:
            raise ValueError(f"K must be at most {MAX_CONTRACTION} for int32 sums that cannot overflow, not {self.k}")
        if not self.parts:
            object.__setattr__(self, "parts", (self.m,))
        if min(self.parts) < 0 or sum(self.parts) != self.m:
            raise ValueError(f"parts must be numbers of rows that add up to M = {self.m}, not {self.parts}")

    def only(self, parts: tuple[int, ...]) -> "Problem":
        """Give the problem of some of the parts, by their numbers."""
        rows = tuple(self.parts[part] for part in parts)
        return replace(self, m=sum(rows), parts=rows)

    @property
    def swapped(self) -> "Problem | None":
        """The problem whose result is this one's transposed, if there is one: plain sums, as many rows in each part."""
        rows = self.parts[0]
        if self.has_parameters or self.pairs or any(part != rows for part in self.parts):
            return None
        return Problem(self.n * len(self.parts), self.k, rows, parts=(self.n,) * len(self.parts))

    @property
    def result_bytes(self) -> int:
        """Bytes of one element of the result."""
        if self.scaling is not None:
            return self.scaling.target.storage_bytes
        return 1 if self.requantised else ACCUMULATOR_BYTES

    @property
    def bytes(self) -> int:
        """Bytes of operands and result, without padding and scales."""
        return self.m * self.k + len(self.parts) * self.k * self.n // self.lanes + self.m * self.n * self.result_bytes

    @property
    def in_blocks(self) -> bool:
        """Whether the result is in blocks."""
        return self.scaling is not None and self.scaling.block_rule is not None

    @property
    def lanes(self) -> int:
        """Lanes of the array that have results of their own."""
        return 2 if self.pairs else 1

    @property
    def blocks(self) -> bool:
        """Whether operands have block scales."""
        return self.scaling is not None and self.scaling.blocks

    @property
    def has_parameters(self) -> bool:
        """Whether the drain needs a record for each column."""
        return self.requantised or self.scaling is not None


