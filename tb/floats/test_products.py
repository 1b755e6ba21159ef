"""Products of floats through whole engines: bit for bit what docs/numerics.md says, by a reference of its own."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleave import ArrayConfig, Engine, EngineConfig
from cleave.compile.floats import RESULTS, ROUNDINGS
from cleave.config import PRESETS
from cleave.numerics.accumulate import accumulate
from cleave.numerics.formats import parse_operands
from cleave.numerics.quantise import quantise
from tb.floats.cases import CONFIGS, KINDS, LEAST, MOST, PAIRS, SHAPES, check, operands, same
from tb.numerics.scaled_products import OPERANDS, product


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
            held = accumulate(left, right, config.accumulator_bits, config.array.rows, config.array.product_bits)
            wanted = np.ldexp(held.integers.astype(float), held.exponents).astype(np.float32)
            same(engine.matmul_float(a, b, format=pair)[0], wanted)
