"""The AXI4-Lite registers: what a host programs, and what it can ask."""

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .axi import OKAY, SLVERR, AxiLite
from .isa import IDENTITY, Control, Counter, Error, Interrupt, Register, Status
from .ports import Window

ADDRESS_WIDTH = 12
COUNTER_BITS = 64


class Registers(wiring.Component):
    """AXI4-Lite slave; one write and one read at a time, two cycles each.

    An address without a register answers SLVERR, as does a write to a read-only register, a write to a programmed
    register while the engine is busy, and START unless the engine is idle; such writes change nothing. Write strobes are
    honoured. Reading the low half of a counter keeps its high half for the next read, so that a pair belongs together.

    Members
    -------
    bus : In(AxiLite(12))
    start, reset : Out(1)
        Pulses: START and RESET were written to CONTROL.
    program : Out(48), length : Out(32), window : Out(Window), watchdog : Out(32)
        The programmed values.
    status : In(4), error : In(8), error_instruction : In(32)
        STATUS, ERROR and ERROR_INSTRUCTION.
    events : In(2)
        Pulses that set bits of INTERRUPT.
    counters : In(64).array(12)
        The performance counters.
    interrupt : Out(1)
        Some bit is set in both INTERRUPT and INTERRUPT_ENABLE.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "bus": In(AxiLite(ADDRESS_WIDTH)),
            "start": Out(1),
            "reset": Out(1),
            "program": Out(48),
            "length": Out(32),
            "window": Out(Window(config)),
            "watchdog": Out(32),
            "status": In(len(Status)),
            "error": In(Error),
            "error_instruction": In(32),
            "events": In(len(Interrupt)),
            "counters": In(COUNTER_BITS).array(len(Counter)),
            "interrupt": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        array = self.config.array
        enable, pending = Signal(len(Interrupt)), Signal(len(Interrupt))
        high = Signal(32)
        busy = (self.status & Status.BUSY).any()
        programmed = {
            Register.INTERRUPT_ENABLE: enable,
            Register.PROGRAM_LENGTH: self.length,
            Register.PROGRAM_LOW: self.program[:32],
            Register.PROGRAM_HIGH: self.program[32:],
            Register.WINDOW_BASE_LOW: self.window.base[:32],
            Register.WINDOW_BASE_HIGH: self.window.base[32:],
            Register.WINDOW_SIZE_LOW: self.window.size[:32],
            Register.WINDOW_SIZE_HIGH: self.window.size[32:],
            Register.WATCHDOG: self.watchdog,
        }
        readable = {
            **programmed,
            Register.IDENTITY: IDENTITY,
            Register.CONTROL: 0,
            Register.STATUS: self.status,
            Register.ERROR: self.error,
            Register.ERROR_INSTRUCTION: self.error_instruction,
            Register.INTERRUPT: pending,
            Register.SHAPE: array.slabs | array.lanes - 1 << 7 | array.rows << 8 | array.columns << 20,
        }

        # Writes: address and data come in either order, then the answer.
        aw, w, b = self.bus.aw, self.bus.w, self.bus.b
        write = Signal()
        m.d.comb += [write.eq(aw.valid & w.valid & ~b.valid), aw.ready.eq(write), w.ready.eq(write)]
        strobes = Cat(bit.replicate(8) for bit in w.strb)
        cleared = Signal.like(pending)
        with m.If(b.ready):
            m.d.sync += b.valid.eq(0)
        with m.If(write):
            m.d.sync += [b.valid.eq(1), b.resp.eq(OKAY)]
            with m.Switch(aw.addr[2:]):
                for register, value in programmed.items():
                    with m.Case(register >> 2):
                        with m.If(busy):
                            m.d.sync += b.resp.eq(SLVERR)
                        with m.Else():
                            m.d.sync += value.eq((value & ~strobes) | (w.data & strobes))
                with m.Case(Register.INTERRUPT >> 2):
                    m.d.comb += cleared.eq(w.data & strobes)
                with m.Case(Register.CONTROL >> 2):
                    asked = w.data & strobes
                    refused = (asked & Control.START).any() & (self.status & ~Status.DONE).any()
                    with m.If(refused):
                        m.d.sync += b.resp.eq(SLVERR)
                    m.d.comb += [
                        self.start.eq((asked & Control.START).any() & ~refused & ~self.reset),
                        self.reset.eq((asked & Control.RESET).any()),
                    ]
                with m.Default():
                    m.d.sync += b.resp.eq(SLVERR)
        m.d.sync += pending.eq((pending & ~cleared) | self.events)
        m.d.comb += self.interrupt.eq((pending & enable).any())

        # Reads.
        ar, r = self.bus.ar, self.bus.r
        read = Signal()
        m.d.comb += [read.eq(ar.valid & ~r.valid), ar.ready.eq(read)]
        with m.If(r.ready):
            m.d.sync += r.valid.eq(0)
        with m.If(read):
            m.d.sync += [r.valid.eq(1), r.resp.eq(OKAY), r.data.eq(0)]
            with m.Switch(ar.addr[2:]):
                for register, value in readable.items():
                    with m.Case(register >> 2):
                        m.d.sync += r.data.eq(value)
                for counter, value in zip(Counter, self.counters, strict=True):
                    with m.Case((Register.COUNTERS >> 2) + 2 * counter):
                        m.d.sync += [r.data.eq(value[:32]), high.eq(value[32:])]
                    with m.Case((Register.COUNTERS >> 2) + 2 * counter + 1):
                        m.d.sync += r.data.eq(high)
                with m.Default():
                    m.d.sync += r.resp.eq(SLVERR)
        return m
