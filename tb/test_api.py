"""The Python interface on each backend: equal to numpy, rounded by the drain's rule, clear about bad arguments."""

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleave import ArrayConfig, ConfigError, Engine, EngineConfig, EngineError
from cleave.api import Backend
from cleave.config import MAX_CONTRACTION, PRESETS
from cleave.engine.isa import Error
from cleave.numerics.requantise import RECORD, requantise

BACKENDS: tuple[Backend, ...] = ("model", "rtl")
CONFIGS = ("default", "odd", "w4a8")

RANDOM = np.random.default_rng(11)


@pytest.fixture(scope="module", params=[(name, backend) for backend in BACKENDS for name in CONFIGS], ids="-".join)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    name, backend = request.param
    with Engine(name, backend=backend) as built:
        yield built


@pytest.fixture(scope="module", params=BACKENDS)
def tiny(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Engine("tiny", backend=request.param) as built:
        yield built


def operands(m: int, k: int, n: int, random: np.random.Generator = RANDOM) -> tuple[np.ndarray, np.ndarray]:
    return random.integers(-128, 128, (m, k), np.int8), random.integers(-128, 128, (k, n), np.int8)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(m=st.integers(1, 200), k=st.integers(1, 200), n=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_matmul_equals_numpy(engine: Engine, m: int, k: int, n: int, seed: int) -> None:
    a, b = operands(m, k, n, np.random.default_rng(seed))
    product, stats = engine.matmul(a, b)
    assert product.dtype == np.int32
    np.testing.assert_array_equal(product, a.astype(np.int64) @ b.astype(np.int64))
    assert stats.useful_macs == m * k * n
    assert stats.partition in range(1, engine.config.array.slabs + 1)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(m=st.integers(1, 90), k=st.integers(1, 90), n=st.integers(1, 120), seed=st.integers(0, 2**32))
def test_int4_equals_numpy(engine: Engine, m: int, k: int, n: int, seed: int) -> None:
    """Pairs of INT4 in the bytes of an array with two lanes, and single ones elsewhere, raw and requantised."""
    random = np.random.default_rng(seed)
    a, b = random.integers(-128, 128, (m, k), np.int8), random.integers(-8, 8, (k, n), np.int8)
    partition = int(random.integers(1, engine.config.array.slabs + 1))
    exact = a.astype(np.int64) @ b
    product, stats = engine.matmul(a, b.astype(ml_dtypes.int4), partition=partition)
    assert product.dtype == np.int32 and stats.useful_macs == m * k * n
    np.testing.assert_array_equal(product, exact)
    bias = random.integers(-500, 500, n)
    product, _ = engine.matmul(a, b.astype(ml_dtypes.int4), bias=bias, scale=2.0**-5)
    np.testing.assert_array_equal(product, np.clip(np.rint((exact + bias) / 32), -128, 127))


def test_two_lanes_take_half_the_cycles() -> None:
    a, b = operands(64, 128, 128)
    b = (b >> 4).astype(ml_dtypes.int4)
    with Engine("w4a8") as engine:
        _, pairs = engine.matmul(a, b)
        _, single = engine.matmul(a, b.astype(np.int8))
    assert pairs.useful_macs == single.useful_macs
    assert pairs.streaming is not None and single.streaming == 2 * pairs.streaming


def test_every_partition_gives_the_same_bits(engine: Engine) -> None:
    a, b = operands(19, 45, 37)
    for partition in range(1, engine.config.array.slabs + 1):
        product, stats = engine.matmul(a, b, partition=partition)
        np.testing.assert_array_equal(product, a.astype(np.int64) @ b.astype(np.int64))
        assert stats.partition == partition


def test_statistics(tiny: Engine) -> None:
    _, stats = tiny.matmul(*operands(8, 16, 12))
    values = stats.as_dict()
    assert values["useful_macs"] == 8 * 16 * 12
    if tiny.backend == "model":
        assert values["cycles"] is values["utilisation"] is values["stall_cycles"] is None
        return
    slabs, macs = tiny.config.array.slabs, tiny.config.array.macs
    assert values["array_cycles"] <= values["cycles"]
    assert values["macs_per_cycle"] == pytest.approx(values["useful_macs"] / values["cycles"])
    assert values["utilisation"] == pytest.approx(values["useful_macs"] / values["cycles"] / macs)
    assert 0 < values["utilisation"] <= values["array_utilisation"] <= 1
    assert values["streaming"] + sum(values["stall_cycles"].values()) == slabs * values["cycles"]


def test_requantised(tiny: Engine) -> None:
    a, b = operands(7, 20, 9)
    sums = (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32)
    bias = RANDOM.integers(-20000, 20000, 9)
    result, _ = tiny.matmul(a, b, bias=bias, scale=2**-9)
    expected = np.clip(np.rint((sums + bias) / 512), -128, 127)
    assert result.dtype == np.int8
    np.testing.assert_array_equal(result, expected)
    result, _ = tiny.matmul(a, b, bias=bias, scale=np.full(9, 2**-9), relu=True)
    np.testing.assert_array_equal(result, np.maximum(expected, 0))
    records = np.zeros(9, RECORD)
    records["bias"], records["multiplier"], records["shift"] = bias, np.arange(1, 10), 12
    result, _ = tiny.matmul(a, b, scale=records)
    np.testing.assert_array_equal(result, requantise(sums, records, relu=False))


def test_only_six_bits_of_a_shift_count(tiny: Engine) -> None:
    a, b = operands(5, 9, 6)
    sums = a.astype(np.int64) @ b.astype(np.int64)
    records = np.zeros(6, RECORD)
    records["bias"], records["multiplier"], records["shift"] = 2**20, 65535, [64, 65535, 64 + 20, 63, 0, 128 + 33]
    result, _ = tiny.matmul(a, b, scale=records)
    exact = (sums + 2**20) * 65535 / 2.0 ** (records["shift"] % 64)
    np.testing.assert_array_equal(result, np.clip(np.rint(exact), -128, 127))


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array])
def test_parts_of_any_kind(tiny: Engine, kind: Callable[[list[int]], Any], rng: np.random.Generator) -> None:
    """Also an iterator, which can be read but once."""
    parts = [1, 0, 3]
    a, b = rng.integers(-128, 128, (4, 3), np.int8), rng.integers(-128, 128, (3, 3, 5), np.int8)
    expected = np.concatenate([a[:1].astype(int) @ b[0], a[1:].astype(int) @ b[2]])
    np.testing.assert_array_equal(tiny.matmul(a, b, parts=kind(parts))[0], expected)
    with pytest.raises(ValueError, match="a must have 2 dimensions, not 0"):
        tiny.matmul(np.array(3, np.int8), b, parts=kind(parts))


def test_transposed_and_read_only_operands(tiny: Engine) -> None:
    a, b = operands(6, 5, 4)
    a, b = np.asfortranarray(a), b[:, ::-1]
    a.flags.writeable = False
    np.testing.assert_array_equal(tiny.matmul(a, b)[0], a.astype(int) @ b.astype(int))


def test_results_are_independent(tiny: Engine) -> None:
    first, _ = tiny.matmul(*operands(4, 4, 4))
    kept = first.copy()
    tiny.matmul(*operands(4, 4, 4))
    np.testing.assert_array_equal(first, kept)


def test_an_error_of_the_engine_and_the_run_after_it(tiny: Engine) -> None:
    tiny.memory[:32] = 0
    with pytest.raises(EngineError) as caught:
        tiny.run(0, 1)
    assert (caught.value.code, caught.value.index) == (Error.ILLEGAL_INSTRUCTION, 0)
    a, b = operands(5, 6, 7)
    np.testing.assert_array_equal(tiny.matmul(a, b)[0], a.astype(int) @ b.astype(int))


A, B = np.ones((2, 3), np.int8), np.ones((3, 4), np.int8)
BAD = [
    ([A.astype(np.int16), B], {}, TypeError, "a must be an int8 or int4 array, not int16 array"),
    ([A, B.astype(float)], {}, TypeError, "b must be an int8 or int4 array, not float64 array"),
    ([A.tolist(), B], {}, TypeError, "a must be an int8 or int4 array, not list"),
    ([A[0], B], {}, ValueError, "a must have 2 dimensions, not 1"),
    ([A, B[None]], {}, ValueError, "b must have 2 dimensions, not 3"),
    ([A[:0], B], {}, ValueError, r"a must have at least 1 row and 1 column, not shape \(0, 3\)"),
    ([A, A], {}, ValueError, r"a's columns must equal b's rows \(K\), not 3 and 2"),
    ([A, B], {"partition": 3}, ValueError, "partition must be 1 to 2 slabs, not 3"),
    ([A, B], {"bias": [1, 2, 3, 4]}, ValueError, "bias must be given with scale"),
    ([A, B], {"relu": True}, ValueError, "relu must be given with scale"),
    ([A, B], {"scale": 0.0}, ValueError, "scale must be above 0"),
    ([A, B], {"scale": 1e-30}, ValueError, "scale must be at least"),
    ([A, B], {"partition": True}, TypeError, "partition must be a number of slabs, not True"),
    ([A, B], {"partition": 1.5}, TypeError, "partition must be a number of slabs, not 1.5"),
    ([A, B], {"scale": 1.0, "relu": "no"}, TypeError, "relu must be True or False, not 'no'"),
    ([A, B], {"scale": [1.0, 2.0]}, ValueError, r"scale must be one number or 4, one per column, not shape \(2,\)"),
    ([A, B], {"scale": 1.0, "bias": [1, 2]}, ValueError, r"bias must have 4 values, one per column, not shape \(2,\)"),
    ([A, B], {"scale": 1.0, "bias": [0.5] * 4}, TypeError, "bias must be integers, not float64"),
    ([A, B], {"scale": 1.0, "bias": [2**31] * 4}, ValueError, "bias must be -2147483648 to 2147483647"),
    ([A, B], {"scale": np.zeros(3, RECORD)}, ValueError, "scale must have 4 records"),
    ([A, B], {"scale": np.zeros(4, RECORD), "bias": [1] * 4}, ValueError, "no bias beside it"),
    ([np.ones((1, MAX_CONTRACTION + 1), np.int8), np.ones((MAX_CONTRACTION + 1, 1), np.int8)], {}, ValueError,
     "K must be at most 131071"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "keywords", "error", "message"), BAD, ids=[case[3][:40] for case in BAD])
def test_bad_arguments(tiny: Engine, arguments: list, keywords: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny.matmul(*arguments, **keywords)


def test_configurations() -> None:
    array = ArrayConfig(slabs=2, rows=4, columns=3, dot=2)
    assert Engine(array, backend="model").config == EngineConfig(array=array)
    assert Engine(PRESETS["odd"], backend="model").config == Engine("odd", backend="model").config
    with pytest.raises(ConfigError, match="config must be one of tiny"):
        Engine("huge", backend="model")
    with pytest.raises(ValueError, match="backend must be one of rtl, model, not 'board'"):
        Engine("tiny", backend="board")  # pyright: ignore[reportArgumentType]


def test_a_problem_that_does_not_fit_the_memory() -> None:
    with (
        Engine("tiny", backend="model", memory_bytes=1000) as engine,
        pytest.raises(ValueError, match="memory of 1000 bytes"),
    ):
        engine.matmul(*operands(30, 30, 30))


def test_a_closed_engine_says_so() -> None:
    engine = Engine("tiny", backend="rtl")
    engine.close()
    with pytest.raises(ValueError, match="must be open, not closed"):
        engine.matmul(A, B)
