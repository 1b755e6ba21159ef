"""Dependencies: the counters of tokens between units, which are all that orders one unit's work after another's."""

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .isa import Unit


class Dependencies(wiring.Component):
    """A counter for every pair of units that exchange tokens: LOAD and DRAIN with each other and with every slab.

    A token that is given in cycle t can be taken from cycle t + 1 on.

    Members
    -------
    gives : In(32).array(2 + slabs)
        Tokens that each unit gives in this cycle, numbered like `signal`.
    asks : In(32).array(2 + slabs)
        Tokens that each unit's next instruction asks for, numbered like `wait`.
    takes : In(1).array(2 + slabs)
        The unit takes them; only when nothing is missing.
    missing : Out(32).array(2 + slabs)
        Those of `asks` that are not there.
    overflow : Out(1)
        A token was lost because its counter is full.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        units = Unit.SLAB + config.array.slabs
        super().__init__({
            "gives": In(32).array(units),
            "asks": In(32).array(units),
            "takes": In(1).array(units),
            "missing": Out(32).array(units),
            "overflow": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        units = len(self.gives)
        overflows = []
        for giver in range(units):
            for taker in range(units):
                if giver == taker or min(giver, taker) >= Unit.SLAB:
                    continue
                count = Signal(self.config.token_bits, name=f"tokens_{giver}_{taker}")
                give = self.gives[giver][taker]
                asked = self.asks[taker][giver]
                take = asked & self.takes[taker]
                m.d.comb += self.missing[taker][giver].eq(asked & (count == 0))
                with m.If(give & ~take):
                    m.d.sync += count.eq(count + 1)
                with m.Elif(take & ~give):
                    m.d.sync += count.eq(count - 1)
                overflows.append(give & ~take & count.all())
        m.d.comb += self.overflow.eq(Cat(overflows).any())
        return m
