"""Tokens that each column sees one cycle after its western neighbour; `hdl.delay` skews operands to match."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data


def ripple(m: Module, name: str, value: data.View | Value, taps: int) -> list:
    """Give `taps` views of a token: tap c is the token as it was c cycles ago, what column c sees.

    Of a token with fields, those in `FLAGS` are reset to 0, and the others, which mean nothing without a flag, are not.
    """
    line = [value]
    for tap in range(1, taps):
        line.append(_later(m, f"{name}_{tap}", line[-1]))
    return line


FLAGS = ("valid", "write", "accumulate")
"""Fields of tokens by which something happens."""


def _later(m: Module, name: str, value: data.View | Value) -> data.View | Value:
    if not isinstance(value, data.View):
        later = Signal.like(value, name=name)
        m.d.sync += later.eq(value)
        return later
    fields = []
    for field, _ in value.shape():
        bits = Value.cast(value[field])
        fields.append(Signal.like(bits, name=f"{name}_{field}", reset_less=field not in FLAGS))
        m.d.sync += fields[-1].eq(bits)
    return data.View(value.shape(), Cat(fields))
