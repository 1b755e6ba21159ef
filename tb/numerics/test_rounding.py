"""Rounding in numpy, the definition, against gfloat; the random sequence against a shift register of single bits."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave.numerics.formats import BF16, FP32, TARGETS, Format
from cleave.numerics.rounding import Rounding, round_to
from tb.numerics.cases import corner_cases, extreme_cases, random_cases, small_cases, with_codes

PERIOD = 2**32 - 1


def codes(cases: NDArray[np.void]) -> NDArray[np.uint32]:
    """The definition's codes, for any mixture of targets and modes."""
    found = np.zeros(len(cases), np.uint32)
    for number, target in enumerate(TARGETS):
        for mode in Rounding:
            for saturate in (False, True):
                chosen = (cases["target"] == number) & (cases["mode"] == mode.value) & (cases["saturate"] == saturate)
                some = cases[chosen]
                found[chosen] = round_to(
                    target, some["sum"], some["exponent"], mode,
                    saturate=saturate, poisoned=some["poisoned"] == 1, random=some["random"],
                )  # fmt: skip
    return found


@pytest.mark.parametrize("kind", ["random", "corners", "extremes", "small"])
def test_against_gfloat(kind: str, rng: np.random.Generator) -> None:
    makers = {"corners": corner_cases, "extremes": extreme_cases, "small": small_cases}
    cases = with_codes(makers.get(kind, partial(random_cases, count=100_000))(rng))
    wrong = np.flatnonzero(codes(cases) != cases["code"])
    assert not len(wrong), cases[wrong[0]]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_zeros_and_nan(target: Format) -> None:
    """Zero has no sign; NaN is quiet, and 0 where there is none; random numbers leave both alone."""
    for mode in Rounding:
        assert round_to(target, 0, [-512, 0, 511], mode, random=255).tolist() == [0] * 3
        assert round_to(target, [5, -5], 0, mode, poisoned=True, random=255).tolist() == [target.nan_code or 0] * 2


def test_stochastic_is_unbiased() -> None:
    """Of all random numbers, as many round up as the remainder has 256ths."""
    for remainder in range(256):
        value = (0x81 << 8) + remainder  # 8 bits of significand, and 8 below
        found = round_to(BF16, value, 0, Rounding.STOCHASTIC, random=np.arange(256))
        assert (found - found.min()).sum() == (remainder or 0)
        assert found[0] == round_to(BF16, value, 0, Rounding.TOWARD_ZERO)


def test_all_of_63_bits() -> None:
    """The sticky bit is any of the bits below, however long the sum."""
    tie = (1 << 62) + (1 << 38)
    assert round_to(FP32, [tie, tie + 1, tie - 1, -tie - 1], 0).tolist() == [0x5E800000, 0x5E800001, 0x5E800000, 0xDE800001]
