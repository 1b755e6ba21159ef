"""Causality of attention: scales shared along tokens let the future change the past; the recipe of docs/attention.md does not."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave import ArrayConfig, Engine, EngineConfig
from cleave.numerics.accumulate import accumulate
from cleave.numerics.formats import OPERANDS, parse_operands
from cleave.numerics.quantise import ScaleRule, quantise

BLOCK, TOKENS, SIZE = 32, 84, 40

Matrix = NDArray[np.float64]
Product = Callable[[Matrix, Matrix, str], Matrix]
"""A product of floats: moving, stationary, formats."""


def numerics(terms: int) -> Product:
    """The product as slabs of so many rows make it."""
    def product(a: Matrix, b: Matrix, formats: str) -> Matrix:
        moving, stationary = parse_operands(formats)
        sums = accumulate(quantise(a, moving, 1), quantise(b, stationary, 0), 48, terms, 21)
        return np.ldexp(sums.integers.astype(float), sums.exponents).astype(np.float32).astype(float)
    return product


def of_engine(engine: Engine) -> Product:
    return lambda a, b, formats: engine.matmul_float(a, b, format=formats)[0].astype(float)


def probabilities(q: Matrix, k: Matrix, product: Product, masked: float = -np.inf) -> Matrix:
    """Softmax of the scores of tokens up to each one's own."""
    scores = product(q, k.T, "mxint8") / np.sqrt(q.shape[1])
    scores = np.where(np.tri(len(q), len(k), len(k) - len(q), dtype=bool), scores, masked)
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def leaky(q: Matrix, k: Matrix, v: Matrix, product: Product, formats: str = "mxint8") -> Matrix:
    """Attention as one would write it down."""
    return product(probabilities(q, k, product), v, formats)


def causal(q: Matrix, k: Matrix, v: Matrix, product: Product) -> Matrix:
    """Attention of the last len(q) tokens, by the recipe."""
    p = probabilities(q, k, product)
    tokens = quantise(v, OPERANDS["int8"], 1, ScaleRule.UP)  # a scale for each token, and no element of -128
    folded = p * np.ldexp(1.0, tokens.exponents[:, 0])
    integers = tokens.integers.astype(float)
    output = np.zeros((len(q), v.shape[1]), np.float32)
    first = len(k) - len(q)
    edges = sorted({first, *range(-(-first // BLOCK) * BLOCK, len(k), BLOCK), len(k)})
    for start, stop in pairwise(edges):
        rows, past = slice(start - first, stop - first), start // BLOCK * BLOCK
        for part in (slice(0, past), slice(past, stop)):
            if part.stop > part.start:
                output[rows] += product(folded[rows, part], integers[part], "mxint8:int8").astype(np.float32)
    return output.astype(float)


def inputs(rng: np.random.Generator) -> tuple[Matrix, Matrix, Matrix]:
    """Queries, keys and values whose sizes differ between tokens and channels."""
    q, k, v = rng.normal(size=(3, TOKENS, SIZE))
    return q, k * 2.0 ** rng.integers(-2, 3, (TOKENS, 1)), v * np.exp2(rng.normal(0, 2, (TOKENS, 1)) + rng.normal(0, 1, SIZE))


def changed_after(rng: np.random.Generator, token: int, matrices: tuple[Matrix, ...], factor: float) -> list[Matrix]:
    """Make everything behind a token different."""
    changed = [matrix.copy() for matrix in matrices]
    for matrix in changed:
        matrix[token + 1 :] = rng.normal(size=matrix[token + 1 :].shape) * factor
    return changed


@pytest.fixture(scope="module", params=[32, 8], ids=lambda rows: f"{rows} rows")
def products(request: pytest.FixtureRequest) -> Iterator[tuple[Product, Product]]:
    """The product by `numerics`, and by an engine of the same rows."""
    config = EngineConfig(ArrayConfig(slabs=3, rows=request.param, columns=16, dot=4))
    assert config.accumulator_bits == 48
    with Engine(config, backend="model") as engine:
        yield numerics(request.param), of_engine(engine)


@pytest.mark.parametrize("formats", ["mxint8", "mxfp4", "mxint8:int8", "int8"])
def test_scales_along_tokens_leak(formats: str, rng: np.random.Generator) -> None:
    """A token in the same block as an earlier one, or with one scale anywhere, changes its output, though its probability is 0."""
    q, k, v = inputs(rng)
    product = numerics(32)
    before = leaky(q, k, v, product, formats)
    louder = v.copy()
    louder[60] *= 1000
    after = leaky(q, k, louder, product, formats)
    assert not np.array_equal(before[59], after[59])
    if formats.endswith(":int8") or formats == "int8":
        assert not np.array_equal(before[:32], after[:32])


def test_anchors_leak(rng: np.random.Generator) -> None:
    """A block that is all future, and has a scale of its own, still raises its column's anchor: bits of the past are dropped."""
    p = np.zeros((1, 64))
    p[0, :32] = rng.random(32)
    v = rng.normal(size=(64, 1))
    louder = v.copy()
    louder[32:] *= 2.0**40
    product = numerics(32)
    assert not np.array_equal(product(p, v, "mxint8"), product(p, louder, "mxint8"))
    assert np.array_equal(product(p[:, :32], v[:32], "mxint8"), product(p[:, :32], louder[:32], "mxint8"))


def test_quantised_rows_of_scores_leak(rng: np.random.Generator) -> None:
    """Scores that are stored in blocks before they are masked have scales that know the future."""
    q, k, _ = inputs(rng)
    scores = numerics(32)(q, k.T, "mxint8")
    k[60] *= 1000
    after = numerics(32)(q, k.T, "mxint8")
    assert np.array_equal(scores[:, :60], after[:, :60])
    stored, stored_after = (quantise(matrix, OPERANDS["mxint8"], 1).dequantise() for matrix in (scores, after))
    assert not np.array_equal(stored[59, :60], stored_after[59, :60])


@pytest.mark.parametrize("factor", [1.0, 1e-9, 1e9])
def test_the_recipe_does_not_leak(products: tuple[Product, Product], factor: float, rng: np.random.Generator) -> None:
    """Whatever comes behind a token, the outputs up to it have the same bits."""
    q, k, v = inputs(rng)
    before = causal(q, k, v, products[0])
    for token in (0, 5, 30, 31, 32, 50, 63, 64, TOKENS - 2):
        after = causal(*changed_after(rng, token, (q, k, v), factor), products[0])
        assert np.array_equal(before[: token + 1], after[: token + 1])
        assert not np.array_equal(before[token + 1 :], after[token + 1 :])


def test_one_token_after_the_other(products: tuple[Product, Product], rng: np.random.Generator) -> None:
    """Token by token, or some at a time, over a growing cache: the bits of the whole, from the engine as from `numerics`."""
    q, k, v = inputs(rng)
    whole = causal(q, k, v, products[1])
    assert np.array_equal(whole, causal(q, k, v, products[0]))
    for start, stop in [*((i, i + 1) for i in (0, 1, 31, 32, 33, 62, 63, 64, 83)), (20, 70), (40, 50)]:
        part = causal(q[start:stop], k[:stop], v[:stop], products[1])
        assert np.array_equal(part, whole[start:stop])


@pytest.mark.parametrize("octaves", [0, 1, 2])
def test_what_the_recipe_costs(octaves: int, rng: np.random.Generator) -> None:
    """Values whose sizes differ from token to token: never twice as bad as scales along tokens."""
    q, k, v = rng.normal(size=(3, 256, 64))
    v *= np.exp2(rng.normal(0, octaves, (len(v), 1)))
    exact = leaky(q, k, v, lambda a, b, _: a @ b)
    found = [leaky(q, k, v, numerics(32)), causal(q, k, v, numerics(32))]
    errors = [float(np.linalg.norm(matrix - exact) / np.linalg.norm(exact)) for matrix in found]
    print("relative errors: along tokens {:.2e}, by the recipe {:.2e}".format(*errors))
    assert errors[1] < 2 * errors[0] and errors[1] < 0.03
