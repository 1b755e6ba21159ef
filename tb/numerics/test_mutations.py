"""Each part of the numerics, broken once on purpose: the test that watches it must fail."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from cleave.numerics import (
    accumulate,
    block_scaler,
    decode,
    drain,
    formats,
    normalise,
    quantise,
    rounder,
    rounding,
    slices,
)
from cleave.numerics.formats import OPERANDS
from cleave.numerics.quantise import ScaleRule
from cleave.numerics.rounder import Rounder
from tb.engine import test_drain_blocks, test_drain_rounded, test_rounding_unit
from tb.gates.test_mutations import mutate
from tb.numerics import test_accumulate, test_formats, test_quantise, test_rounding, test_slices
from tb.numerics.cases import corner_cases, extreme_cases, random_cases, with_codes
from tb.numerics.test_rounder import simulated

Proof = Callable[[], object]


def seeded(test: Callable[..., None], *arguments: Any) -> Proof:
    return lambda: test(*arguments, rng=np.random.default_rng(1))


def rounder_is_right() -> None:
    rng = np.random.default_rng(1)
    cases = np.concatenate([random_cases(rng, 200), rng.choice(corner_cases(rng), 200), rng.choice(extreme_cases(rng), 800)])
    cases["poisoned"] |= rng.random(len(cases)) < 0.03
    cases = with_codes(cases)
    assert simulated(Rounder(48), cases) == cases["code"].tolist()


decoder = test_formats.test_decoder
floor_rule = seeded(test_quantise.test_against_gfloat, OPERANDS["mxfp6"], ScaleRule.FLOOR)
up_rule = seeded(test_quantise.test_against_gfloat, OPERANDS["mxint8"], ScaleRule.UP)
codes = seeded(test_quantise.test_codes_against_ml_dtypes, OPERANDS["mxfp4"])
nans = partial(test_quantise.test_infinity_and_nan, OPERANDS["mxfp4"], np.nan)
products = seeded(test_accumulate.test_against_fractions, "mxint8:mxfp4", 30)
below_the_unit = seeded(test_accumulate.test_fractions, "mxint8:mxfp4")
poisoned = seeded(test_accumulate.test_nan_scales)
definition = seeded(test_rounding.test_against_gfloat, "random")
wide = seeded(test_slices.test_wide_accumulators_drop_nothing, 3)
nearly = partial(test_slices.test_bound_is_nearly_reached, 2)
bound = seeded(test_slices.test_bound_holds, 2, "float32")
blocks = seeded(test_rounding_unit.test_against_numpy, 4, 0.3)
anchors = seeded(test_rounding_unit.test_modes_and_anchors)
short_blocks = seeded(test_rounding_unit.test_short_blocks_behind_long_ones, 8)
rounds = seeded(test_drain_rounded.test_definition, 48)
drained = seeded(test_drain_blocks.test_definition)

MUTATIONS: list[tuple[Any, str, str, Proof]] = [
    # where, what stands there, what takes its place, the test
    (formats.product_bits, ".bit_length() + 1", ".bit_length()", test_formats.test_product_bits),
    (formats.parse_operands, "names[-1]", "names[0]", test_formats.test_parse),
    (decode.ElementDecoder, "Const(0, element.alignment), code", "code", decoder),
    (decode.ElementDecoder, "Const(0, widest.alignment), decoded", "decoded", decoder),
    (decode.ElementDecoder, "Const(0, widest.bits - element.bits), code", "code", decoder),
    (decode.PairDecoder, "& (number == 0)", "& (number == 1)", test_formats.test_pair_decoder),
    (decode.PairDecoder, "_look_up(m, E2M1, nibble, lane)", "_look_up(m, INT4, nibble, lane)", test_formats.test_pair_decoder),
    (formats.lane_integers, "places >> element.bits & low", "places & low", test_formats.test_lane_integers),
    (decode._look_up, "m.Case(number)", "m.Case(number ^ 1)", decoder),
    (decode._look_up, "int(integer)", "abs(int(integer))", decoder),
    (quantise._exponents, "exponent - 1 - operand", "exponent - operand", floor_rule),
    (quantise._exponents, "(significand > limit)", "(significand >= limit)", up_rule),
    (quantise._exponents, "np.clip(np.where(largest > 0", "np.clip(np.where(largest >= 0", test_quantise.test_scales_stay_in_range),
    (quantise.encode_elements, "np.rint(", "np.floor(", floor_rule),
    (quantise.encode_elements, "target.min_exponent)", "target.min_exponent - 1)", codes),
    (quantise.encode_elements, "np.signbit(values)", "(values < 0)", codes),
    (quantise.quantise, "np.abs(np.where(finite, blocks, 0))", "np.where(finite, blocks, 0)", floor_rule),
    (quantise.quantise, "poisoned = ~finite.all(-1)", "poisoned = np.isinf(blocks).any(-1)", nans),
    (quantise.quantise, "np.ldexp(ratios, shift)", "ratios", up_rule),
    (accumulate.anchors, ".max(", ".min(", seeded(test_accumulate.test_anchors_and_exponents)),
    (accumulate.accumulate, "np.clip(row_shift[:, None] + column_shift", "np.clip(row_shift[:, None]", products),
    (accumulate.accumulate, "start // blocks[1]", "0", products),
    (accumulate.accumulate, "dot << fraction >>", "dot + 1 << fraction >>", products),
    (accumulate.fraction_bits, "np.minimum(-exponent,", "np.minimum(1 - exponent,", below_the_unit),
    (accumulate.fraction_bits, "moving.magnitude * (np.abs", "2 * moving.magnitude * (np.abs", below_the_unit),
    (accumulate.fraction_bits, "if sum_bits is None", "if True", products),
    (accumulate.fraction_bits, " + moving.element.alignment", "", test_accumulate.test_unused_bits_of_a_sum),
    (accumulate._pieces, "min(i + terms, stop)", "i + terms", products),
    (accumulate._poisoned, "logical_or", "logical_and", poisoned),
    (accumulate._exact_integers, "- E8M0.bias", "- E8M0.bias + 1", products),
    (rounding.round_to, "inexact | (quotient & 1 == 1)", "inexact", definition),
    (rounding.round_to, "remainder + noise >= 2 * half", "remainder + noise > 2 * half", definition),
    (rounding.round_to, "beyond | (code > largest)", "beyond", definition),
    (rounding.round_to, "(negative if target.kind is Kind.INTEGER else 0)", "0", definition),
    (rounding._divide, "magnitude & ((np.int64(1) << right) - 1) != 0", "magnitude < 0", definition),
    (rounding.bit_length, "+ 32", "+ 31", definition),
    (drain.round_accumulators, "np.maximum(accumulators, 0) if relu else accumulators", "accumulators", rounds),
    (drain.quantise_accumulators, "magnitudes << 63 - lengths > limit", "magnitudes << 63 - lengths >= limit", drained),
    (drain.quantise_accumulators, "np.where(magnitudes > 0, reaches", "np.where(magnitudes >= 0, reaches", drained),
    (drain.quantise_accumulators, "- operand.max_exponent", "", drained),
    (drain.quantise_accumulators, "limits[:, None]", "E8M0.bias", drained),
    (drain.quantise_accumulators, "+ operand.step_exponent - element.step_exponent", "", drained),
    (drain._poisoned, "| columns", "& columns", drained),
    (drain._random, 'columns["random"])', '0 * columns["random"])', drained),
    (drain._exponents, '+ columns["exponent"]', '+ 0 * columns["exponent"]', drained),
    (slices._units, "np.rint", "np.floor", seeded(test_slices.test_slices_are_the_value, 2)),
    (slices.split, "127 * (256**count", "128 * (256**count", partial(test_slices.test_wide_digits, 2)),
    (slices.split, "(units - digit) >> 8", "units >> 8", bound),
    (slices.passes, ", key=sum)", ", key=sum)[:-1]", wide),
    (slices.blocks, "- SLICE_BITS * numbers", "- SLICE_BITS * (numbers > 0)", wide),
    (slices.blocks, "stationary.slices[taken[1]]", "stationary.slices[taken[0]]", wide),
    (slices.multiply, "(stationary.exponents + FIRST)", "stationary.exponents", wide),
    (slices.error_bound, "2 * unit", "unit", nearly),
    (normalise.Normaliser, "(number, GROUP_BITS).any()", "(number, GROUP_BITS)[1:].any()", rounder_is_right),
    (normalise.Normaliser, "shifted[: max(bits - self.width, 0)].any()", "0", rounder_is_right),
    (normalise.Normaliser, "Mux(top.any(), ", "Mux(1, ", rounder_is_right),
    (normalise.Normaliser, "(self.accumulator_bits)) + negative", "(self.accumulator_bits))", rounder_is_right),
    (normalise._of_last, "numbers[0]", "numbers[-1]", rounder_is_right),
    (rounder._shift_right, "sticky | (amount[level]", "Const(0, 1) | (amount[level]", rounder_is_right),
    (rounder.Packer, "guard & (rest | quotient[0])", "guard & rest", rounder_is_right),
    (rounder.Packer, "guard & (rest | quotient[0])", "guard", rounder_is_right),
    (rounder.Packer, "lost | inexact", "lost", rounder_is_right),
    (rounder.Packer, "(remainder + adding.random)[RANDOM_BITS]", "remainder > adding.random", rounder_is_right),
    (rounder.Packer, "exponent > top", "exponent >= top", rounder_is_right),
    (rounder.Packer, "Mux(above < 0, 0, above)", "above", rounder_is_right),
    (rounder.Packer, " | too_far.replicate(len(amount))", "", rounder_is_right),
    (rounder._limited, "state.beyond | ", "", rounder_is_right),
    (rounder._limited, "total > largest", "total >= largest", rounder_is_right),
    (rounder._limited, "state.wanted.saturate | ", "", rounder_is_right),
    (rounder._limited, "(state.negative if is_integer else 0)", "0", rounder_is_right),
    (rounder._limited, "target.nan_code or 0", "0", rounder_is_right),
    (rounder.Rounder, "self.random), Normaliser.LATENCY", "self.random), Normaliser.LATENCY - 1", rounder_is_right),
    (block_scaler.BlockScaler, "_largest(m, [*reaches, best])", "_largest(m, reaches)", blocks),
    (block_scaler.BlockScaler, "best.eq(Mux(self.i.last, ZERO_EXPONENT, reach))", "best.eq(reach)", blocks),
    (block_scaler.BlockScaler, "any_poisoned.eq(~self.i.last & poisoned)", "any_poisoned.eq(poisoned)", blocks),
    (block_scaler.BlockScaler, "any_poisoned | Cat(", "Cat(", blocks),
    (block_scaler.BlockScaler, "value.poisoned.eq(scale.scale == E8M0.nan_code)", "value.poisoned.eq(0)", blocks),
    (block_scaler.BlockScaler, "Mux(number.significand[-1], ", "Mux(1, ", blocks),
    (block_scaler.BlockScaler, "given.offset.eq(exponent + step)", "given.offset.eq(exponent)", blocks),
    (block_scaler.BlockScaler, "& value.sticky", "& 0", blocks),
    (block_scaler.BlockScaler, "wanted < -E8M0.bias, -E8M0.bias", "wanted < -E8M0.bias, 1 - E8M0.bias", blocks),
    (block_scaler.BlockScaler, "wanted > limit, limit", "wanted > limit, E8M0.bias", anchors),
    (block_scaler.BlockScaler, "places = self.words + 1", "places = self.words", short_blocks),
    (block_scaler.BlockScaler, "leave & self.o.last", "leave", blocks),
    (block_scaler._largest, "a > b", "a < b", blocks),
]


@pytest.mark.parametrize(
    ("where", "old", "new", "proof"), MUTATIONS, ids=[f"{m[0].__name__}: {m[1]} > {m[2]}"[:90] for m in MUTATIONS]
)
def test_break_is_caught(where: Any, old: str, new: str, proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(where, old, new, monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        proof()


def test_everything_is_broken() -> None:
    """The list leaves no function and no component out; methods count as their class, and `encode_elements`' users as it."""
    broken = {mutation[0].__name__ for mutation in MUTATIONS}
    modules = [accumulate, block_scaler, decode, drain, formats, normalise, quantise, rounder, rounding, slices]
    named = {name for module in modules for name in module.__all__ if callable(getattr(module, name))}
    data = {"Format", "Operand", "Kind", "Specials", "Rounding", "ScaleRule", "Quantised", "Sliced", "Accumulators"}
    layouts = {"normalised_layout", "format_layout", "block_layout", "between_layout", "NORMALISED"}
    widths = {"significand_bits", "block_row_bytes"}
    assert named - data - layouts - widths - broken == {"exact_product", "pieces"}  # through `_exact_integers`, `_pieces`
