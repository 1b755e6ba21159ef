"""Results in blocks with shared scales: against gfloat, and as the moving operand of the next product without leaving memory."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleave import ArrayConfig, Engine, EngineConfig
from cleave.api import Backend
from cleave.compile.floats import BLOCK_RESULTS, ROUNDINGS, prepare
from cleave.compile.gemm import compile_gemm
from cleave.compile.layout import side_by_side
from cleave.compile.problem import Problem, Scaling
from cleave.compile.program import Program
from cleave.config import BLOCK
from cleave.engine.isa import INSTRUCTION_BYTES, Destination, Output
from cleave.numerics.drain import ROUND_RECORD, block_row_bytes
from cleave.numerics.formats import E2M1, E2M3, ELEMENTS, FP32, INT8, OPERANDS, TARGETS, Format, Operand
from cleave.numerics.quantise import Quantised, ScaleRule, quantise
from tb.engine.rounded_reference import quantised
from tb.floats.cases import operands
from tb.numerics.references import exact, powers
from tb.numerics.scaled_products import product

WIDE = EngineConfig(ArrayConfig(slabs=2, rows=32, columns=40, dot=8), moving_depth=64, stationary_depth=80)
"""An array whose slabs have as many rows as a block has elements, and whose columns end in a short block."""


@pytest.mark.parametrize("result", BLOCK_RESULTS)
def test_against_the_definition(engine: Engine, result: str, rng: np.random.Generator) -> None:
    """Every rounding mode and rule on every kind of data, with NaNs, at every partition; columns end in the middle of a block."""
    array, element = engine.config.array, BLOCK_RESULTS[result].element
    for number, (rounding, mode) in enumerate(ROUNDINGS.items()):
        rule, relu, kind = ("floor", "up")[number % 2], number > 1, ("near", "tails", "corners", "anywhere")[number]
        a, b = operands(rng, kind, 9, 40, 2 * array.columns + 3)
        a[4, 1] = np.nan
        records, _ = prepare(a, b, engine.config, format="mxfp6:mxfp4", rule=rule)
        random = (records.rows["random"][:, None] ^ records.columns["random"]).astype(np.int64)
        values = product(a, b, "mxfp6:mxfp4", array.rows, rule=rule).values
        values = np.where(values < 0, 0, values) if relu else values
        codes, scales = quantised(values, random, element, mode, scale_up=rule == "up", block=min(32, array.columns))
        for partition in range(1, array.slabs + 1):
            found, stats = engine.matmul_float(
                a, b, format="mxfp6:mxfp4", result=result, rounding=rounding, scale_rule=rule, relu=relu, partition=partition,
            )  # fmt: skip
            np.testing.assert_array_equal(found.scales, scales)
            np.testing.assert_array_equal(found.codes, codes)
            assert stats.useful_macs == 9 * 40 * (2 * array.columns + 3)


@pytest.mark.parametrize("columns", [32, 48, 64])
def test_blocks_of_32(columns: int, rng: np.random.Generator) -> None:
    """The codes are those of MX where the array's columns are whole blocks, and values come back as they should."""
    with Engine(ArrayConfig(slabs=2, rows=4, columns=columns), backend="model") as engine:
        n = 48 if columns == 48 else 150
        a, b = operands(rng, "gaussian", 20, 70, n)
        product_, _ = engine.matmul_float(a, b, result="mxfp4")
        fp32, _ = engine.matmul_float(a, b)
        wanted = quantise(fp32.astype(float), OPERANDS["mxfp4"], 1)
        assert product_.operand == OPERANDS["mxfp4"]
        np.testing.assert_array_equal(product_.codes, wanted.codes)
        np.testing.assert_array_equal(product_.scales, wanted.scales)
        np.testing.assert_array_equal(product_.dequantise(), wanted.dequantise())
        if columns == 48:
            with pytest.raises(ValueError, match=r"columns of the array must be a multiple of 32, or .* N \(49\), .* not 48"):
                engine.matmul_float(a[:, :1], np.ones((1, 49)), result="mxfp4")


def write(memory: NDArray[np.uint8], offset: int, *parts: NDArray[Any]) -> list[int]:
    """Write arrays behind each other, each from a multiple of 64 bytes on; say where each one is, and where the last one ends."""
    places = []
    for part in parts:
        data = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        places.append(-(-offset // 64) * 64)
        offset = places[-1] + len(data)
        memory[places[-1] : offset] = data
    return [*places, offset]


@pytest.mark.parametrize(("backend", "element"), [("model", E2M1), ("model", E2M3), ("rtl", INT8), ("rtl", E2M1)])
def test_a_result_is_the_next_operand(backend: Backend, element: Format, rng: np.random.Generator) -> None:
    """X = A B in blocks, then X C by a program that reads X where the first one wrote it; the host only chose X's anchors."""
    m, k, n, p = 11, 64, 40, 21
    a, b, c = rng.normal(size=(m, k)) * np.exp2(rng.integers(-9, 9, (m, 1))), rng.normal(size=(k, n)), rng.normal(size=(n, p))
    with Engine(WIDE, backend=backend) as engine:
        # X, under anchors that no block can reach.
        scaled, _ = prepare(a, b, WIDE)
        anchors = np.log2(np.abs(a).max(1) * np.abs(b).max() * k).astype(int) + 2 + 127
        scaled.rows["anchor"] = anchors
        given = scaled.elements, scaled.row_scales is not None, scaled.shift, scaled.widths
        first = compile_gemm(Problem(m, k, n, scaling=Scaling(*given, element, block_rule=ScaleRule.UP)), WIDE)
        first.place(engine.memory, scaled.moving, scaled.stationary, scaled.columns, scaled)
        engine.run(first.start, len(first.program) // INSTRUCTION_BYTES)
        x = Quantised(Operand("", element, BLOCK), *first.layout.unpack_blocks(engine.memory), axis=1)
        assert (x.scales < anchors[:, None]).all() and (x.scales[:, 0] != x.scales[:, 1]).any()

        # X C: a pass on both slabs.
        weights, fraction = quantise(c, OPERANDS["mxint8"], 0), 12
        tops = weights.scales.max(0, keepdims=True)
        of_rows, of_columns = np.zeros(m, ROUND_RECORD), np.zeros(p, ROUND_RECORD)
        of_rows["exponent"] = anchors - 127
        of_columns["exponent"] = tops[0].astype(int) - 127 + x.operand.step_exponent + weights.operand.step_exponent - fraction
        scales = np.concatenate([tops, weights.scales])
        packed = side_by_side(weights.codes, WIDE.array)
        *places, result = write(engine.memory, first.end, packed, scales, of_columns, of_rows, np.zeros(16))
        program, stride, here = Program(), first.layout.result_stride, first.layout.result
        rows = {"slabs": 1, "address": 0, "rows": m, "stride": stride}
        program.load(Destination.MOVING, row_bytes=n, memory=here, element=ELEMENTS.index(element), **rows)
        program.load(Destination.MOVING_SCALES, row_bytes=block_row_bytes(n) - n, memory=here + n, **rows)
        columns = {"slabs": 1, "row_bytes": p, "stride": p}
        line = 2 * WIDE.array.columns
        tile = {"slabs": 1, "address": 0, "rows": WIDE.array.rows, "row_bytes": line, "stride": line}
        program.load(Destination.STATIONARY, memory=places[0], **tile)
        program.load(Destination.STATIONARY_SCALES, address=WIDE.array.load_cycles, rows=3, memory=places[1], **columns)
        once = {"slabs": 0, "address": 0, "rows": 1, "stride": 0}
        program.load(Destination.PARAMETERS, row_bytes=of_columns.nbytes, memory=places[2], **once)
        last = program.load(Destination.ROW_PARAMETERS, row_bytes=of_rows.nbytes, memory=places[3], **once)
        matmul = program.matmul(
            0, 2, rows=m, passes=1, moving=0, moving_step=0, stationary=0, stationary_step=0, accumulator=0, accumulate_first=False,
            row_macs=1, last_row_macs=1, scaled=True, shift=WIDE.exact_shift + element.alignment - fraction, after=[last],
        )  # fmt: skip
        program.drain(
            Output.ROUNDED, slab=1, accumulator=0, rows=m, columns=p, memory=result, stride=4 * p, target=TARGETS.index(FP32),
            after=[matmul],
        )  # fmt: skip
        end = result + 4 * m * p
        start, _ = write(engine.memory, end, np.frombuffer(program.encode(), np.uint8))
        engine.run(start, len(program))
        found = engine.memory[result:end].view(np.float32).reshape(m, p)
    exponents = of_rows["exponent"][:, None].astype(int) + of_columns["exponent"]
    dropped = 2 * powers(exponents)  # a unit for each slab
    wrong = np.abs(exact(x.dequantise()) @ exact(weights.dequantise()) - exact(found))
    assert (wrong <= exact(np.spacing(np.abs(found))) + dropped).all()
