"""The performance counters."""

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..array.tokens import ROW_MACS_BITS
from ..config import EngineConfig
from .isa import Counter
from .registers import COUNTER_BITS
from .sequencer import CAUSE_BITS


class Counters(wiring.Component):
    """Counts while `running`, from `clear` on; see `Counter` for what each one means.

    Members
    -------
    clear, running : In(1)
    read_beat, write_beat : In(1)
        A beat is transferred on the bus.
    streaming, started, written : In(1).array(slabs), row_macs : In(20).array(slabs)
        From the array.
    cause : In(3).array(slabs)
        From the sequencers.
    values : Out(64).array(12)
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        slabs = config.array.slabs
        super().__init__({
            "clear": In(1),
            "running": In(1),
            "read_beat": In(1),
            "write_beat": In(1),
            "streaming": In(1).array(slabs),
            "started": In(1).array(slabs),
            "written": In(1).array(slabs),
            "row_macs": In(ROW_MACS_BITS).array(slabs),
            "cause": In(CAUSE_BITS).array(slabs),
            "values": Out(COUNTER_BITS).array(len(Counter)),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        slabs = range(self.config.array.slabs)
        amounts = {
            Counter.CYCLES: 1,
            Counter.USEFUL_MACS: sum(self.row_macs[s] for s in slabs),
            Counter.READ_BEATS: self.read_beat,
            Counter.WRITE_BEATS: self.write_beat,
            Counter.STREAMING: sum(self.streaming[s] for s in slabs),
        }
        for cause in [counter for counter in Counter if counter >= Counter.STALL_PARTITION]:
            amounts[cause] = sum(
                ~self.streaming[s] & (self.cause[s] == cause - Counter.STALL_PARTITION) for s in slabs
            )
        with m.If(self.running):
            for counter, amount in amounts.items():
                m.d.sync += self.values[counter].eq(self.values[counter] + amount)

        # From the first start to the last write: `elapsed` counts the cycle of the first start and all since.
        started = Signal()
        elapsed = Signal(COUNTER_BITS)
        begins = sum(self.started[s] for s in slabs).any()
        ends = sum(self.written[s] for s in slabs).any()
        with m.If(self.running & (begins | started)):
            m.d.sync += [started.eq(1), elapsed.eq(elapsed + 1)]
            with m.If(ends):
                m.d.sync += self.values[Counter.ARRAY_CYCLES].eq(elapsed + 1)

        with m.If(self.clear):
            m.d.sync += [value.eq(0) for value in self.values]
            m.d.sync += [started.eq(0), elapsed.eq(0)]
        return m
