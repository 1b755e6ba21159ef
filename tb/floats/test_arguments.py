"""Arguments of `matmul_float`: what is taken, and what is wrong with the rest."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from cleave import Engine
from cleave.config import PRESETS
from tb.floats.cases import same

A, B = np.ones((2, 3)), np.ones((3, 4))

BAD = [
    ([A.astype(complex), B], {}, TypeError, "a must be an array of .* float64 or integers, not complex128"),
    ([A, B.astype(bool)], {}, TypeError, "b must be an array of float16, bfloat16, float32, float64 or integers, not bool"),
    ([A.astype(np.longdouble), B], {}, TypeError, "a must be an array of .* not float128"),
    ([np.ones((2, 3), "m8[s]"), B], {}, TypeError, r"a must be an array of .* not timedelta64\[s\]"),
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
    same(tiny.matmul_float(a.astype(ml_dtypes.bfloat16), b.astype(np.float16))[0], wanted)
    same(tiny.matmul_float(a.astype(">i2"), b.astype(np.float16).astype(">f4"), partition=np.uint8(2))[0], wanted)


def test_too_large(tiny: Engine) -> None:
    """Said at once, before hours of work on a program."""
    side = int(len(tiny.memory) ** 0.5)
    a = np.ones((side, 1))
    with pytest.raises(ValueError, match=rf"the problem must fit the backend's memory of {len(tiny.memory)} bytes, not \d+"):
        tiny.matmul_float(a, a.T)
