"""The cell: a dot product of `dot` moving and `dot` stationary operands, added to the sum from the north."""

from amaranth.hdl import Const, Elaboratable, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import OPERAND_BITS, ArrayConfig

WORD = 32
"""Bits in which a cell's products are written down; no sum of `rows` products needs more."""


class Cell(wiring.Component):
    """One cell of the array.

    With `held` the operands that the last `swap` brought into use::

        to_east(t + 1)           = from_west(t)
        to_south(t + 1 + stages) = from_north(t + stages) + sum over i of from_west[i](t) * held[i](t)

    Latency 1 cycle east; `1 + multiply_stages` cycles from west to south and 1 from north to south; one dot product a
    cycle. A swap in cycle t takes effect from t + 1 on, and the waiting operands may be overwritten from cycle t on.

    Parameters
    ----------
    config
        Uses `dot`, `load_rows`, `multiply_stages`, `sum_bits`.

    Members
    -------
    from_west : In(8 * dot), to_east : Out(8 * dot)
        Moving operands, INT8, operand 0 in the low byte.
    from_north : In(signed(sum_bits)), to_south : Out(signed(sum_bits))
        Partial sum; `sum_bits` hold any sum of `rows` products, so it never overflows.
    stationary : In(8 * load_rows)
        Stationary operands to write.
    write : In(dot / load_rows)
        Bit g writes waiting operands [g * load_rows, (g + 1) * load_rows).
    swap : In(1)
        The waiting operands become the held ones.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        operands = OPERAND_BITS * config.dot
        super().__init__({
            "from_west": In(operands),
            "to_east": Out(operands),
            "from_north": In(signed(config.sum_bits)),
            "to_south": Out(signed(config.sum_bits)),
            "stationary": In(OPERAND_BITS * config.load_rows),
            "write": In(config.dot // config.load_rows),
            "swap": In(1),
        })

    @property
    def shared_name(self) -> str:
        return "cell"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        waiting = Signal(OPERAND_BITS * config.dot, reset_less=True)
        held = Signal(OPERAND_BITS * config.dot, reset_less=True)

        for group, enable in enumerate(self.write):
            with m.If(enable):
                m.d.sync += waiting.word_select(group, OPERAND_BITS * config.load_rows).eq(self.stationary)
        with m.If(self.swap):
            m.d.sync += held.eq(waiting)

        # In whole words simulation is twice as fast as in exact widths; synthesis gives the same cell, bit for bit.
        product = Const(0, signed(WORD))
        for i in range(config.dot):
            west, weight = Signal(signed(WORD // 2), name=f"west_{i}"), Signal(signed(WORD // 2), name=f"weight_{i}")
            m.d.comb += [
                west.eq(self.from_west.word_select(i, OPERAND_BITS).as_signed()),
                weight.eq(held.word_select(i, OPERAND_BITS).as_signed()),
            ]
            product = (product + west * weight)[:WORD].as_signed() if i else west * weight
        for stage in range(config.multiply_stages):
            delayed = Signal(signed(config.sum_bits), name=f"product_{stage}", reset_less=True)
            m.d.sync += delayed.eq(product)
            product = delayed

        east = Signal.like(self.to_east, reset_less=True)
        south = Signal.like(self.to_south, reset_less=True)
        m.d.sync += [east.eq(self.from_west), south.eq(self.from_north + product)]
        m.d.comb += [self.to_east.eq(east), self.to_south.eq(south)]
        return m
