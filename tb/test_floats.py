"""Products of floats through whole engines: bit for bit what docs/numerics.md says, by a reference of its own."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleave import ArrayConfig, Engine, EngineConfig
from cleave.compile.floats import RESULTS, ROUNDINGS, prepare
from cleave.config import PRESETS
from cleave.numerics.accumulate import accumulate
from cleave.numerics.formats import parse_operands
from cleave.numerics.quantise import quantise
from cleave.numerics.slices import PRECISIONS, multiply, split
from tb.numerics.references import exact
from tb.numerics.scaled_products import OPERANDS, product

CONFIGS = ("tiny", "odd", "default")
PAIRS = (
    "int8", "int4", "mxint8", "mxfp6", "mxfp4",
    "mxint8:mxfp4", "int8:mxfp4", "mxfp6:int4", "mxfp4:int8", "int4:mxint8", "mxfp4:mxfp6",
)  # fmt: skip
SHAPES = ((1, 1, 1), (5, 1, 3), (1, 70, 9), (7, 3, 1), (4, 33, 5), (9, 100, 12), (3, 64, 17))
LEAST, MOST = 2.0**-127, 2.0**127

Matrices = tuple[NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(scope="module", params=CONFIGS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Engine(request.param) as built:
        yield built


@pytest.fixture(scope="module")
def tiny() -> Iterator[Engine]:
    with Engine("tiny") as built:
        yield built


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


KINDS = ("gaussian", "tails", "near", "anywhere", "corners")


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


@pytest.mark.parametrize("pair", PAIRS)
def test_against_the_definition(engine: Engine, pair: str, rng: np.random.Generator) -> None:
    """Every format on every kind of data, of any size, at every partition."""
    for number, shape in enumerate(SHAPES):
        for kind in KINDS:
            check(engine, *operands(rng, kind, *shape), pair, ("floor", "up")[number % 2])


def test_many_blocks(engine: Engine, rng: np.random.Generator) -> None:
    """More rows and columns than the drain holds records of, with so little between them that loads run ahead."""
    for shape in [(150, 3, 5), (130, 1, 40), (90, 8, 30), (4, 2, 200)]:
        check(engine, *operands(rng, "anywhere", *shape), "mxint8")


@pytest.mark.parametrize("pair", OPERANDS)
def test_all_codes(engine: Engine, pair: str) -> None:
    """Every code times every code: a second element keeps the scale at 1, and has every product beside a known one."""
    made = OPERANDS[pair]
    codes = np.arange(-made.magnitude, made.magnitude + 1) * 2.0**made.unit
    if made.element.name.startswith("INT"):
        codes = codes[:-1] - np.where(codes[:-1] < -made.largest, -0.25 * 2.0**made.unit, 0)  # rounds to the least integer
    beside = np.full(len(codes), made.largest)
    a, b = np.stack([codes, beside], 1), np.stack([codes, beside])
    found, _ = engine.matmul_float(a, b, format=pair)
    if made.element.name.startswith("INT"):
        same(found, (np.outer(np.rint(codes * 2.0**-made.unit), np.rint(codes * 2.0**-made.unit)) * 4.0**made.unit
                     + made.largest**2).astype(np.float32))  # fmt: skip
    same(found, product(a, b, pair, engine.config.array.rows).float32())


@pytest.mark.parametrize("pair", ["mxint8", "mxfp6:mxfp4", "int8:mxint8"])
def test_every_tiling_gives_the_same_bits(engine: Engine, pair: str, rng: np.random.Generator) -> None:
    """Parts of a product, alone and on every partition, under scales over the whole range."""
    a, b = operands(rng, "anywhere", 37, 90, 45)
    whole, _ = engine.matmul_float(a, b, format=pair)
    same(whole, product(a, b, pair, engine.config.array.rows).float32())
    for partition in range(1, engine.config.array.slabs + 1):
        for rows, columns in [(slice(0, 37), slice(0, 45)), (slice(5, 6), slice(0, 45)), (slice(0, 30), slice(44, 45)),
                              (slice(20, 37), slice(3, 29)), (slice(11, 14), slice(16, 21))]:  # fmt: skip
            part, _ = engine.matmul_float(a[rows], b[:, columns], format=pair, partition=partition)
            same(part, np.ascontiguousarray(whole[rows, columns]))


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


def test_ends_of_the_scales_side_by_side(engine: Engine) -> None:
    """2**127 beside 2**-127: a shift that leaves nothing but -1 of what is negative, and nothing of what is not."""
    a = np.zeros((2, 96))
    a[:, :32], a[0, 32:64], a[1, 32:64] = MOST, LEAST, -LEAST
    b = np.zeros((96, 3))
    b[0], b[32] = [1, 0, 2.0**-100], LEAST
    check(engine, a, b, "mxint8")
    found, _ = engine.matmul_float(a, b, format="mxint8")
    assert found[0, 0] == np.float32(MOST) and found[1, 0] == np.float32(MOST)
    check(engine, np.full((3, 40), MOST), np.full((40, 2), MOST), "mxfp4")
    check(engine, np.full((3, 40), LEAST), np.full((40, 2), -LEAST), "mxfp4")
    check(engine, np.zeros((3, 40)), np.full((40, 2), MOST), "mxfp6")


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
    return engine.config.accumulator_bits, engine.config.array.rows, engine.config.array.sum_bits


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


def test_products_of_all_kinds_one_after_the_other(engine: Engine, rng: np.random.Generator) -> None:
    """Nothing of a scaled product stays behind in an integer one, nor the other way."""
    a, b = rng.integers(-128, 128, (9, 70), np.int8), rng.integers(-128, 128, (70, 13), np.int8)
    integers = a.astype(np.int64) @ b.astype(np.int64)
    for pair in ("mxint8", "int8", "mxfp4"):
        check(engine, *operands(rng, "anywhere", 9, 70, 13), pair)
        same(engine.matmul(a, b)[0], integers.astype(np.int32))
        engine.matmul_float(*operands(rng, "near", 9, 70, 13), precision=24)
        same(engine.matmul(a, b, scale=2.0**-9)[0], np.clip(np.rint(integers / 512), -128, 127).astype(np.int8))


def test_with_stalls(rng: np.random.Generator, seed: int) -> None:
    with Engine("tiny", stalls=0.3, seed=seed) as engine:
        for pair in ("mxint8:mxfp4", "int8"):
            check(engine, *operands(rng, "corners", 11, 45, 9), pair)


MODELS = {
    "rows of a block": EngineConfig(ArrayConfig(slabs=3, rows=32, columns=8, dot=8)),
    "more rows than a block": EngineConfig(ArrayConfig(slabs=2, rows=64, columns=4, dot=8)),
    "36 bits": EngineConfig(ArrayConfig(slabs=2, rows=16, columns=8, dot=4), accumulator_bits=36),
    "64 bits": EngineConfig(ArrayConfig(slabs=4, rows=12, columns=5, dot=2), accumulator_bits=64),
}


@pytest.mark.parametrize("name", MODELS)
def test_other_configurations(name: str, rng: np.random.Generator) -> None:
    """The model of slabs of other heights and widths of accumulator, against the definition."""
    with Engine(MODELS[name], backend="model") as engine:
        for pair in ("mxint8", "mxfp4:mxfp6", "int8:mxfp4", "int4"):
            for kind in ("near", "corners", "anywhere"):
                if name != "64 bits" or kind == "anywhere":
                    check(engine, *operands(rng, kind, 5, 100, 6), pair)


@pytest.fixture(scope="module")
def pairs() -> Iterator[dict[str, tuple[Engine, Engine]]]:
    made = {name: (Engine(name), Engine(name, backend="model")) for name in CONFIGS}
    yield made
    for engines in made.values():
        for engine in engines:
            engine.close()


@settings(max_examples=80, derandomize=True, deadline=None)
@given(
    config=st.sampled_from(CONFIGS), kind=st.sampled_from(KINDS), m=st.integers(1, 60), k=st.integers(1, 150), n=st.integers(1, 60),
    what=st.sampled_from([*({"format": pair} for pair in PAIRS), {"precision": 16}, {"precision": 24}]),
    result=st.sampled_from(list(RESULTS)), rounding=st.sampled_from(list(ROUNDINGS)), saturate=st.booleans(), relu=st.booleans(),
    rule=st.sampled_from(["floor", "up"]), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_model_and_rtl(
    pairs: dict[str, tuple[Engine, Engine]], config: str, kind: str, m: int, k: int, n: int, what: dict, result: str,
    rounding: str, saturate: bool, relu: bool, rule: str, seed: int,
) -> None:  # fmt: skip
    a, b = operands(np.random.default_rng(seed), kind, m, k, n)
    options = {"result": result, "rounding": rounding, "saturate": saturate, "relu": relu, "scale_rule": rule, "seed": seed}
    rtl, model = (engine.matmul_float(a, b, **what, **options) for engine in pairs[config])
    same(rtl[0], model[0])
    assert rtl[1].useful_macs == model[1].useful_macs and rtl[1].partition == model[1].partition


def test_larger_products(rng: np.random.Generator) -> None:
    """The RTL against `numerics.accumulate` where the reference would take long."""
    config = PRESETS["default"]
    with Engine(config) as engine:
        for pair in ("mxint8", "mxfp4:int8"):
            a, b = operands(rng, "near", 70, 500, 90)
            names = parse_operands(pair)
            left, right = quantise(a, names[0], 1), quantise(b, names[1], 0)
            held = accumulate(left, right, config.accumulator_bits, config.array.rows, config.array.sum_bits)
            wanted = np.ldexp(held.integers.astype(float), held.exponents).astype(np.float32)
            same(engine.matmul_float(a, b, format=pair)[0], wanted)


A, B = np.ones((2, 3)), np.ones((3, 4))
BAD = [
    ([A.astype(complex), B], {}, TypeError, "a must be an array of float16, float32, float64 or integers, not complex128"),
    ([A, B.astype(bool)], {}, TypeError, "b must be an array of float16, float32, float64 or integers, not bool"),
    ([A.astype(np.longdouble), B], {}, TypeError, "a must be an array of .* not float128"),
    ([[["x"]], B], {}, TypeError, "a must be an array of .* not <U1"),
    ([A[0], B], {}, ValueError, "a must have 2 dimensions, not 1"),
    ([A, B[None]], {}, ValueError, "b must have 2 dimensions, not 3"),
    ([A[:0], B], {}, ValueError, r"a must have at least 1 row and 1 column, not shape \(0, 3\)"),
    ([A, A], {}, ValueError, r"a's columns must equal b's rows \(K\), not 3 and 2"),
    ([A, B], {"partition": 3}, ValueError, "partition must be 1 to 2 slabs, not 3"),
    ([A, B], {"partition": True}, TypeError, "partition must be a number of slabs, not True"),
    ([A, B], {"relu": 1}, TypeError, "relu must be True or False, not 1"),
    ([A, B], {"format": "fp8"}, ValueError, "format must be one of int8, .* not 'fp8'"),
    ([A, B], {"format": "int8:int8:int8"}, ValueError, "format must be one of int8, .* not 'int8:int8:int8'"),
    ([A, B], {"format": "nvfp4"}, ValueError, "format must be one of int8, int4, mxint8, mxfp6, mxfp4, or .*, not 'nvfp4'"),
    ([A, B], {"format": 5}, TypeError, "format must be a name, not 5"),
    ([A, B], {"format": "mxfp4", "precision": 16}, ValueError, "must not be given together, as 'mxfp4' and 16 are"),
    ([A, B], {"precision": [16]}, ValueError, r"precision must be one of 16, 24, not \[16\]"),
    ([A, B], {"result": ["x"]}, ValueError, "result must be one of .*, not"),
    ([A, B], {"saturate": "no"}, TypeError, "saturate must be True or False, not 'no'"),
    ([A, B], {"format": ""}, ValueError, "format must be one of int8, .* not ''"),
    ([A, B], {"precision": 32}, ValueError, "precision must be one of 16, 24, not 32"),
    ([A, B], {"precision": "16"}, ValueError, "precision must be one of 16, 24, not '?16"),
    ([A, B], {"result": "fp64"}, ValueError, "result must be one of int8, .* not 'fp64'"),
    ([A, B], {"rounding": "up"}, ValueError, "rounding must be one of nearest_even, .* not 'up'"),
    ([A, B], {"scale_rule": "even"}, ValueError, "scale_rule must be one of floor, up, not 'even'"),
    ([A, B], {"seed": 1.5}, TypeError, "seed must be an integer, not 1.5"),
    ([A, B], {"seed": -1}, ValueError, "seed must be .* not -1"),
    ([A * np.inf, B], {"precision": 16}, ValueError, "finite"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "keywords", "error", "message"), BAD, ids=[case[3][:40] for case in BAD])
def test_bad_arguments(tiny: Engine, arguments: list, keywords: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny.matmul_float(*arguments, **keywords)


def test_engines_that_cannot() -> None:
    plain = PRESETS["tiny"].plain()
    with (
        Engine(plain, backend="model") as engine,
        pytest.raises(ValueError, match="block_scales of the engine must be true for products of floats, not False"),
    ):
        engine.matmul_float(A, B)
    with Engine(replace(PRESETS["tiny"], accumulator_bits=32), backend="model") as engine:
        product, stats = engine.matmul_float(A, B, precision=24)
        assert stats.error_bound is not None and np.abs(product - np.asarray(A) @ np.asarray(B)).max() <= stats.error_bound
        with pytest.raises(ValueError, match=r"accumulator_bits must be at least 34 for .* int8:int8, not 32"):
            engine.matmul_float(np.ones((1, 2**17)), np.ones((2**17, 1)), format="int8")


def test_operands_of_other_types(tiny: Engine, rng: np.random.Generator) -> None:
    a, b = rng.integers(-9, 9, (3, 5)), rng.normal(size=(5, 4))
    wanted, _ = tiny.matmul_float(a.astype(float), b.astype(np.float16).astype(float))
    same(tiny.matmul_float(a.tolist(), b.astype(np.float16))[0], wanted)
    same(tiny.matmul_float(np.asfortranarray(a.astype(np.int8)), b.astype(np.float16).T[::-1].T[:, ::-1])[0], wanted)
