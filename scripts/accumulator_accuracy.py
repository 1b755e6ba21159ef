#!/usr/bin/env python3
"""What accumulators of several widths lose on block-scaled products, beside FP32 accumulation of the same operands.

The error of a result, over the sum of its terms' magnitudes, at its worst in an 8 x 8 matrix with K = 4096. FP32 adds the
exact products one after another and rounds each sum. Bits gained are those below the unit that `accumulate.fraction_bits` finds
for the worst of the columns there are, over the worst there could be. Random data from a fixed seed.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cleave.numerics.accumulate import accumulate, exact_product, fraction_bits
from cleave.numerics.formats import parse_operands, product_bits
from cleave.numerics.quantise import quantise

ROWS, LENGTH, SEED = 8, 4096, 1
WIDTHS = (36, 40, 44, 48, 52)
FORMATS = ("mxint8", "mxfp6", "mxfp4", "mxint8:mxfp4")


def block_scaled(octaves: float) -> Callable[[np.random.Generator], NDArray[np.float64]]:
    """Gaussian values times a power of two per row and block, itself Gaussian with this standard deviation."""
    def draw(rng: np.random.Generator) -> NDArray[np.float64]:
        spread = np.exp2(rng.normal(0, octaves, (ROWS, LENGTH // 32)))
        return rng.normal(size=(ROWS, LENGTH)) * np.repeat(spread, 32, 1)
    return draw


DATA: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "Gaussian": lambda rng: rng.normal(size=(ROWS, LENGTH)),
    "Student t, 2 degrees": lambda rng: rng.standard_t(2, (ROWS, LENGTH)),
    "Cauchy": lambda rng: rng.standard_cauchy((ROWS, LENGTH)),
    "blocks of 2 octaves": block_scaled(2),
    "blocks of 3 octaves": block_scaled(3),
    "blocks of 4 octaves": block_scaled(4),
}


@dataclass(frozen=True)
class Result:
    """Worst relative errors of one format on one kind of data."""

    format: str
    data: str
    fp32: float
    accumulators: dict[int, float]
    bits_gained: int


def measure(pair: str, name: str) -> Result:
    """Measure FP32 and each width."""
    rng = np.random.default_rng(SEED)
    moving, stationary = parse_operands(pair)
    a, b = quantise(DATA[name](rng), moving, 1), quantise(DATA[name](rng).T, stationary, 0)
    product, _ = exact_product(a, b)
    x, y = a.dequantise(), b.dequantise()
    magnitudes = np.abs(x) @ np.abs(y)
    total = np.zeros(product.shape, np.float32)
    for k in range(LENGTH):
        total += np.outer(x[:, k], y[k]).astype(np.float32)

    def worst(found: NDArray[np.object_]) -> float:
        return float((np.abs(product - found).astype(float) / magnitudes).max())

    def of_width(bits: int) -> float:
        return worst(accumulate(a, b, bits).fractions())

    fp32 = worst(np.vectorize(lambda value: Fraction(float(value)), otypes=[object])(total))
    gained = int(fraction_bits(moving, b, 48).min()) - (48 - product_bits(moving, stationary, LENGTH))
    return Result(pair, name, fp32, {bits: of_width(bits) for bits in WIDTHS}, gained)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the results here, too")
    arguments = parser.parse_args()
    results = [measure(pair, name) for pair in FORMATS for name in DATA]
    table = Table("format", "data", "FP32", *(f"{bits} bits" for bits in WIDTHS), "bits gained")
    for result in results:
        errors = [result.fp32, *result.accumulators.values()]
        table.add_row(result.format, result.data, *(f"{error:.1e}" if error else "0" for error in errors), str(result.bits_gained))
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    for bits in WIDTHS:
        beaten = sum(result.accumulators[bits] <= result.fp32 for result in results)
        print(f"{bits} bits: no larger error than FP32 in {beaten} of {len(results)}")


if __name__ == "__main__":
    main()
