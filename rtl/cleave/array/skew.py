"""Delay lines: a token that each column sees one cycle after its western neighbour, and operands skewed to match."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data


def delay(m: Module, name: str, value: Value, cycles: int) -> Value:
    """Give `value` as it was `cycles` cycles ago (operands: not reset)."""
    for cycle in range(cycles):
        later = Signal.like(value, name=f"{name}_{cycle + 1}", reset_less=True)
        m.d.sync += later.eq(value)
        value = later
    return value


def ripple(m: Module, name: str, value: data.View | Value, taps: int) -> list:
    """Give `taps` views of a token: tap c is the token as it was c cycles ago, what column c sees (reset to 0)."""
    line = [value]
    for tap in range(1, taps):
        later = Signal.like(value, name=f"{name}_{tap}")
        m.d.sync += later.eq(line[-1])
        line.append(later)
    return line
