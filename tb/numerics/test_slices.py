"""Products of slices against exact fractions: the stated bound holds, and is nearly reached."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave.numerics.slices import PRECISIONS, error_bound, multiply, passes, split
from tb.numerics.references import exact, powers

by_count = pytest.mark.parametrize("count", PRECISIONS.values(), ids=[f"{bits} bits" for bits in PRECISIONS])


def errors(a: NDArray[np.generic], b: NDArray[np.generic], count: int) -> NDArray[np.float64]:
    """Errors of the product as parts of the bound."""
    moving, stationary = split(a, count, 1), split(b, count, 0)
    found = multiply(moving, stationary, 48, 32, 21)
    assert np.abs(found.integers).max() < 1 << 47
    bound = exact(error_bound(count, a.shape[1])) * powers(moving.exponents[:, None] + stationary.exponents)
    bound += count**2 * -(-a.shape[1] // 32) * powers(found.exponents)
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
    """Values as large, and roundings as bad, as they can be, all of one sign."""
    digits = 127 * (256**count // 255) - 1
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
    """Every pair, the most significant first."""
    assert passes(2) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert passes(3)[:3] == [(0, 0), (0, 1), (1, 0)] and len({*passes(3)}) == 9


@by_count
def test_wide_accumulators_drop_nothing(count: int, rng: np.random.Generator) -> None:
    """With room for all bits, the product is exactly that of the rounded operands."""
    a, b = rng.normal(size=(3, 40)), rng.normal(size=(40, 2))
    slices = split(a, count, 1), split(b, count, 0)
    left, right = (
        sum(sliced.slices[i].astype(object) * 256 ** (count - 1 - i) for i in range(count)) for sliced in slices
    )
    exponents = slices[0].exponents[:, None] + slices[1].exponents - 2 * (8 * count - 1)
    assert np.array_equal(multiply(*slices, 64).fractions(), left @ right * powers(exponents))


@pytest.mark.parametrize("bits", [40, 48])
def test_what_is_dropped(bits: int, rng: np.random.Generator) -> None:
    """Of each slab's dot product that is below the accumulator's unit, always downwards: by hand, in Python's integers."""
    a, b = rng.standard_t(2, (3, 50)), rng.standard_t(2, (50, 2))
    moving, stationary = split(a, 3, 1), split(b, 3, 0)
    found = multiply(moving, stationary, bits, 12, 20)
    fraction = moving.exponents[:, None] + stationary.exponents - 14 - found.exponents
    total = np.zeros(found.integers.shape, object)
    for i, j in passes(3):
        for start in range(0, 50, 12):
            piece = slice(start, start + 12)
            dot = moving.slices[i][:, piece].astype(object) @ stationary.slices[j][piece].astype(object)
            total += dot * 2 ** fraction.astype(object) // 256 ** (i + j)
    assert np.array_equal(found.integers, total)
    assert fraction.min() >= 48 - 20 - 15


def test_error_bound() -> None:
    assert error_bound(2, 10) == 10 * (2 * 2.0**-16 + 2.0**-32)
    assert error_bound(3, 10) == 10 * (2 * 2.0**-24 + 2.0**-48)


def test_wrong_operands() -> None:
    with pytest.raises(ValueError, match="finite"):
        split(np.array([[1, np.inf]]), 2, 1)
    a, b = split(np.ones((2, 4)), 2, 1), split(np.ones((4, 3)), 3, 0)
    with pytest.raises(ValueError, match=r"not \(2, 2, 4\) and \(3, 4, 3\)"):
        multiply(a, b)
    with pytest.raises(ValueError, match=r"accumulator_bits must be at least .*, not 20"):
        multiply(split(np.ones((1, 100)), 2, 1), split(np.ones((100, 1)), 2, 0), 20)
