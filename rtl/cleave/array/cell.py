"""The cell: a dot product of `dot` moving and `dot` stationary operands, added to the sum from the north."""

from amaranth.hdl import Const, Elaboratable, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import OPERAND_BITS, ArrayConfig

WORD = 32
"""Bits in which a cell's products are written down; no sum of `rows` products needs more."""


class Cell(wiring.Component):
    """One cell of the array, and the portable kind of it, in `*` and `+`.

    With `held` the operands that the last `swap` brought into use, for each of the `lanes`::

        to_east(t + 1)                 = from_west(t)
        to_south[lane](t + 1 + stages) = from_north[lane](t + stages) + sum over i of from_west[i](t) * held[i, lane](t)

    Latency 1 cycle east; `1 + multiply_stages` cycles from west to south and 1 from north to south; one dot product a
    cycle. A swap in cycle t takes effect from t + 1 on, and the waiting operands may be overwritten from cycle t + 1 on.

    Parameters
    ----------
    config
        Uses `dot`, `load_rows`, `multiply_stages`, `lanes`, `lane_bits`, `sum_bits`.

    Members
    -------
    from_west : In(8 * dot), to_east : Out(8 * dot)
        Moving operands, INT8, operand 0 in the low byte.
    from_north : In(signed(sum_bits)).array(lanes), to_south : Out(signed(sum_bits)).array(lanes)
        Partial sums; `sum_bits` hold any sum of `rows` products, of two lanes from -15 to 15, so they never overflow.
    stationary : In(place_bits * load_rows)
        Stationary operands to write, as `pack` gives them.
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
            "from_north": In(signed(config.sum_bits)).array(config.lanes),
            "to_south": Out(signed(config.sum_bits)).array(config.lanes),
            "stationary": In(self.place_bits * config.load_rows),
            "write": In(config.dot // config.load_rows),
            "swap": In(1),
        })

    @property
    def shared_name(self) -> str:
        return "cell"

    @property
    def place_bits(self) -> int:
        """Bits in which the cell holds the stationary operands of one moving operand."""
        return self.config.lanes * self.config.lane_bits

    def pack(self, operands: Value) -> Value:
        """Turn a column's stationary operands into what its cells hold, once for all of them.

        `operands` has, for each moving one, those of all lanes in `lane_bits` each, lane 0 lowest; they become `place_bits` bits.
        """
        return operands

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        waiting = Signal(self.place_bits * self.config.dot, reset_less=True)
        for group, enable in enumerate(self.write):
            with m.If(enable):
                m.d.sync += waiting.word_select(group, len(self.stationary)).eq(self.stationary)

        east = Signal.like(self.to_east, reset_less=True)
        m.d.sync += east.eq(self.from_west)
        m.d.comb += self.to_east.eq(east)

        self.multiply(m, platform, waiting)
        return m

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        """Draw what is between the waiting operands and the sums to the south."""
        held = self.hold(m, waiting)
        # In whole words simulation is twice as fast as in exact widths; synthesis gives the same cell, bit for bit.
        for lane in range(self.config.lanes):
            product = Const(0, signed(WORD))
            for i in range(self.config.dot):
                west = Signal(signed(WORD // 2), name=f"west_{lane}_{i}")
                weight = Signal(signed(WORD // 2), name=f"weight_{lane}_{i}")
                m.d.comb += [
                    west.eq(self.from_west.word_select(i, OPERAND_BITS).as_signed()),
                    weight.eq(self.stationary_operand(held, i, lane).as_signed()),
                ]
                product = (product + west * weight)[:WORD].as_signed() if i else west * weight
            for stage in range(self.config.multiply_stages):
                delayed = Signal(signed(self.config.sum_bits), name=f"product_{lane}_{stage}", reset_less=True)
                m.d.sync += delayed.eq(product)
                product = delayed
            south = Signal.like(self.to_south[lane], name=f"south_{lane}", reset_less=True)
            m.d.sync += south.eq(self.from_north[lane] + product)
            m.d.comb += self.to_south[lane].eq(south)

    def hold(self, m: Module, waiting: Value) -> Signal:
        """Give the waiting operands as they were at the last swap."""
        held = Signal(len(waiting), reset_less=True)
        with m.If(self.swap):
            m.d.sync += held.eq(waiting)
        return held

    def stationary_operand(self, operands: Value, i: int, lane: int) -> Value:
        """Give one lane's stationary operand number i of all of them."""
        return operands.word_select(i * self.config.lanes + lane, self.config.lane_bits)
