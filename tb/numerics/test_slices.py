"""Products of slices against exact fractions: the stated bound holds, and is nearly reached."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave.numerics.slices import PRECISIONS, Sliced, accumulator_bits, error_bound, multiply, passes, split
from tb.numerics.references import exact, powers

by_count = pytest.mark.parametrize("count", PRECISIONS.values(), ids=[f"{bits} bits" for bits in PRECISIONS])


def errors(a: NDArray[np.generic], b: NDArray[np.generic], count: int) -> NDArray[np.float64]:
    """Errors of the product as parts of the bound."""
    moving, stationary = split(a, count, 1), split(b, count, 0)
    found = multiply(moving, stationary)
    assert np.abs(found.integers).max() < 1 << accumulator_bits(count, a.shape[1]) - 1
    bound = exact(error_bound(count, a.shape[1])) * powers(moving.exponents[:, None] + stationary.exponents)
    return (np.abs(exact(a) @ exact(b) - found.fractions()) / bound).astype(float)


def operands(rng: np.random.Generator, kind: str, length: int) -> list[NDArray[np.generic]]:
    shapes = (4, length), (length, 3)
    match kind:
        case "float32":
            return [(rng.standard_t(2, shape) * 2.0 ** rng.integers(-60, 60, (1, 1))).astype(np.float32) for shape in shapes]
        case "float16":
            return [rng.normal(size=shape).astype(np.float16) for shape in shapes]
        case "wide":  # subnormal to largest, side by side
            return [np.exp2(rng.uniform(-149, 127.9, shape)).astype(np.float32) * np.float32(-1) for shape in shapes]
        case _:
            return [rng.integers(-(2**15), 2**15, shape).astype(np.int16) for shape in shapes]


@by_count
@pytest.mark.parametrize("kind", ["float32", "float16", "wide", "int16"])
def test_bound_holds(count: int, kind: str, rng: np.random.Generator) -> None:
    for length in (1, 7, 33, 200):
        worst = errors(*operands(rng, kind, length), count).max()
        print(f"{kind}, K = {length}: {worst:.3f} of the bound")
        assert worst <= 1


@by_count
def test_bound_is_nearly_reached(count: int) -> None:
    """Digits as large, and roundings as bad, as they can be, all of one sign."""
    digits = 127 * 256 ** (count - 1) - 128 * (256 ** (count - 1) // 255)
    value = (digits + 0.5) * 2.0 ** (1 - 8 * count)
    worst = errors(np.full((1, 300), value), np.full((300, 1), value), count).max()
    print(f"{worst:.4f} of the bound")
    assert 0.99 < worst <= 1


@by_count
def test_slices_are_the_value(count: int, rng: np.random.Generator) -> None:
    """Each value is its slices' sum, to half a unit of the last, under the least exponent that holds the row."""
    values = np.concatenate([rng.standard_t(1, (20, 50)) * np.exp2(rng.integers(-99, 99, (20, 1))), np.zeros((1, 50))])
    values[1, 0], values[2, :] = 2.0**40, 2.0**-30
    values[3, :2] = 1 - 2.0**-30, -1  # needs an exponent more than its binade
    values[4, :2] = -1, 0.5
    values[3:5, 2:] /= np.abs(values[3:5, 2:]).max() * 1.1
    found = split(values, count, 1)
    units = sum(found.slices[i].astype(object) * 256 ** (count - 1 - i) for i in range(count))
    weight = powers(found.exponents - 8 * count + 1)[:, None]
    assert (np.abs(exact(values) - units * weight) <= weight / 2).all()
    assert (np.abs(exact(values)) <= powers(found.exponents)[:, None]).all()
    for row, exponent in zip(values[:-1], found.exponents[:-1], strict=True):
        rounded = np.rint(np.ldexp(row, 8 * count - int(exponent)))  # with the exponent one less, they would not fit
        limit = (256**count - 1) // 255
        assert rounded.max() > 127 * limit or rounded.min() < -128 * limit or np.abs(row).max() > 2.0 ** (exponent - 1)


@by_count
def test_wide_digits(count: int) -> None:
    """Where the top half percent of a binade begins, no digit is more than 127."""
    largest = 127 * (256**count // 255)
    for units in (largest - 1, largest, largest + 1, largest + 0.5, 2 ** (8 * count - 1) - 1):
        for sign in (1, -1):
            value = np.array([[sign * units]])
            found = split(value, count, 1)
            held = sum(found.slices[i].astype(object) * 256 ** (count - 1 - i) for i in range(count))
            weight = powers(found.exponents - 8 * count + 1)
            assert abs(held * weight - exact(value)).item() <= weight.item() / 2


def test_integers_are_exact(rng: np.random.Generator) -> None:
    """INT16 up to 32639 is split without rounding, and three slices and all values of INT16, too."""
    a = rng.integers(-32768, 32640, (3, 40)).astype(np.int16)
    a[0, 0], a[1, 0] = -32768, 32639
    for values, count in [(a, 2), (np.full((1, 4), 32767, np.int16), 3)]:
        found = split(values, count, 1)
        units = sum(found.slices[i].astype(object) * 256 ** (count - 1 - i) for i in range(count))
        assert np.array_equal(units * powers(found.exponents - 8 * count + 1)[:, None], exact(values))


def test_passes() -> None:
    """What is run, and with which shifts; with the pairs left out, the whole product."""
    assert passes(2) == [(0, 0, 8), (0, 1, 0), (1, 0, 0)]
    assert passes(3) == [(0, 0, 16), (0, 1, 8), (1, 0, 8), (0, 2, 0), (1, 1, 0), (2, 0, 0)]


@by_count
def test_accumulator_bits(count: int) -> None:
    """The worst slices fill the accumulator; K = 4096 leaves room in 48 bits."""
    assert accumulator_bits(count, 4096) <= 48
    worst = np.full((count, 1, 512), -128, np.int8)
    total = multiply(Sliced(worst, np.zeros(1, int)), Sliced(worst.swapaxes(1, 2), np.zeros(1, int))).integers.item()
    assert 1 << accumulator_bits(count, 512) - 2 <= total < 1 << accumulator_bits(count, 512) - 1


def test_error_bound() -> None:
    assert error_bound(2, 10) == 10 * (3 * 2.0**-16 + 2.0**-32)
    assert error_bound(3, 10) == 10 * (4 * 2.0**-24 + 2.0**-32 + 2.0**-48)


def test_wrong_operands() -> None:
    with pytest.raises(ValueError, match="finite"):
        split(np.array([[1, np.inf]]), 2, 1)
    a, b = split(np.ones((2, 4)), 2, 1), split(np.ones((4, 3)), 3, 0)
    with pytest.raises(ValueError, match=r"not \(2, 2, 4\) and \(3, 4, 3\)"):
        multiply(a, b)
    with pytest.raises(ValueError, match="at most 64 accumulator bits, not 65"):
        multiply(split(np.ones((1, 2**17)), 5, 1), split(np.ones((2**17, 1)), 5, 0))
