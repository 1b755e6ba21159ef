"""Multiplexers: one of many words, by one-hot or binary number, and the crossbar made of them."""

from collections.abc import Sequence

from amaranth.hdl import Elaboratable, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .board import Board, tree

__all__ = ["one_hot_mux", "binary_mux", "Crossbar"]


def one_hot_mux(select: Value, words: Sequence[Value]) -> Value:
    """Give the word whose bit of `select` is set, 0 if none is; more than one bit gives the OR of their words.

    For n words of w bits: n * w AND, (n - 1) * w OR; depth 1 + ceil(log2 n).
    """
    masked = [word & bit.replicate(len(word)) for word, bit in zip(words, select, strict=True)]
    return tree(lambda a, b: a | b, masked)


def binary_mux(board: Board, select: Value, words: Sequence[Value]) -> Value:
    """Give word number `select`; some word, if there are fewer, for a number that is too high.

    For n words of w bits: (n - 1) * w two-way multiplexers; depth ceil(log2 n).
    """
    level = list(words)
    for number, bit in enumerate(select):
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else []
        level = [board.wire(Mux(bit, high, low), f"choice_{number}_{i}") for i, (low, high) in enumerate(pairs)] + odd
    return level[0]


class Crossbar(wiring.Component):
    """Every output takes any input: output i is the input whose bit of `select[i]` is set, 0 if none is.

    Combinational. For n inputs, m outputs and w bits: n * m * w AND, (n - 1) * m * w OR; depth 1 + ceil(log2 n).

    Parameters
    ----------
    inputs, outputs, width
        Numbers of words, and bits of one.

    Members
    -------
    words : In(width).array(inputs)
    select : In(inputs).array(outputs)
        One-hot, or 0.
    chosen : Out(width).array(outputs)

    Raises
    ------
    ValueError
        If a parameter is not positive.
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        for name, value in [("inputs", inputs), ("outputs", outputs), ("width", width)]:
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self.inputs, self.outputs, self.width = inputs, outputs, width
        super().__init__({
            "words": In(width).array(inputs),
            "select": In(inputs).array(outputs),
            "chosen": Out(width).array(outputs),
        })

    @property
    def shared_name(self) -> str:
        return f"crossbar_{self.inputs}x{self.outputs}x{self.width}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        for chosen, select in zip(self.chosen, self.select, strict=True):
            m.d.comb += chosen.eq(one_hot_mux(select, list(self.words)))
        return m
