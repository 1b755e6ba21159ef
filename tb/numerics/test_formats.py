"""The table of formats, and the decoder made from it, against ml_dtypes and gfloat: every code."""

import ml_dtypes
import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext

from cleave.numerics.decode import ElementDecoder, PairDecoder
from cleave.numerics.formats import (
    E4M3,
    E5M2,
    E8M0,
    ELEMENTS,
    INT8,
    OPERANDS,
    PAIRS,
    TARGETS,
    Format,
    Kind,
    lane_integers,
    parse_operands,
    product_bits,
)
from tb.numerics.references import BLOCKS, DTYPE, GFLOAT, decode

FORMATS = [*TARGETS, E8M0]
SMALL = [*ELEMENTS, E4M3, E5M2]


@pytest.mark.parametrize("target", FORMATS, ids=lambda target: target.name)
def test_table(target: Format) -> None:
    """Width, range, least step and special codes are those of gfloat and of ml_dtypes."""
    other = GFLOAT[target]
    unit = 2.0 ** (2 - target.bits) if target.kind is Kind.INTEGER else 1.0
    assert target.bits == other.k
    assert target.largest * unit == other.max and target.max_exponent == np.floor(np.log2(target.largest))
    assert target.largest_code == other.code_of_max
    assert 2.0**target.step_exponent * unit == other.smallest
    assert (target.infinity_code is not None) == (other.num_posinfs > 0)
    assert (target.nan_code is not None) == (other.num_nans > 0)
    if target.infinity_code is not None:
        assert target.infinity_code == other.code_of_posinf
        assert decode(target, target.infinity_code) == np.inf
    if target.nan_code is not None:
        written = np.array(np.nan, np.float32).astype(DTYPE[target])
        assert target.nan_code == written.view(f"u{written.itemsize}")
    if target.kind is Kind.FLOAT:
        info = ml_dtypes.finfo(DTYPE[target])
        assert (target.largest, target.mantissa_bits) == (float(info.max), info.nmant)
        assert 2.0**target.min_exponent == float(info.smallest_normal)


@pytest.mark.parametrize("target", SMALL, ids=lambda target: target.name)
def test_integers(target: Format) -> None:
    """Every code: the decoded integer times the step is the value."""
    values = decode(target, range(1 << target.bits))
    numbers = np.isfinite(values)
    assert np.array_equal(np.ldexp(target.integers.astype(float), target.step_exponent)[numbers], values[numbers])
    assert not target.integers[~numbers].any()
    bits = int(np.abs(target.integers).max()).bit_length() + (target.kind is not Kind.INTEGER)
    assert target.decoded_bits == bits


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_decode(target: Format, rng: np.random.Generator) -> None:
    """Every code of up to 16 bits, and random ones of 32: values, infinities, NaNs and signs of zeros."""
    word = f"u{target.storage_bytes}"
    codes = np.arange(1 << target.bits).astype(word) if target.bits <= 16 else rng.integers(0, 2**32, 10000).astype(word)
    codes = np.append(codes, codes[:4]).reshape(-1, 4)
    with np.errstate(invalid="ignore"):  # numpy's, of signalling NaNs
        found, wanted = target.decode(codes), decode(target, codes)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found)[~np.isnan(wanted)], np.signbit(wanted)[~np.isnan(wanted)])


def test_decoder() -> None:
    """Every code of every element, and whatever is above a short code."""
    dut = ElementDecoder()

    async def bench(ctx) -> None:  # noqa: ANN001
        for number, element in enumerate(ELEMENTS):
            wanted = decode(element, np.arange(256) % (1 << element.bits)) * (1 if element is INT8 else 16)
            ctx.set(dut.element, number)
            for code in range(256):
                ctx.set(dut.code, code)
                await ctx.delay(1e-9)
                assert ctx.get(dut.decoded) == wanted[code], (element.name, code)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_pair_decoder() -> None:
    dut = PairDecoder()
    codes = np.arange(256)
    low, high = codes & 15, codes >> 4
    e2m1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(float)
    int4 = np.arange(16).astype(ml_dtypes.int4).astype(int)
    wanted = [[low, codes.astype(np.int8) >> 4], [int4[low], int4[high]], [2 * e2m1[low], 2 * e2m1[high]]]
    assert [element.name for element in PAIRS] == ["INT8", "INT4", "E2M1"]

    async def bench(ctx: SimulatorContext) -> None:
        for element, lanes in enumerate(wanted):
            ctx.set(dut.element, element)
            for code in codes:
                ctx.set(dut.code, int(code))
                await ctx.delay(1e-9)
                assert [ctx.get(lane) for lane in dut.lanes] == [lane[code] for lane in lanes], (element, code)
        low, high = wanted[0]
        np.testing.assert_array_equal(16 * high.astype(int) + low, codes.astype(np.int8))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_lane_integers() -> None:
    """Every byte: one INT8, or two elements, the first in its low half."""
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(lane_integers(codes, 0), [codes.view(np.int8)])
    for number, element in enumerate(PAIRS[1:], start=1):
        values = np.ldexp(decode(element, range(16)), -element.step_exponent)
        assert np.array_equal(lane_integers(codes, number), [np.tile(values, 16), np.repeat(values, 16)])


@pytest.mark.parametrize("name", BLOCKS)
def test_block_formats(name: str) -> None:
    operand, other = OPERANDS[name], BLOCKS[name]
    assert (operand.block, GFLOAT[operand.element], GFLOAT[operand.scale]) == (other.k, other.etype, other.stype)
    assert (operand.largest, operand.max_exponent) == (other.etype.max, other.etype.emax)
    assert 2.0**operand.step_exponent == other.etype.smallest


def test_nvfp4() -> None:
    operand = OPERANDS["nvfp4"]
    assert (operand.block, operand.scale, operand.largest) == (16, E4M3, 6)


def test_product_bits() -> None:
    """No sum of products, and no width less, is enough: extreme operands at every length."""
    for moving in OPERANDS.values():
        for stationary in OPERANDS.values():
            a, b = ([int(value) for value in operand.element.integers] for operand in (moving, stationary))
            products = {x * y for x in (min(a), max(a)) for y in (min(b), max(b))}
            for terms in (1, 2, 8, 31, 32, 33):
                bits = product_bits(moving, stationary, terms)
                low, high = terms * min(products), terms * max(products)
                assert -(1 << bits - 1) <= low and high < 1 << bits - 1
                assert low < -(1 << bits - 2) or high >= 1 << bits - 2


def test_parse() -> None:
    assert parse_operands("MXFP4") == (OPERANDS["mxfp4"], OPERANDS["mxfp4"])
    assert parse_operands("mxint8:mxfp4") == (OPERANDS["mxint8"], OPERANDS["mxfp4"])
    for text in ("", "fp4", "int8:", ":int8", "int8:int8:int8", "int8 int4"):
        with pytest.raises(ValueError, match=f"format must be one of int8, int4, .* MOVING:STATIONARY, not {text!r}"):
            parse_operands(text)
