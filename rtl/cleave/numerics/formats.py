"""The one table of number formats, read by hardware, reference and compiler alike.

A value of every element and drain format is an integer times a power of two. Written with p = `mantissa_bits` bits below the
leading one, its least step is 2**(e - p) where e, its exponent, is never below `min_exponent`: beneath that the format is
evenly spaced (subnormal). A two's complement integer is the case in which nothing lies above `min_exponent`. So one rounder
serves all of them, and a decoder gives small integers, in units of the least step, which an integer array multiplies exactly.

Sources: IEEE 754-2019 (FP32, FP16); OCP 8-bit Floating Point Specification 1.0 (E4M3, E5M2); OCP Microscaling Formats (MX)
Specification 1.0 (E2M1, E2M3, MXINT8, E8M0, blocks of 32); NVFP4 as in NVIDIA's cuDNN and PTX documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import BLOCK, OPERAND_BITS

__all__ = [
    "Kind", "Specials", "Format", "FP32", "BF16", "FP16", "E4M3", "E5M2", "INT8", "INT4", "E2M1", "E2M3", "E8M0", "ELEMENTS",
    "PAIRS", "TARGETS", "Operand", "OPERANDS", "lane_integers", "parse_operands", "product_bits",
]  # fmt: skip


class Kind(Enum):
    """What a code is: a two's complement integer, sign, exponent and mantissa, or a bare power of two."""

    INTEGER = "integer"
    FLOAT = "float"
    SCALE = "scale"


class Specials(Enum):
    """Codes that are no numbers: none; NaN in the code (or two) of all ones; IEEE 754's infinities and NaNs."""

    NONE = "none"
    NAN = "NaN, all ones"
    IEEE = "infinities and NaNs, exponent all ones"


@dataclass(frozen=True)
class Format:
    """A number format of up to 32 bits.

    Attributes
    ----------
    name
        As in its specification.
    kind
        See `Kind`.
    exponent_bits, mantissa_bits
        Fields of a code; an integer has all bits but its sign in the mantissa.
    bias
        Subtracted from the exponent field.
    specials
        See `Specials`.
    """

    name: str
    kind: Kind
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: Specials = Specials.NONE

    @property
    def bits(self) -> int:
        """Bits of a code; a scale has no sign."""
        return (self.kind is not Kind.SCALE) + self.exponent_bits + self.mantissa_bits

    @property
    def storage_bytes(self) -> int:
        """Bytes that a code takes in memory, in the lowest bits: 1, 2 or 4."""
        return 1 << (self.bits > 8) + (self.bits > 16)

    @property
    def min_exponent(self) -> int:
        """Exponent of the least normal number; an integer has none, and a scale nothing but normal numbers."""
        return (self.kind is not Kind.SCALE) - self.bias

    @property
    def step_exponent(self) -> int:
        """Base-2 logarithm of the step: the weight of one unit of the decoded integer."""
        return self.min_exponent - self.mantissa_bits

    @property
    def largest_code(self) -> int:
        """Code of the largest finite number."""
        top = (1 << self.exponent_bits + self.mantissa_bits) - 1
        return top - {Specials.NONE: 0, Specials.NAN: 1, Specials.IEEE: 1 << self.mantissa_bits}[self.specials]

    @property
    def infinity_code(self) -> int | None:
        """Code of plus infinity, if there is one."""
        return self.largest_code + 1 if self.specials is Specials.IEEE else None

    @property
    def nan_code(self) -> int | None:
        """Code of the NaN that is written, if there is one: quiet, positive, without payload."""
        if self.specials is Specials.NONE:
            return None
        quiet = 1 << self.mantissa_bits - 1 if self.specials is Specials.IEEE else 0
        return self.largest_code + 1 + quiet

    @property
    def largest(self) -> float:
        """Largest finite number."""
        return float(np.ldexp(*self._significand(self.largest_code)))

    @property
    def max_exponent(self) -> int:
        """Floor of the base-2 logarithm of the largest number: the `emax` of the OCP scale rule."""
        return int(np.frexp(self.largest)[1]) - 1

    @property
    def decoded_bits(self) -> int:
        """Bits of a signed integer that holds every number in units of the step."""
        significand, exponent = self._significand(self.largest_code)
        return (significand << exponent - self.step_exponent).bit_length() + 1

    @property
    def alignment(self) -> int:
        """Bits that the array shifts a decoded element left by, so that the largest use all 8 bits of an operand.

        Dot products then use all bits of a slab's sum, below which an accumulator has the others: INT4, E2M1 and E2M3 are all
        sixteen times their value.
        """
        return OPERAND_BITS - self.decoded_bits

    @cached_property
    def integers(self) -> NDArray[np.int64]:
        """The decoded integer of each code of an element or FP8, in units of the step; 0 for codes that are no numbers."""
        magnitudes = []
        for code in range(1 << self.bits - 1):
            significand, exponent = self._significand(code)
            magnitudes.append(significand << exponent - self.step_exponent if code <= self.largest_code else 0)
        positive = np.array(magnitudes)
        integer = self.kind is Kind.INTEGER
        table = np.concatenate([positive, positive - (1 << self.bits - 1) if integer else -positive])
        table.flags.writeable = False
        return table

    def decode(self, codes: NDArray[np.unsignedinteger]) -> NDArray[np.float64]:
        """Give the values of codes, exactly."""
        magnitudes = codes.astype(np.int64) & (1 << self.bits - 1) - 1
        negative = codes.astype(np.int64) >> self.bits - 1 == 1
        if self.kind is Kind.INTEGER:
            return (magnitudes - np.where(negative, 1 << self.bits - 1, 0)).astype(np.float64)
        values = np.ldexp(*self._significand(magnitudes))
        values[magnitudes > self.largest_code] = np.nan
        values[magnitudes == self.infinity_code] = np.inf
        return np.where(negative, -values, values)

    def _significand(self, code: int | NDArray[np.int64]) -> tuple[Any, Any]:
        """Give the integer and the power of two of a code that is not negative, or of each of an array."""
        if self.kind is Kind.SCALE:
            return 1, code - self.bias
        field, fraction = divmod(code, 1 << self.mantissa_bits)
        normal = field > 0
        return fraction + normal * (1 << self.mantissa_bits), field - normal + self.step_exponent


def _integer(bits: int) -> Format:
    """Give a two's complement integer: all of it is mantissa, evenly spaced by 1."""
    return Format(f"INT{bits}", Kind.INTEGER, 0, bits - 1, 2 - bits)


FP32 = Format("FP32", Kind.FLOAT, 8, 23, 127, Specials.IEEE)
BF16 = Format("BF16", Kind.FLOAT, 8, 7, 127, Specials.IEEE)
FP16 = Format("FP16", Kind.FLOAT, 5, 10, 15, Specials.IEEE)
E4M3 = Format("E4M3", Kind.FLOAT, 4, 3, 7, Specials.NAN)
E5M2 = Format("E5M2", Kind.FLOAT, 5, 2, 15, Specials.IEEE)
INT8 = _integer(8)
INT4 = _integer(4)
E2M1 = Format("E2M1", Kind.FLOAT, 2, 1, 1)
E2M3 = Format("E2M3", Kind.FLOAT, 2, 3, 1)
E8M0 = Format("E8M0", Kind.SCALE, 8, 0, 127, Specials.NAN)

ELEMENTS = (INT8, INT4, E2M1, E2M3)
"""What the array multiplies. An element's place here is its number in hardware."""

PAIRS = (INT8, INT4, E2M1)
"""What a byte of a stationary tile is in a column of two lanes: one INT8, or two of another. Numbers are those of `ELEMENTS`."""

TARGETS = (*ELEMENTS, FP32, BF16, FP16, E4M3, E5M2)
"""What the drain rounds to. A target's place here is its number in hardware."""


@dataclass(frozen=True)
class Operand:
    """What a moving or stationary operand is made of: elements, and scales that they share along the contraction.

    Attributes
    ----------
    name
        As on the command line.
    element
        Format of the elements, one of `ELEMENTS`.
    block
        Elements that share a scale; none if a whole row of the moving operand, or column of the stationary one, shares one.
    scale
        Format of the scales.
    """

    name: str
    element: Format
    block: int | None = None
    scale: Format = E8M0

    @property
    def step_exponent(self) -> int:
        """Base-2 logarithm of the weight of one unit of a decoded element under scale 1.

        Integers in blocks are fractions, with one bit above the point besides the sign (MX 1.0, 5.3.4).
        """
        is_fraction = self.block is not None and self.element.kind is Kind.INTEGER
        return 2 - self.element.bits if is_fraction else self.element.step_exponent

    @property
    def largest(self) -> float:
        """Largest element under scale 1."""
        return float(np.ldexp(self.element.largest, self.step_exponent - self.element.step_exponent))

    @property
    def max_exponent(self) -> int:
        """Floor of the base-2 logarithm of the largest element under scale 1."""
        return self.element.max_exponent + self.step_exponent - self.element.step_exponent

    @property
    def magnitude(self) -> int:
        """Largest magnitude of a decoded element: an integer's least number has no positive counterpart."""
        return int(np.abs(self.element.integers).max())


OPERANDS = {
    operand.name: operand
    for operand in (
        Operand("int8", INT8),
        Operand("int4", INT4),
        Operand("mxint8", INT8, BLOCK),
        Operand("mxfp6", E2M3, BLOCK),
        Operand("mxfp4", E2M1, BLOCK),
        Operand("nvfp4", E2M1, 16, E4M3),
    )
}
"""Operand formats by name."""


def lane_integers(places: NDArray[np.integer], pairs: int) -> list[NDArray[np.int64]]:
    """Give each lane's integers in the bytes of stationary tiles: one lane's, or for `pairs`, a number in `PAIRS`, two lanes'."""
    if not pairs:
        return [places.astype(np.int8).astype(np.int64)]
    element = PAIRS[pairs]
    low = (1 << element.bits) - 1
    return [element.integers[places & low], element.integers[places >> element.bits & low]]


def parse_operands(text: str, operands: Mapping[str, Operand] = OPERANDS) -> tuple[Operand, Operand]:
    """Give the moving and the stationary operand's format of "MOVING:STATIONARY", or of one name for both.

    Raises
    ------
    ValueError
        If a name is unknown, or there are more than two.
    """
    names = text.lower().split(":")
    if len(names) > 2 or not all(name in operands for name in names):
        raise ValueError(f"format must be one of {', '.join(operands)}, or two of them as MOVING:STATIONARY, not {text!r}")
    return operands[names[0]], operands[names[-1]]


def product_bits(moving: Operand, stationary: Operand, terms: int = 1) -> int:
    """Give the bits of a signed integer that holds any sum of so many products of decoded elements."""
    return (terms * moving.magnitude * stationary.magnitude).bit_length() + 1
