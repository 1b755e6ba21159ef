"""Float matrices to operands that the engine takes, by the names that users give."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config import BLOCK, EngineConfig
from ..numerics.formats import E8M0, FP16, FP32, OPERANDS, TARGETS, Format, Operand, parse_operands
from ..numerics.quantise import ScaleRule, quantise
from ..numerics.rounding import Rounding
from ..numerics.slices import PRECISIONS, error_bound, split
from .problem import dimensions
from .scaled import ScaledGemm, from_quantised, from_slices

__all__ = [
    "ALL_RESULTS", "BLOCK_RESULTS", "NUMPY_DTYPES", "RESULTS", "ROUNDINGS", "SCALE_RULES", "block_result", "named",
    "parse_format", "prepare",
]  # fmt: skip

RESULTS = {target.name.lower(): target for target in TARGETS}
"""Formats of results that are rounded each by itself, by name."""

BLOCK_RESULTS = {name: operand for name, operand in OPERANDS.items() if operand.block == BLOCK and operand.scale is E8M0}
"""Formats of results in blocks by name."""

ALL_RESULTS: Mapping[str, Format | Operand] = {**RESULTS, **BLOCK_RESULTS}
"""Both."""

ROUNDINGS = {mode.name.lower(): mode for mode in Rounding}
"""Rounding modes by name."""

SCALE_RULES = {rule.name.lower(): rule for rule in ScaleRule}

NUMPY_DTYPES: dict[Format, type[np.floating]] = {FP32: np.float32, FP16: np.float16}
"""Formats that numpy has a type for."""

Choice = TypeVar("Choice")


def named(name: object, what: str, choices: Mapping[str, Choice]) -> Choice:
    """Find a choice by its name.

    Raises
    ------
    ValueError
        If there is none; the message names all.
    """
    if not isinstance(name, str) or name not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, not {name!r}")
    return choices[name]


def parse_format(text: object) -> tuple[Operand, Operand]:
    """Give the formats that "MOVING:STATIONARY" or one name for both means, of those whose scales a seam can shift by.

    Raises
    ------
    TypeError, ValueError
        If it is no text, or there is no such format.
    """
    if not isinstance(text, str):
        raise TypeError(f"format must be a name, not {text!r}")
    return parse_operands(text, {name: operand for name, operand in OPERANDS.items() if operand.scale is E8M0})


def block_result(operand: Operand, config: EngineConfig, n: int) -> Operand:
    """Give the format that a result of `n` columns has in blocks: of an array with fewer columns than a block, smaller blocks.

    Raises
    ------
    ValueError
        If tiles of the array's columns would cut blocks.
    """
    columns = config.array.columns
    if columns % BLOCK and columns > BLOCK and n > columns:
        rule = f"columns of the array must be a multiple of {BLOCK}, or fewer, or at least N ({n}), for results in blocks"
        raise ValueError(f"{rule}, not {columns}")
    return replace(operand, block=min(BLOCK, columns))


def prepare(
    a: ArrayLike,
    b: ArrayLike,
    config: EngineConfig,
    *,
    format: object = None,  # noqa: A002
    precision: object = None,
    rule: object = "floor",
    seed: int = 0,
) -> tuple[ScaledGemm, Callable[[NDArray], float | None] | None]:
    """Quantise, or split into slices, a product's operands.

    Gives with slices what their product is off by at most, as a function of the product: whatever the rounding mode, infinity after
    an overflow, and None for codes of formats other than FP32 and FP16. See `Engine.matmul_float` for the parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument breaks a rule; the message states the rule and the value.
    """
    if not config.block_scales:
        raise ValueError("block_scales of the engine must be true for products of floats, not False")
    _check_seed(seed)
    left, right = _numbers("a", a), _numbers("b", b)
    _, k, _ = dimensions(left, right)
    if precision is None:
        moving, stationary = parse_format("mxint8" if format is None else format)
        scale_rule = named(rule, "scale_rule", SCALE_RULES)
        operands = quantise(left, moving, 1, scale_rule), quantise(right, stationary, 0, scale_rule)
        return from_quantised(*operands, config, seed=seed), None
    if format is not None:
        raise ValueError(f"format and precision must not be given together, as {format!r} and {precision!r} are")
    if not isinstance(precision, int | np.integer) or precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(str, PRECISIONS))}, not {precision!r}")
    count = PRECISIONS[int(precision)]
    slices = split(left, count, 1), split(right, count, 0)
    gemm = from_slices(*slices, config, seed=seed)
    with np.errstate(over="ignore"):
        units = np.ldexp(error_bound(count, k), slices[0].exponents[:, None] + slices[1].exponents)
        exponents = gemm.rows["exponent"][:, None].astype(np.int64) + gemm.columns["exponent"]
        units += len(gemm.widths) * np.ldexp(1.0, exponents)  # what accumulators may drop
    units = np.where(left.any(1, keepdims=True) & right.any(0), units, 0)  # zeros are exact, whatever their exponents

    def bound(product: NDArray) -> float | None:
        if product.dtype.kind != "f":
            return None
        magnitudes = np.abs(product)
        overflow = magnitudes >= np.finfo(product.dtype).max
        steps = np.spacing(np.where(overflow, 0, magnitudes)).astype(np.float64)
        return float(np.where(overflow, np.inf, units + steps).max())

    return gemm, bound


def _check_seed(seed: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be an integer, not {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")


def _numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value)
    if not np.can_cast(array.dtype, np.float64) or array.dtype.kind == "b":
        raise TypeError(f"{name} must be an array of float16, bfloat16, float32, float64 or integers, not {array.dtype}")
    return array.astype(np.float64)
