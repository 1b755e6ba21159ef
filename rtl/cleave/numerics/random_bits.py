"""Random bits for stochastic rounding: a shift register with linear feedback, several steps per cycle."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .rounding import RANDOM_BITS, STATE_BITS, TAPS

__all__ = ["RandomBits"]


class RandomBits(wiring.Component):
    """Give `RANDOM_BITS * lanes` new bits of the sequence of `rounding.random_numbers` per cycle.

    The state is the next 32 bits of the sequence; as many as are given leave it, and as many follow from the rest.

    Parameters
    ----------
    lanes
        Numbers per cycle.

    Members
    -------
    load : In(1)
        Start anew with `seed` from the next cycle on.
    seed : In(32)
        Any number; 0 counts as 1.
    take : In(1)
        The bits are used in this cycle, and others come in the next.
    bits : Out(8 * lanes)
        The first of the numbers in the lowest bits.

    Raises
    ------
    ValueError
        If `lanes` is not positive.
    """

    def __init__(self, lanes: int = 1) -> None:
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {lanes}")
        self.lanes = lanes
        super().__init__({
            "load": In(1),
            "seed": In(STATE_BITS),
            "take": In(1),
            "bits": Out(RANDOM_BITS * lanes),
        })

    @property
    def shared_name(self) -> str:
        return f"random_bits_{self.lanes}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        state = Signal(STATE_BITS, init=1)
        sequence: list[Value] = [*state]
        for n in range(len(self.bits)):
            bit = Signal(name=f"next_{n}")
            m.d.comb += bit.eq(Cat(sequence[n + tap] for tap in TAPS).xor())
            sequence.append(bit)
        m.d.comb += self.bits.eq(Cat(sequence[: len(self.bits)]))
        with m.If(self.load):
            m.d.sync += state.eq(Mux(self.seed == 0, 1, self.seed))
        with m.Elif(self.take):
            m.d.sync += state.eq(Cat(sequence[-STATE_BITS:]))
        return m
