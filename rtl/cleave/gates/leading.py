"""Leading zeros and comparison: what the highest bit that matters says."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Value

from .adders import Run, join
from .board import ZERO, Board

__all__ = ["leading_zeros", "compare"]


def leading_zeros(board: Board, value: Value) -> Value:
    """Count the zeros above the highest one: `len(value)` if there is none, in as many bits as that number takes.

    For n = 2**k bits above 1: 5.5 * n - 2 * k - 5 gates, of which n inverters at the bits, and for each pair of runs of 2**j bits
    2 * j + 2 AND and OR and, but for j = 0, an inverter; 2 * k deep. Source: V. Oklobdzija, "An algorithmic and novel design of
    a leading zero detector circuit", 1994.
    """
    return Cat(*_leading(board, value[::-1]))


def _leading(board: Board, bits: Value) -> list[Value]:
    """Count the leading zeros of bits whose first is the highest."""
    if len(bits) == 1:
        return [board.wire(~bits, "zero")]
    half = 1 << (len(bits) - 1).bit_length() - 1
    *high, none_high = _leading(board, bits[:half])  # a power of 2 many: the count's top bit says that all are zero
    low = _leading(board, bits[half:])
    tops: list[Value] = [none_high]
    if len(bits) == 2 * half:
        none_low = low.pop()
        tops = [board.wire(none_high & ~none_low, "some"), board.wire(none_high & none_low, "none")]
    low += [ZERO] * (len(high) - len(low))
    counts = [board.wire(x | (none_high & y), "count") if y is not ZERO else x for x, y in zip(high, low, strict=True)]
    return [*counts, *tops]


def compare(board: Board, a: Value, b: Value) -> tuple[Value, Value]:
    """Give (a < b, a == b) for numbers of the same n bits; signed if both are.

    A tree of the adders' `join`, from "less here" and "equal here": 4 * n gates and 3 * (n - 1); depth 2 + 2 * ceil(log2 n).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if a.shape() != b.shape():
        raise ValueError(f"both numbers must have one shape, not {a.shape()} and {b.shape()}")
    small, large = [*a], [*b]
    if a.shape().signed:
        small[-1], large[-1] = large[-1], small[-1]
    runs = [_digit(board, i, x, y) for i, (x, y) in enumerate(zip(small, large, strict=True))]
    while len(runs) > 1:
        joined = [join(board, f"{len(runs)}_{i}", high, low) for i, (low, high) in enumerate(_pairs(runs))]
        runs = joined + runs[2 * len(joined) :]
    return runs[0].generate, runs[0].propagate


def _digit(board: Board, position: int, x: Value, y: Value) -> Run:
    return Run(board.wire(~x & y, f"less_{position}"), board.wire(~(x ^ y), f"equal_{position}"), 1)


def _pairs(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    return list(zip(runs[::2], runs[1::2], strict=False))
