"""The engine: fetch, dispatch, the units that move data, a sequencer for every slab, and the array.

    program -> Fetch -> Dispatcher -+-> queue -> Load  -> BankWriter -> moving, stationary banks ----+
                                    +-> queue -> Sequencer of each slab -> load and start tokens -> Array
                                    +-> queue -> Drain <- accumulator banks -------------------------+
                                                   +-> memory, moving banks

Dependencies gives each queue's head its tokens; Supervisor starts, ends, stops and resets; Registers is the host's side.
"""

from itertools import pairwise

from amaranth.hdl import Cat, Elaboratable, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..array.array import Array
from ..config import EngineConfig
from ..hdl import share
from .axi import Axi4Read, Axi4Write, AxiLite
from .axi_read import AxiRead
from .bank_writer import BankWriter
from .counters import Counters
from .dependencies import Dependencies
from .dispatch import Dispatcher
from .drain import Drain
from .fetch import Fetch
from .isa import Error, Opcode, Unit
from .load import Load
from .ports import command_layout
from .queue import Queue
from .registers import ADDRESS_WIDTH, Registers
from .sequencer import Sequencer, matmul_layout
from .supervisor import Supervisor


class Engine(wiring.Component):
    """A whole matrix engine.

    Parameters
    ----------
    config
        The engine's shape.

    Members
    -------
    read : Out(Axi4Read), write : Out(Axi4Write)
        The two halves of the AXI4 master for instructions, operands and results.
    control : In(AxiLite)
        Control and status registers.
    interrupt : Out(1)
        Level, high while an enabled bit of INTERRUPT is set.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        address, width = config.axi_address_width, config.axi_data_width
        super().__init__({
            "read": Out(Axi4Read(address, width)),
            "write": Out(Axi4Write(address, width)),
            "control": In(AxiLite(ADDRESS_WIDTH)),
            "interrupt": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        slabs = range(config.array.slabs)

        m.submodules.registers = registers = Registers(config)
        m.submodules.counters = counters = Counters(config)
        m.submodules.array = array = share(platform, Array(config))

        # All that a soft reset clears. The array is not among it: once it is not busy, nothing in it matters.
        clear = Signal()
        cleared = {
            "axi_read": (axi_read := AxiRead(config)),
            "fetch": (fetch := Fetch(config)),
            "dispatcher": (dispatcher := Dispatcher(config)),
            "dependencies": (dependencies := Dependencies(config)),
            "load": (load := Load(config)),
            "drain": (drain := Drain(config)),
            "bank_writer": (bank_writer := BankWriter(config)),
            "load_queue": (load_queue := Queue(command_layout(Opcode.LOAD), config.queue_depth)),
            "drain_queue": (drain_queue := Queue(command_layout(Opcode.DRAIN), config.queue_depth)),
        }
        queues = [Queue(matmul_layout(config), config.queue_depth) for _ in slabs]
        sequencers = [Sequencer(config) for _ in slabs]
        for s in slabs:
            cleared |= {f"queue_{s}": queues[s], f"sequencer_{s}": sequencers[s]}
        for name, component in cleared.items():
            m.submodules[name] = ResetInserter(clear)(component)

        # Instructions.
        connect(m, fetch.fetched, dispatcher.i)
        connect(m, dispatcher.load, load_queue.i)
        connect(m, dispatcher.drain, drain_queue.i)
        for s in slabs:
            connect(m, dispatcher.slabs[s], queues[s].i)

        # Tokens: a queue's head goes on to its unit when none of its tokens is missing.
        asked, missing = dependencies.asks, dependencies.missing
        for unit, queue, port in [(Unit.LOAD, load_queue, load.unit), (Unit.DRAIN, drain_queue, drain.unit)]:
            there = ~missing[unit].any()
            m.d.comb += [
                asked[unit].eq(Mux(queue.o.valid, queue.o.p.instruction.wait, 0)),
                port.command.p.eq(queue.o.p),
                port.command.valid.eq(queue.o.valid & there),
                queue.o.ready.eq(port.command.ready & there),
                dependencies.takes[unit].eq(port.command.valid & port.command.ready),
                dependencies.gives[unit].eq(Mux(port.complete.valid, port.complete.signal, 0)),
            ]
        for s in slabs:
            unit, queue, sequencer = Unit.SLAB + s, queues[s], sequencers[s]
            leads = queue.o.valid & (queue.o.p.offset == 0)
            connect(m, queue.o, sequencer.command)
            m.d.comb += [
                asked[unit].eq(Mux(leads, queue.o.p.wait, 0)),
                sequencer.waits.eq(missing[unit]),
                dependencies.takes[unit].eq(queue.o.valid & queue.o.ready),
                dependencies.gives[unit].eq(array.signal[s]),
            ]

        # Sequencers: ready flows north, start flows south.
        for north, south in pairwise(sequencers):
            connect(m, south.to_north, north.from_south)
            connect(m, north.to_south, south.from_north)
        for s in slabs:
            connect(m, sequencers[s].load, array.load[s])
            connect(m, sequencers[s].start, array.start[s])

        # Data.
        connect(m, load.read, axi_read.load)
        connect(m, fetch.read, axi_read.fetch)
        connect(m, axi_read.bus, flipped(self.read))
        connect(m, drain.axi, flipped(self.write))
        connect(m, load.chunk, bank_writer.load)
        connect(m, drain.chunks, bank_writer.drain)
        connect(m, bank_writer.banks.parameters, drain.parameters)
        if config.block_scales:
            connect(m, bank_writer.banks.row_parameters, drain.row_parameters)
        for s in slabs:
            connect(m, bank_writer.banks.moving[s], array.moving[s])
            connect(m, bank_writer.banks.stationary[s], array.stationary[s])
            if config.block_scales:
                connect(m, bank_writer.banks.distances[s], array.distances[s])
            connect(m, drain.read[s], array.accumulators[s])

        # Control.
        failures = [dispatcher.failure, load.unit.failure, drain.unit.failure, fetch.failure]
        failures += [sequencer.failure for sequencer in sequencers]
        m.submodules.supervisor = supervisor = Supervisor(config, len(failures) + 1)
        for s, failure in enumerate(failures):
            connect(m, failure, supervisor.failures[s])
        last_index = Signal(32)
        lost = supervisor.failures[len(failures)]
        m.d.comb += [lost.valid.eq(dependencies.overflow), lost.code.eq(Error.TOKEN_OVERFLOW), lost.index.eq(last_index)]
        with m.If(dispatcher.i.valid & dispatcher.i.ready):
            m.d.sync += last_index.eq(dispatcher.i.p.index)

        units = [load_queue, drain_queue, *queues]
        for unit, queue in reversed(list(enumerate(units))):
            entry = queue.o.p
            with m.If(missing[unit].any()):
                m.d.comb += supervisor.waiting.eq(entry.index)

        in_array = Cat(array.busy[s] | array.streaming[s] | sequencers[s].busy for s in slabs).any()
        owed = axi_read.load.busy | axi_read.fetch.busy | drain.owed
        in_units = load.unit.busy | drain.unit.busy | owed
        held = Cat(queue.held for queue in units).any()
        steps = Cat(queue.o.valid & queue.o.ready for queue in units).any() | (dispatcher.i.valid & dispatcher.i.ready)
        transfers = [
            channel.valid & channel.ready
            for channel in (self.read.ar, self.read.r, self.write.aw, self.write.w, self.write.b)
        ]
        m.d.comb += [
            clear.eq(supervisor.clear),
            supervisor.start.eq(registers.start),
            supervisor.reset.eq(registers.reset),
            supervisor.watchdog.eq(registers.watchdog),
            supervisor.finished.eq(fetch.done & ~held & ~in_array & ~in_units),
            supervisor.moving.eq(in_array | in_units | steps),
            supervisor.owed.eq(owed),
            supervisor.quiet.eq(~in_array & ~in_units & ~(fetch.busy & supervisor.abort)),
            supervisor.transfer.eq(Cat(transfers).any()),
            fetch.start.eq(supervisor.begin),
            fetch.program.eq(registers.program),
            fetch.length.eq(registers.length),
            registers.status.eq(supervisor.status),
            registers.error.eq(supervisor.error),
            registers.error_instruction.eq(supervisor.error_instruction),
            registers.events.eq(supervisor.events),
            self.interrupt.eq(registers.interrupt),
        ]
        for unit in (fetch, dispatcher, load.unit, drain.unit, *sequencers):
            m.d.comb += unit.abort.eq(supervisor.abort)
        for unit in (fetch, load, drain):
            connect(m, registers.window, unit.window)
        connect(m, flipped(self.control), registers.bus)

        m.d.comb += [
            counters.clear.eq(supervisor.clear & registers.start),
            counters.running.eq(supervisor.running),
            counters.read_beat.eq(self.read.r.valid & self.read.r.ready),
            counters.write_beat.eq(self.write.w.valid & self.write.w.ready),
        ]
        for s in slabs:
            m.d.comb += [
                counters.streaming[s].eq(array.streaming[s]),
                counters.started[s].eq(array.started[s]),
                counters.written[s].eq(array.written[s]),
                counters.row_macs[s].eq(array.row_macs[s]),
                counters.cause[s].eq(sequencers[s].cause),
            ]
        m.d.comb += [port.eq(value) for port, value in zip(registers.counters, counters.values, strict=True)]
        return m
