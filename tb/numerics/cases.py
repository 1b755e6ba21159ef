"""Cases for the rounder: random ones, corners, and all of a small size, with the codes that gfloat gives."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cleave.numerics.formats import TARGETS, Format
from cleave.numerics.rounding import Rounding
from tb.numerics.compiled import CASE
from tb.numerics.references import decode, rounded


def random_cases(
    rng: np.random.Generator, count: int, accumulator_bits: int = 48, targets: Sequence[Format] = TARGETS
) -> NDArray[np.void]:
    """Any length of sum, a value near the target's range, and now and then any exponent at all."""
    cases = np.zeros(count, CASE)
    cases["target"] = rng.choice([TARGETS.index(target) for target in targets], count)
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
        largest, normal = target.largest_code, 1 << target.mantissa_bits
        near = np.concatenate([np.arange(5), normal + np.arange(-2, 3), largest // 2 + np.arange(5), largest - np.arange(5)])
        codes = np.arange(largest + 1) if target.bits <= 8 else near
        around = (np.arange(-2, 5)[:, None] * 0.5 + np.array([-1, 0, 1]) * LEAST).ravel()
        parts.append(_everyway(number, *_beside(target, codes, around)))
    return _with_random(rng, np.concatenate(parts))


def extreme_cases(rng: np.random.Generator) -> NDArray[np.void]:
    """The ends of what goes in and of what comes out, and ties of all widths with a one more or less in the lowest of 48 bits."""
    ends = [(0, 0), (0, 511), (0, -512), (-(2**47), 464), (2**47 - 1, 464), (1, -512), (-1, -512), (1, 511), (-1, 511)]
    ties = [((3 << 45) + (1 << 45 - target.mantissa_bits) + one, -44) for target in TARGETS for one in (-1, 0, 1)]
    for target in TARGETS:
        fraction, exponent = np.frexp(decode(target, target.largest_code))
        ends += [(sign * int(fraction * 2**24), int(exponent) - 24) for sign in (1, -1)]
    sums, exponents = np.array(ends + ties).T
    return _with_random(rng, np.concatenate([_everyway(number, sums, exponents) for number in range(len(TARGETS))]))


def code_cases(rng: np.random.Generator, target: Format) -> NDArray[np.void]:
    """Every number of a format, the tie above it, and just beside that."""
    sums, exponents = _beside(target, np.arange(target.largest_code + 1), np.array([0, 0.5 - LEAST, 0.5, 0.5 + LEAST]))
    return _with_random(rng, _everyway(TARGETS.index(target), sums, exponents))


LEAST = 2.0**-12
"""Distance from a tie, in steps of the format."""


def _beside(target: Format, codes: NDArray[np.integer], distances: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
    """Give the numbers of the codes plus distances in steps, and the negatives, as sums and exponents."""
    values = decode(target, codes)
    step = np.maximum(np.frexp(values)[1] - 1, target.min_exponent) - target.mantissa_bits
    sums = (np.ldexp(values, -step)[:, None] + distances) / LEAST
    exponents = np.broadcast_to(step[:, None] + int(np.log2(LEAST)), sums.shape)
    return np.concatenate([sums, -sums]).astype(np.int64).ravel(), np.concatenate([exponents, exponents]).ravel()


def _everyway(number: int, sums: NDArray[np.int64], exponents: NDArray[np.int64]) -> NDArray[np.void]:
    """Ask for each of the sums in every mode, with and without saturation."""
    cases = np.zeros((*sums.shape, len(Rounding), 2), CASE)
    cases["sum"], cases["exponent"] = sums[..., None, None], exponents[..., None, None]
    cases["target"], cases["mode"], cases["saturate"] = number, np.arange(len(Rounding))[:, None], [0, 1]
    return cases.ravel()


def _with_random(rng: np.random.Generator, cases: NDArray[np.void]) -> NDArray[np.void]:
    cases["random"] = rng.integers(0, 256, len(cases))
    return cases


def small_cases(rng: np.random.Generator, bits: int = 8) -> NDArray[np.void]:
    """Every sum of so many bits, at every exponent that matters, in every mode, to every format of up to 8 bits."""
    half = 1 << bits - 1
    parts = []
    for number, target in enumerate(TARGETS):
        if target.bits <= 8:
            exponents = np.arange(target.step_exponent - bits - 2, target.max_exponent + 3)
            parts.append(_everyway(number, *np.meshgrid(np.arange(-half, half), exponents)))
    return _with_random(rng, np.concatenate(parts))


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
