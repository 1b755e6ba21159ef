"""The join: where two lanes of a column become the sums of one INT8 column, or of two columns."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig

__all__ = ["Join"]


class Join(wiring.Component):
    """Join the lanes' dot products of a column, for its two seams.

        joined[0](t + 1)    = lanes[0](t) + 2**stationary_bits * lanes[1](t)
        joined[l](t + 1)    = lanes[l](t) * 2**up, of a `paired` row

    `up` is `pair_shift`, so that with `block_scales` sums of either kind use the uppermost of their `product_bits`. Of a row that
    is not paired, joined[1] means nothing.

    Parameters
    ----------
    config
        Uses `pair_shift` and the array's `stationary_bits`, `sum_bits` and `product_bits`.

    Members
    -------
    lanes : In(signed(sum_bits)).array(2)
    paired : In(1)
    joined : Out(signed(product_bits)).array(2)
    """

    shared_name = "join"

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        array = config.array
        super().__init__({
            "lanes": In(signed(array.sum_bits)).array(2),
            "paired": In(1),
            "joined": Out(signed(array.product_bits)).array(2),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        low, high = self.lanes
        bits = self.config.array.stationary_bits
        up = [Cat(Const(0, self.config.pair_shift), lane).as_signed() for lane in self.lanes]
        whole = Cat(low[:bits], (low >> bits) + high).as_signed()
        for lane, (joined, value) in enumerate(zip(self.joined, [Mux(self.paired, up[0], whole), up[1]], strict=True)):
            register = Signal.like(joined, name=f"joined_{lane}", reset_less=True)
            m.d.sync += register.eq(value)
            m.d.comb += joined.eq(register)
        return m
