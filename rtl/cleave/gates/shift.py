"""Barrel shifter to the right, with the OR of what it drops."""

from amaranth.hdl import Cat, Mux, Value

from .board import ZERO, Board, tree

__all__ = ["shift_right"]


def shift_right(board: Board, value: Value, amount: Value) -> tuple[Value, Value]:
    """Give `value >> amount`, sign-extended if `value` is signed, and sticky: whether any bit dropped was a one.

    For w bits and an s-bit amount: at most s * w two-way multiplexers, s deep. Sticky takes, in step k, an OR of min(2**k, w)
    bits and an AND, and s - 1 OR; it is at most s + ceil(log2 w) + 2 + ceil(log2 s) gates deep.
    """
    width = len(value)
    sign = value[-1] if value.shape().signed else ZERO
    bits, dropped = [*value], []
    for step, taken in enumerate(amount):
        distance = min(1 << step, width)
        dropped.append(board.wire(taken & tree(lambda a, b: a | b, bits[:distance]), f"dropped_{step}"))
        shifted = [*bits[distance:], *[sign] * distance]
        bits = [
            low if low is high else board.wire(Mux(taken, high, low), f"shifted_{step}_{i}")
            for i, (low, high) in enumerate(zip(bits, shifted, strict=True))
        ]
    return Cat(*bits), tree(lambda a, b: a | b, dropped)
