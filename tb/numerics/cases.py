"""Cases for the rounder: random ones, corners, and all of a small size, with the codes that gfloat gives."""

import numpy as np
from numpy.typing import NDArray

from cleave.numerics.formats import TARGETS, Format, Kind
from cleave.numerics.rounding import Rounding
from tb.numerics.compiled import CASE
from tb.numerics.references import decode, rounded


def random_cases(rng: np.random.Generator, count: int, accumulator_bits: int = 48) -> NDArray[np.void]:
    """Any length of sum, a value near the target's range, and now and then any exponent at all."""
    cases = np.zeros(count, CASE)
    cases["target"] = rng.integers(0, len(TARGETS), count)
    cases["mode"] = rng.integers(0, len(Rounding), count)
    cases["saturate"] = rng.integers(0, 2, count)
    cases["random"] = rng.integers(0, 256, count)
    cases["poisoned"] = rng.random(count) < 0.01
    half = 1 << accumulator_bits - 1
    sums = rng.integers(-half, half, count) >> rng.integers(0, accumulator_bits, count)
    # Half of them with few ones, so that ties and exact results come up.
    ones = np.where(rng.random(count) < 0.5, rng.integers(0, accumulator_bits, count), 0)
    sums = sums >> ones << ones
    low = np.array([target.step_exponent - 4 for target in TARGETS])[cases["target"]]
    high = np.array([target.max_exponent + 3 for target in TARGETS])[cases["target"]]
    exponents = rng.integers(low, high) - np.frexp(sums.astype(float))[1] + 1
    anywhere = rng.random(count) < 0.05
    exponents[anywhere] = rng.integers(-512, 512, count)[anywhere]
    cases["sum"], cases["exponent"] = sums, np.clip(exponents, -512, 511)
    return cases


def corner_cases(rng: np.random.Generator) -> NDArray[np.void]:
    """Around every number of a small format, and around the ends and the middle of a large one: itself, ties, and next to them."""
    parts = []
    for number, target in enumerate(TARGETS):
        sums, exponents = zip(*_neighbourhood(target), strict=True)
        part = np.zeros((len(sums), len(Rounding), 2), CASE)
        part["sum"], part["exponent"] = np.array(sums)[:, None, None], np.array(exponents)[:, None, None]
        part["target"], part["mode"], part["saturate"] = number, np.arange(len(Rounding))[:, None], [0, 1]
        parts.append(part.ravel())
    cases = np.concatenate(parts)
    cases["random"] = rng.integers(0, 256, len(cases))
    return cases


def _neighbourhood(target: Format) -> list[tuple[int, int]]:
    largest = target.largest_code
    codes = range(largest + 1) if target.bits <= 8 else [
        *range(5), *(1 << target.mantissa_bits) + np.arange(-2, 3), *(largest >> 1) + np.arange(-2, 3),
        *range(largest - 4, largest + 1),
    ]  # fmt: skip
    found = [(0, 0), (0, 511), (0, -512), (-(2**47), 464), (2**47 - 1, 464), (1, -512), (-1, -512), (1, 511), (-1, 511)]
    for value in decode(target, np.array(codes)):
        fraction, exponent = np.frexp(value)
        # In units of 2**-12 of a step at least: 2 steps beyond, halves of a step, and one unit to either side of them.
        step = max(int(exponent) - 1, target.min_exponent) - target.mantissa_bits
        middle = int(np.ldexp(fraction, exponent - step)) << 12
        for sign in (1, -1):
            found += [(sign * (middle + half * 2048 + near), step - 12) for half in range(-2, 5) for near in (-1, 0, 1)]
    assert all(target.kind is Kind.INTEGER or exponent >= -512 for _, exponent in found)
    return found


def small_cases(rng: np.random.Generator, bits: int = 8) -> NDArray[np.void]:
    """Every sum of so many bits, at every exponent that matters, in every mode, to every format of up to 8 bits."""
    half = 1 << bits - 1
    parts = []
    for number, target in enumerate(TARGETS):
        if target.bits <= 8:
            exponents = np.arange(target.step_exponent - bits - 2, target.max_exponent + 3)
            part = np.zeros((2 * half, len(exponents), len(Rounding), 2), CASE)
            part["sum"], part["exponent"] = np.arange(-half, half)[:, None, None, None], exponents[:, None, None]
            part["target"], part["mode"], part["saturate"] = number, np.arange(len(Rounding))[:, None], [0, 1]
            parts.append(part.ravel())
    cases = np.concatenate(parts)
    cases["random"] = rng.integers(0, 256, len(cases))
    return cases


def with_codes(cases: NDArray[np.void]) -> NDArray[np.void]:
    """Fill in the codes."""
    values = np.ldexp(cases["sum"].astype(float), cases["exponent"])
    values = np.where(cases["poisoned"], np.nan, values)
    for number, target in enumerate(TARGETS):
        for mode in Rounding:
            for saturate in (False, True):
                chosen = (cases["target"] == number) & (cases["mode"] == mode.value) & (cases["saturate"] == saturate)
                if chosen.any():
                    random = cases["random"][chosen].astype(np.int64)
                    cases["code"][chosen] = rounded(target, values[chosen], mode, random, saturate=saturate)
    return cases
