"""Products of floats as docs/numerics.md defines them, in Python's integers and gfloat's roundings: no code of ours but names."""

from dataclasses import dataclass
from fractions import Fraction
from math import frexp

import numpy as np
from numpy.typing import NDArray

from cleave.numerics.formats import E2M1, E2M3, INT4, INT8, Format
from cleave.numerics.rounding import Rounding
from tb.numerics.references import decode, rounded


@dataclass(frozen=True)
class Made:
    """What an operand is made of.

    `unit` is the exponent of its least step under scale 1, `magnitude` its largest in such units, `times` what the array has in
    place of one such unit.
    """

    element: Format
    unit: int
    largest: float
    emax: int
    magnitude: int
    times: int
    block: int | None


OPERANDS = {
    "int8": Made(INT8, 0, 127, 6, 128, 1, None),
    "int4": Made(INT4, 0, 7, 2, 8, 16, None),
    "mxint8": Made(INT8, -6, 127 / 64, 0, 128, 1, 32),
    "mxfp6": Made(E2M3, -3, 7.5, 2, 60, 2, 32),
    "mxfp4": Made(E2M1, -1, 6.0, 2, 12, 8, 32),
}


@dataclass(frozen=True)
class Blocks:
    """A matrix [row, K] in elements, as integers of their units, and the exponent of each element's scale."""

    made: Made
    integers: NDArray[np.int64]
    exponents: NDArray[np.int64]
    poisoned: NDArray[np.bool_]


def blocks(values: NDArray[np.float64], name: str, rule: str = "floor") -> Blocks:
    """Quantise each row's blocks: the scale by Python's frexp, the elements by gfloat."""
    made = OPERANDS[name]
    rows, length = values.shape
    size = made.block or length
    exponents = np.zeros(values.shape, np.int64)
    for row in range(rows):
        for start in range(0, length, size):
            block = values[row, start : start + size]
            exponents[row, start : start + size] = _scale(float(np.abs(block[np.isfinite(block)]).max(initial=0)), made, rule)
    finite = np.isfinite(values)
    ratios = np.ldexp(np.where(finite, values, 0), -exponents)
    shift = made.unit if made.element in (INT8, INT4) else 0
    codes = rounded(made.element, np.ldexp(ratios, -shift), Rounding.NEAREST_EVEN, np.zeros(values.shape, np.int64), saturate=True)
    integers = np.ldexp(decode(made.element, codes), shift - made.unit)
    assert np.array_equal(integers, np.rint(integers))
    return Blocks(made, integers.astype(np.int64), exponents, ~finite.all(1))


def _scale(largest: float, made: Made, rule: str) -> int:
    if not largest:
        return -127
    exponent = frexp(largest)[1] - 1 - made.emax
    if rule == "up":
        fits = (e for e in range(exponent - 1, exponent + 3) if Fraction(largest) <= Fraction(made.largest) * Fraction(2) ** e)
        exponent = next(fits)
    return min(max(exponent, -127), 127)


@dataclass(frozen=True)
class Sums:
    """integers[m, n] * 2**exponents[m, n], or NaN: what the accumulators hold."""

    integers: NDArray[np.object_]
    exponents: NDArray[np.int64]
    poisoned: NDArray[np.bool_]

    @property
    def values(self) -> NDArray[np.float64]:
        """The sums, exactly."""
        floats = self.integers.astype(float)
        assert np.array_equal(floats.astype(object), self.integers)
        return np.where(self.poisoned, np.nan, np.ldexp(floats, self.exponents))

    def codes(
        self, target: Format, mode: Rounding = Rounding.NEAREST_EVEN, *, saturate: bool = False, relu: bool = False,
        random: NDArray[np.integer] | int = 0,
    ) -> NDArray[np.unsignedinteger]:
        """Round once, after gfloat."""
        values = np.maximum(self.values, 0) if relu else self.values
        random = np.broadcast_to(np.asarray(random, np.int64), values.shape)
        return rounded(target, values, mode, random, saturate=saturate)

    def float32(self) -> NDArray[np.float32]:
        """Round once, after numpy."""
        with np.errstate(over="ignore"):
            values = np.ldexp(self.integers.astype(float), self.exponents).astype(np.float32)
        return np.where(self.poisoned, np.float32(np.nan), values)


def sums(a: Blocks, b: Blocks, rows: int, accumulator_bits: int = 48) -> Sums:
    """Multiply a[m, K] by b[n, K] on slabs of so many rows.

    Every piece's dot product, floor(dot * 2**fraction / 2**shift), is added; `fraction` is the largest with which
    2**fraction * (sum of the largest moving magnitude * |element| / 2**distance) + pieces < 2**(accumulator_bits - 1).
    """
    length = a.integers.shape[1]
    ends = {stop for made in (a.made, b.made) for stop in range(made.block or length, length, made.block or length)}
    starts = sorted({0, *ends})
    pieces = [
        slice(i, min(i + rows, stop))
        for start, stop in zip(starts, [*starts[1:], length], strict=True)
        for i in range(start, stop, rows)
    ]
    row, column = a.exponents.max(1), b.exponents.max(1)
    unused = (a.made.times * b.made.times).bit_length() - 1  # bits of a slab's sum below a unit of its dot product
    most = accumulator_bits - 16 - (rows - 1).bit_length() + unused
    fractions = []
    for integers, exponents, anchor in zip(b.integers, b.exponents, column, strict=True):
        bound = sum(
            (Fraction(abs(int(i))) / 2 ** int(anchor - e) for i, e in zip(integers, exponents, strict=True)), Fraction()
        )
        room = (1 << accumulator_bits - 1) - len(pieces)
        fits = (f for f in range(most, -1, -1) if bound * a.made.magnitude * 2**f < room)
        fractions.append(next(fits))
    total = np.zeros((len(row), len(column)), object)
    for piece in pieces:
        dot = (a.integers[:, piece] @ b.integers[:, piece].T).astype(object)
        shift = (row - a.exponents[:, piece.start])[:, None] + (column - b.exponents[:, piece.start])
        total += dot * np.array([2**f for f in fractions], object) >> shift.astype(object)
    exponents = row[:, None] + column + (a.made.unit + b.made.unit - np.array(fractions))
    return Sums(total, exponents, a.poisoned[:, None] | b.poisoned)


def product(
    a: NDArray[np.float64], b: NDArray[np.float64], names: str, rows: int, *, rule: str = "floor", accumulator_bits: int = 48
) -> Sums:
    """Multiply a[m, K] by b[K, n], quantised as "MOVING:STATIONARY"."""
    moving, stationary = (names + ":" + names).split(":")[:2]
    return sums(blocks(a, moving, rule), blocks(b.T, stationary, rule), rows, accumulator_bits)
