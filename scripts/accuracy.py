#!/usr/bin/env python3
"""What every format loses on random and real data, in all and in the sums alone, beside FP32 sums.

Writes docs/accuracy.md, and the table of errors in docs/results.md.

Errors are relative, in the Frobenius norm: of a whole product against float64 of the operands that are not quantised yet, and
of its sums alone against float64 of the quantised ones. FP32 sums add the same quantised operands' products one after
another, each sum rounded once, as fused multiply-adds do. All products run through the engine's bit-exact model.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numbers_table import ACCURACY, Row, record
from numpy.typing import NDArray

from cleave import ArrayConfig, Engine, EngineConfig
from cleave.numerics.formats import parse_operands
from cleave.numerics.quantise import quantise
from cleave.numerics.slices import PRECISIONS, split

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
MODEL = ROOT.parent / "shared" / "models" / "stories260K.bin"

CONFIG = EngineConfig(ArrayConfig(slabs=4, rows=32, columns=32, dot=8), axi_data_width=512)
SEED, SIZE, LENGTH = 1, 32, 4096
SUMMARY = ("Gaussian", "Student t, 2 degrees", "weights, activations")
"""Data of the table in docs/results.md."""
FORMATS = ("int8", "int4", "mxint8", "mxfp6", "mxfp4", "mxint8:mxfp4", *PRECISIONS)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Relative errors of one product in one format, ours and with FP32 sums, in all and of the sums alone.

    `float32` is the error of the same product in float32 throughout, `within_bound` whether ours is within `Stats.error_bound`,
    and `elements` the errors of all elements that are not 0, by the sums they were made with: [2, element], relative to float64 and
    to the sum of the magnitudes of the element's terms.
    """

    data: str
    format: str
    ours: float
    fp32: float
    our_sums: float
    fp32_sums: float
    float32: float
    within_bound: bool | None
    elements: dict[str, NDArray[np.float32]] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Give the errors of the product, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "elements"}


@dataclass(frozen=True)
class Transformer:
    """A Llama in llama2.c's version 0 format; matrices are [layer, out, in]."""

    embedding: Matrix
    attention_norm: Matrix
    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix
    feed_norm: Matrix
    gate: Matrix
    down: Matrix
    up: Matrix
    final_norm: Matrix

    def products(self) -> Iterator[tuple[Matrix, Matrix]]:
        """Give each matrix, transposed, after what it multiplies when every token of the vocabulary stands alone.

        A token without others is attended to by itself: its values are what attention gives.
        """
        x = self.embedding
        repeats = self.query.shape[1] // self.value.shape[1]
        size = self.query.shape[1] // HEADS
        for layer in range(len(self.query)):
            entry = normalised(x, self.attention_norm[layer])
            for matrix in (self.query, self.key, self.value):
                yield entry, matrix[layer].T
            values = (entry @ self.value[layer].T).reshape(len(x), -1, size).repeat(repeats, 1).reshape(len(x), -1)
            yield values, self.output[layer].T
            x = x + values @ self.output[layer].T
            entry = normalised(x, self.feed_norm[layer])
            gate = entry @ self.gate[layer].T
            hidden = gate / (1 + np.exp(-gate)) * (entry @ self.up[layer].T)
            yield entry, self.gate[layer].T
            yield entry, self.up[layer].T
            yield hidden, self.down[layer].T
            x = x + hidden @ self.down[layer].T
        yield normalised(x, self.final_norm[0]), self.embedding.T


HEADS = 8


def normalised(x: Matrix, weight: Matrix) -> Matrix:
    """Divide each row by its root mean square."""
    return x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * weight


def read(path: Path) -> Transformer:
    """Read a checkpoint."""
    data = path.read_bytes()
    dim, hidden, layers, heads, key_heads, tokens, _ = np.frombuffer(data, "<i4", 7).tolist()
    assert heads == HEADS
    values = iter(np.frombuffer(data, "<f4", offset=28).astype(float))
    keys = dim * key_heads // heads
    shapes = [(tokens, dim), (layers, dim), (layers, dim, dim), (layers, keys, dim), (layers, keys, dim), (layers, dim, dim),
              (layers, dim), (layers, hidden, dim), (layers, dim, hidden), (layers, hidden, dim), (1, dim)]  # fmt: skip
    return Transformer(*(np.fromiter(values, float, int(np.prod(shape))).reshape(shape) for shape in shapes))


def data() -> Iterator[tuple[str, Matrix, Matrix]]:
    """Give all products: what of, a[M, K] and b[K, N]."""
    rng = np.random.default_rng(SEED)
    shapes = (SIZE, LENGTH), (LENGTH, SIZE)
    yield "Gaussian", rng.normal(size=shapes[0]), rng.normal(size=shapes[1])
    yield "Student t, 2 degrees", rng.standard_t(2, shapes[0]), rng.standard_t(2, shapes[1])
    yield "Cauchy", rng.standard_cauchy(shapes[0]), rng.standard_cauchy(shapes[1])
    if not MODEL.exists():
        print(f"skipped: the columns of weights, as there is no {MODEL.name}", file=sys.stderr)
        return
    products = list(read(MODEL).products())
    for _, weights in products:
        yield "weights, Gaussian", rng.normal(size=(SIZE, len(weights))), weights
    for activations, weights in products:
        yield "weights, activations", activations, weights


def operands(a: Matrix, b: Matrix, name: str | int) -> tuple[Matrix, Matrix]:
    """Give what a product's operands are after quantisation."""
    if isinstance(name, int):
        count = PRECISIONS[name]
        slices = split(a, count, 1), split(b, count, 0)
        units = [np.tensordot(256.0 ** np.arange(count)[::-1], sliced.slices.astype(float), 1) for sliced in slices]
        exponents = slices[0].exponents[:, None], slices[1].exponents
        left, right = (np.ldexp(unit, e - 8 * count + 1) for unit, e in zip(units, exponents, strict=True))
        return left, right
    moving, stationary = parse_operands(name)
    return quantise(a, moving, 1).dequantise(), quantise(b, stationary, 0).dequantise()


def fp32_sums(a: Matrix, b: Matrix) -> NDArray[np.float32]:
    """Multiply with a float32 sum, rounded after each product."""
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for column, row in zip(a.T, b, strict=True):
        total = (total + np.outer(column, row)).astype(np.float32)
    return total


def relative(found: NDArray, wanted: Matrix) -> float:
    """Give the relative error in the Frobenius norm."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def element_errors(found: NDArray, wanted: Matrix, terms: Matrix) -> NDArray[np.float32]:
    """Give the errors of the elements that are not 0 over their magnitude, and over the sum of their terms' magnitudes."""
    kept = wanted != 0
    errors = np.abs(found - wanted)[kept]
    return np.stack([errors / np.abs(wanted)[kept], errors / terms[kept]]).astype(np.float32)


def measure(engine: Engine, what: str, a: Matrix, b: Matrix) -> Iterator[Errors]:
    """Measure one product in every format."""
    exact, terms = a @ b, np.abs(a) @ np.abs(b)
    float32 = fp32_sums(a.astype(np.float32).astype(float), b.astype(np.float32).astype(float))
    for name in FORMATS:
        left, right = operands(a, b, name)
        if isinstance(name, int):
            ours, stats = engine.matmul_float(a, b, precision=name)
        else:
            ours, stats = engine.matmul_float(a, b, format=name)
        within = None if stats.error_bound is None else bool(np.abs(ours - exact).max() <= stats.error_bound)
        fp32, sums = fp32_sums(left, right), left @ right
        errors = relative(ours, exact), relative(fp32, exact), relative(ours, sums), relative(fp32, sums)
        found = {"ours": ours, "FP32": fp32, "float32": float32}
        elements = {of: element_errors(result, exact, terms) for of, result in found.items()}
        label = f"{name} bits" if isinstance(name, int) else name
        yield Errors(what, label, *errors, relative(float32, exact), within, elements)


def mean(values: list[float]) -> str:
    """Write the root mean square."""
    value = float(np.sqrt(np.mean(np.square(values))))
    return f"{value:.2e}" if value else "0"


def table(results: list[Errors], fields: dict[str, str]) -> str:
    """Write a table of errors: for every format a row of each of the fields, which the sums' names are given with."""
    columns = list(dict.fromkeys(result.data for result in results))
    lines = [f"| format | sums | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name in dict.fromkeys(result.format for result in results):
        for sums, attribute in fields.items():
            cells = [
                mean([getattr(result, attribute) for result in results if (result.format, result.data) == (name, column)])
                for column in columns
            ]
            lines.append(f"| {name} | {sums} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def summary(results: list[Errors]) -> list[Row]:
    """Give the rows of the table in docs/results.md: median and worst error of the elements, and the worst over their terms."""
    formats = list(dict.fromkeys(result.format for result in results))
    named = [(name, name, sums) for name in formats for sums in ("ours", "FP32")] + [("float32", formats[0], "float32")]
    rows = []
    for label, name, sums in named:
        cells = []
        for data in SUMMARY:
            errors = [result.elements[sums] for result in results if (result.format, result.data) == (name, data)]
            relative_to_itself, to_terms = np.concatenate(errors, axis=1) if errors else np.full((2, 1), np.nan)
            cells += [f"{value:.1e}" for value in (np.median(relative_to_itself), relative_to_itself.max(), to_terms.max())]
        rows.append((label, "FP32" if sums == "float32" else sums, *cells))
    return rows


def verdict(results: list[Errors], which: str) -> str:
    """Say where our sums lose more than FP32's."""
    lost = [result for result in results if result.our_sums > result.fp32_sums]
    fine = len(results) - len(lost)
    counts = f"Errors of our sums are no larger than those of FP32's in {fine} of {len(results)} products {which}"
    if not lost:
        return counts + ".\n"
    lines = [counts + ". They are larger here:\n"]
    lines += ["| format | data | products | by a factor of, at most |", "|---|---|---|---|"]
    for key in dict.fromkeys((result.format, result.data) for result in lost):
        these = [result for result in lost if (result.format, result.data) == key]
        every = sum((result.format, result.data) == key for result in results)
        worst = max(result.our_sums / result.fp32_sums if result.fp32_sums else np.inf for result in these)
        lines.append(f"| {key[0]} | {key[1]} | {len(these)} of {every} | {worst:.3g} |")
    return "\n".join(lines) + "\n"


def text(*sentences: str) -> str:
    """Write a paragraph."""
    return textwrap.fill(" ".join(sentences), 130) + "\n"


def page(results: list[Errors]) -> str:
    """Write docs/accuracy.md."""
    array = CONFIG.array
    bounded = [result.within_bound for result in results if result.within_bound is not None]
    real = (
        "Weights are all matrices of a Llama of 260 thousand parameters, trained on TinyStories (K = 64 and 172), once with "
        f"{SIZE} rows of Gaussian activations, once with the model's own, of each of its 512 tokens alone; given is the root mean "
        "square over these products."
        if any("weights" in result.data for result in results)
        else "The columns of weights were skipped, as the model's file was not there."
    )
    in_all = table(results, {"ours": "ours", "FP32": "fp32"})
    float32 = table([replace(result, format="float32") for result in results], {"FP32": "float32"}).splitlines()[-1]
    return "\n".join([
        "<!-- Written by `make accuracy`. -->",
        "# Accuracy",
        "",
        text(
            "What a float product loses, from quantisation to its FP32 result. Errors are relative, in the Frobenius norm.",
            f"Measured with the bit-exact model of an engine of {array.slabs} slabs of {array.rows} rows and {array.columns}",
            f"columns, with {CONFIG.accumulator_bits}-bit accumulators. Engines with as many rows and bits give the same; with",
            "fewer rows, blocks are cut, and each part is shifted alone.",
        ),
        text(f"Random operands are {SIZE} x {LENGTH} and {LENGTH} x {SIZE}, by numpy's `default_rng({SEED})`.", real),
        text(
            "FP32 sums add the same quantised operands' products one after another in float32, each sum rounded once (fused "
            "multiply-adds). Scales follow OCP's rule (`floor`). Pairs of formats are MOVING:STATIONARY; 16 and 24 bits are INT8 "
            "slices."
        ),
        "## In all",
        "",
        "Against float64 of the operands as they are before quantisation. The last row is float32 throughout.",
        "",
        in_all + float32,
        "",
        "## Of the sums alone",
        "",
        text("Against float64 of the quantised operands: what accumulators drop, and the last rounding loses."),
        table(results, {"ours": "our_sums", "FP32": "fp32_sums"}),
        verdict([result for result in results if result.within_bound is None], "of the formats with scales"),
        verdict([result for result in results if result.within_bound is not None], "of slices"),
        text(f"`error_bound` of slices held in {sum(bounded)} of {len(bounded)} products."),
    ])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the results here, too")
    arguments = parser.parse_args()
    with Engine(CONFIG, backend="model") as engine:
        results = [result for product in data() for result in measure(engine, *product)]
    if arguments.json:
        arguments.json.write_text(json.dumps([result.as_dict() for result in results], indent=2) + "\n")
    PAGE.write_text(page(results))
    record(ACCURACY, summary(results))
    print(f"{PAGE.relative_to(ROOT)}: {len(results)} results")


if __name__ == "__main__":
    main()
