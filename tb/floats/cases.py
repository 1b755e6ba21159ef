"""Operands of every kind, and the comparison with a reference that shares no code with the engine."""

import numpy as np
from numpy.typing import NDArray

from cleave import Engine
from tb.numerics.scaled_products import product

CONFIGS = ("tiny", "odd", "default", "w4a8")

PAIRS = (
    "int8", "int4", "mxint8", "mxfp6", "mxfp4",
    "mxint8:mxfp4", "int8:mxfp4", "mxfp6:int4", "mxfp4:int8", "int4:mxint8", "mxfp4:mxfp6",
)  # fmt: skip

SHAPES = ((1, 1, 1), (5, 1, 3), (1, 70, 9), (7, 3, 1), (4, 33, 5), (9, 100, 12), (3, 64, 17))

LEAST, MOST = 2.0**-127, 2.0**127

Matrices = tuple[NDArray[np.float64], NDArray[np.float64]]

KINDS = ("gaussian", "tails", "near", "anywhere", "corners")


def blocked(rng: np.random.Generator, shape: tuple[int, int], exponents: tuple[int, int]) -> NDArray[np.float64]:
    """Gaussian rows whose blocks of 32 have exponents from a range."""
    scales = np.exp2(rng.integers(*exponents, (shape[0], -(-shape[1] // 32))).astype(float))
    return rng.normal(size=shape) * np.repeat(scales, 32, 1)[:, : shape[1]]


def corners(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Rows whose blocks are zeros, largest and least numbers, one element alone, ties, or the ends of the scales side by side."""
    values = np.zeros((shape[0], -(-shape[1] // 32) * 32))
    for block in values.reshape(-1, 32):
        sign = rng.choice([-1, 1], 32)
        match rng.integers(7):
            case 0:
                block[:] = rng.choice([0.0, -0.0])
            case 1:
                block[:] = sign * rng.choice([127.75, 7.75, 6, 7.5, 4, 1]) * rng.choice([MOST / 64, LEAST, 1])
            case 2:
                block[:] = rng.choice([127.75, -127.75, 6, -7.5])  # all of one sign: the largest sums
            case 3:
                block[rng.integers(32)] = rng.choice([MOST, LEAST, 2.0**-149, 1.0])
            case 4:
                block[:] = sign * (rng.integers(0, 256, 32) / 2 + 0.5) * 2.0 ** rng.integers(-9, 9)
            case 5:
                block[:] = sign * rng.choice([MOST, LEAST], 32)
            case _:
                block[:] = rng.normal(size=32) * rng.choice([MOST / 8, LEAST, 1])
    return values[:, : shape[1]]


def operands(rng: np.random.Generator, kind: str, m: int, k: int, n: int) -> Matrices:
    made = {
        "gaussian": lambda shape: blocked(rng, shape, (0, 1)),
        "tails": rng.standard_cauchy,
        "near": lambda shape: blocked(rng, shape, (-9, 9)),
        "anywhere": lambda shape: blocked(rng, shape, (-130, 125)),
        "corners": lambda shape: corners(rng, shape),
    }[kind]
    return made((m, k)), made((n, k)).T


def same(found: NDArray, wanted: NDArray) -> None:
    """Compare bits; signs of zeros count."""
    assert found.dtype.itemsize == wanted.dtype.itemsize and found.shape == wanted.shape
    word = f"u{wanted.dtype.itemsize}"
    np.testing.assert_array_equal(np.ascontiguousarray(found).view(word), np.ascontiguousarray(wanted).view(word))


def check(engine: Engine, a: NDArray, b: NDArray, pair: str, rule: str = "floor") -> None:
    """Compare with the reference, at every partition and the compiler's own."""
    array = engine.config.array
    wanted = product(a, b, pair, array.rows, rule=rule, accumulator_bits=engine.config.accumulator_bits).float32()
    for partition in (None, *range(1, array.slabs + 1)):
        found, stats = engine.matmul_float(a, b, format=pair, scale_rule=rule, partition=partition)
        same(found, wanted)
        assert stats.useful_macs == a.shape[0] * a.shape[1] * b.shape[1] and stats.error_bound is None
        assert stats.partition == partition or partition is None
