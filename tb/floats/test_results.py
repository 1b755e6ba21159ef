"""What a product's sums become: every format and rounding mode, NaNs, and the error that slices state."""

import numpy as np
import pytest

from cleave import Engine
from cleave.compile.floats import RESULTS, ROUNDINGS, prepare
from cleave.numerics.slices import PRECISIONS, multiply, split
from tb.floats.cases import SHAPES, check, operands, same
from tb.numerics.references import exact
from tb.numerics.scaled_products import product


@pytest.mark.parametrize("pair", ["mxfp4", "int8", "mxint8:int4"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_poison_their_row_and_column(engine: Engine, pair: str, value: float, rng: np.random.Generator) -> None:
    a, b = operands(rng, "near", 6, 70, 11)
    clean, _ = engine.matmul_float(a, b, format=pair)
    a[4, 69], b[33, 7] = value, value
    wanted = product(a, b, pair, engine.config.array.rows)
    poisoned = np.zeros(clean.shape, bool)
    poisoned[4] = poisoned[:, 7] = True
    for partition in range(1, engine.config.array.slabs + 1):
        found, _ = engine.matmul_float(a, b, format=pair, partition=partition)
        assert np.array_equal(np.isnan(found), poisoned)
        same(found, wanted.float32())
        same(found[~poisoned], clean[~poisoned])
    for name, target in RESULTS.items():
        found, _ = engine.matmul_float(a, b, format=pair, result=name, relu=True)
        same(found, wanted.codes(target, relu=True).astype(f"u{target.storage_bytes}"))


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_results(tiny: Engine, result: str, rounding: str, rng: np.random.Generator) -> None:
    """Every format and rounding mode, with and without saturation and relu, after gfloat; the random numbers are the records'."""
    target, mode = RESULTS[result], ROUNDINGS[rounding]
    a, b = operands(rng, "near", 9, 40, 11)
    a[0], b[:, 2] = 0, 0
    a[1] *= target.largest / 50
    a[2] *= target.largest * 8
    a[3] *= 2.0**target.step_exponent / 300
    seed = int(rng.integers(2**32))
    wanted = product(a, b, "mxint8:mxfp6", 4)
    records, _ = prepare(a, b, tiny.config, format="mxint8:mxfp6", seed=seed)
    random = records.rows["random"][:, None] ^ records.columns["random"]
    for saturate in (False, True):
        for relu in (False, True):
            found, _ = tiny.matmul_float(
                a, b, format="mxint8:mxfp6", result=result, rounding=rounding, saturate=saturate, relu=relu, seed=seed
            )
            assert found.dtype == {"fp32": np.float32, "fp16": np.float16, "bf16": np.uint16}.get(result, np.uint8)
            codes = wanted.codes(target, mode, saturate=saturate, relu=relu, random=random)
            same(found, codes.astype(f"u{target.storage_bytes}"))


def test_stochastic_rounding(tiny: Engine) -> None:
    """The mean of many seeds is the value, in every place, and a seed gives the same bits each time and whatever the partition."""
    a, b = np.full((12, 2), 1.0), np.full((2, 12), [[1.0], [0.25]])  # 1.25, between 1 and 2
    seeds = range(400)
    found = [tiny.matmul_float(a, b, format="int8", result="int8", rounding="stochastic", seed=seed)[0] for seed in seeds]
    mean = np.mean(found, 0)
    assert np.abs(mean - 1.25).max() < 5 * np.sqrt(0.25 * 0.75 / len(seeds))
    assert 0 < np.mean([np.diag(matrix) == 2 for matrix in found[:10]]) < 0.5
    for partition in (1, 2):
        again, _ = tiny.matmul_float(a, b, format="int8", result="int8", rounding="stochastic", seed=7, partition=partition)
        same(again, found[7])


def widths(engine: Engine) -> tuple[int, int, int]:
    """What a product depends on of an engine: width of accumulators, rows of a slab, width of its sum."""
    return engine.config.accumulator_bits, engine.config.array.rows, engine.config.array.product_bits


@pytest.mark.parametrize("precision", PRECISIONS)
def test_slices(engine: Engine, precision: int, rng: np.random.Generator) -> None:
    """Slices give exactly what `numerics.slices` says, rounded once, at every partition."""
    count = PRECISIONS[precision]
    for shape in SHAPES:
        for kind in ("gaussian", "tails", "anywhere"):
            a, b = operands(rng, kind, *shape)
            held = multiply(split(a, count, 1), split(b, count, 0), *widths(engine))
            assert np.abs(held.integers).max() < 2**53
            with np.errstate(over="ignore"):
                wanted = np.ldexp(held.integers.astype(float), held.exponents).astype(np.float32)
            for partition in range(1, engine.config.array.slabs + 1):
                found, stats = engine.matmul_float(a, b, precision=precision, partition=partition)
                same(found, wanted)
                assert stats.useful_macs == np.prod(shape) * count**2
            if np.isfinite(found).all():
                assert stats.error_bound is not None
                assert np.abs(exact(a) @ exact(b) - exact(found)).max() <= stats.error_bound


def test_beyond_the_range(engine: Engine) -> None:
    """Operands that only float64 has: results that overflow and vanish, and those in between, at the exponents' ends."""
    values = np.array([1e300, -1e300, 1e-300, 5e-324, 1.0, 0.0])
    a, b = np.stack([values, -values / 3], 1), np.stack([values, values])
    for precision, count in PRECISIONS.items():
        held = multiply(split(a, count, 1), split(b, count, 0), *widths(engine))
        with np.errstate(over="ignore"):
            wanted = np.ldexp(held.integers.astype(float), held.exponents).astype(np.float32)
        found, stats = engine.matmul_float(a, b, precision=precision)
        same(found, wanted)
        assert np.isinf(found[0, 0]) and found[2, 2] == 0 and found[0, 2] != 0 and stats.error_bound == np.inf
    check(engine, a, b, "mxint8")
    check(engine, a, b, "int8:mxfp4", "up")


def nearly_worst(count: int) -> float:
    """A number whose digits are as large, and whose rounding is as bad, as they can be."""
    digits = 127 * 256 ** (count - 1) - 128 * (256 ** (count - 1) // 255)
    return (digits + 0.5) * 2.0 ** (1 - 8 * count)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("weight", [0, 40, -60, -74, -75, -80])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_error_bound(tiny: Engine, precision: int, weight: int, rounding: str) -> None:
    """Operands built to reach the bound, down to results that are subnormal or vanish, in every rounding mode."""
    value = nearly_worst(PRECISIONS[precision]) * 2.0**weight
    for length in (1, 30):
        for left, right in [(value, value), (value, -value)]:
            a, b = np.full((2, length), left), np.full((length, 1), right)
            found, stats = tiny.matmul_float(a, b, precision=precision, rounding=rounding)
            assert stats.error_bound is not None
            error = np.abs(exact(a) @ exact(b) - exact(found)).max()
            assert error <= stats.error_bound
            assert precision != 16 or weight < -60 or left != right or error > 0.98 * stats.error_bound


def test_error_bound_of_small_numbers_beside_zeros(tiny: Engine, rng: np.random.Generator) -> None:
    """Rows and columns of zeros, as padding has them, have no error and do not raise the bound."""
    a, b = rng.normal(size=(4, 20)) * 1e-12, rng.normal(size=(20, 5)) * 1e-9
    _, alone = tiny.matmul_float(a, b, precision=16)
    product, beside = tiny.matmul_float(np.pad(a, ((0, 2), (0, 0))), np.pad(b, ((0, 0), (0, 3))), precision=16)
    assert beside.error_bound == alone.error_bound and not product[4:].any() and not product[:, 5:].any()
    assert tiny.matmul_float(a * 0, b, precision=24)[1].error_bound == np.spacing(np.float32(0))


@pytest.mark.parametrize("result", RESULTS)
def test_error_bound_of_results(tiny: Engine, result: str, rng: np.random.Generator) -> None:
    """The rounding to half precision counts; there is no bound of what overflows, and none of codes."""
    a, b = rng.normal(size=(5, 20)), rng.normal(size=(20, 6))
    found, stats = tiny.matmul_float(a, b, precision=16, result=result)
    if found.dtype.kind != "f":
        assert stats.error_bound is None
        return
    assert stats.error_bound is not None and np.abs(exact(a) @ exact(b) - exact(found)).max() <= stats.error_bound
    for options in ({}, {"saturate": True}, {"rounding": "toward_zero"}):
        assert tiny.matmul_float(a * 2.0**128, b, precision=16, result=result, **options)[1].error_bound == np.inf
