"""The dispatcher: it checks each fetched instruction's form and puts it into the queues of its units, in order."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..numerics.formats import PAIRS
from .fetch import FETCHED
from .isa import FIELDS, Error, Opcode, Unit
from .ports import Failure, command_layout, instruction_layout
from .sequencer import limits, matmul_layout

PARTNERS_OF_SLABS = 1 << Unit.LOAD | 1 << Unit.DRAIN
"""Units that a slab exchanges tokens with."""


class Dispatcher(wiring.Component):
    """Dispatch one instruction per cycle, as soon as every queue that it goes to has room.

    Raises ILLEGAL_INSTRUCTION for an unknown opcode, set bits without a field, tokens from or for units that do not
    exist or do not exchange any, a MATMUL whose partition is not in the array or that has no rows or passes, one with scales or
    a shift in an engine without `block_scales`, and one with pairs that there are not, or in an array of one lane. What an address
    or a length may be is checked where it is used.

    Members
    -------
    i : In(stream of FETCHED)
    load, drain : Out(stream of command_layout)
    slabs : Out(stream of matmul_layout).array(slabs)
    failure : Out(Failure)
    abort : In(1)
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(FETCHED)),
            "load": Out(stream.Signature(command_layout(Opcode.LOAD))),
            "drain": Out(stream.Signature(command_layout(Opcode.DRAIN))),
            "slabs": Out(stream.Signature(matmul_layout(config))).array(config.array.slabs),
            "failure": Out(Failure()),
            "abort": In(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        slabs = self.config.array.slabs
        word = self.i.p.instruction
        views = {opcode: data.View(instruction_layout(opcode), word[: instruction_layout(opcode).size]) for opcode in Opcode}
        scales = Const(0) if self.config.block_scales else views[Opcode.MATMUL].scaled | views[Opcode.MATMUL].shift.any()
        formats = len(PAIRS) if self.config.array.lanes > 1 else 1
        every_slab = (1 << slabs) - 1 << Unit.SLAB
        partners = {
            Opcode.LOAD: every_slab | 1 << Unit.DRAIN,
            Opcode.MATMUL: PARTNERS_OF_SLABS,
            Opcode.DRAIN: every_slab | 1 << Unit.LOAD,
        }

        # Each opcode's form: nothing set beyond its fields, and tokens only with its partners.
        legal = Signal()
        ready = Signal()
        go = Signal()
        m.d.comb += go.eq(self.i.valid & legal & ~self.abort)
        with m.Switch(word[: FIELDS[Opcode.LOAD][0].width]):
            for opcode in Opcode:
                view = views[opcode]
                form = ~(
                    word[instruction_layout(opcode).size :].any()
                    | (view.wait & ~partners[opcode] & 0xFFFF_FFFF).any()
                    | (view.signal & ~partners[opcode] & 0xFFFF_FFFF).any()
                )
                with m.Case(opcode):
                    if opcode is Opcode.MATMUL:
                        past = view.first + view.count
                        place = (view.count != 0) & (past <= slabs) & (view.rows != 0) & (view.passes != 0)
                        place &= ~scales & (view.pairs < formats)
                        inside = [(view.first <= s) & (s < past) for s in range(slabs)]
                        rooms = [~member | port.ready for member, port in zip(inside, self.slabs, strict=True)]
                        m.d.comb += [legal.eq(form & place), ready.eq(Cat(rooms).all())]
                        for member, port in zip(inside, self.slabs, strict=True):
                            m.d.comb += port.valid.eq(go & ready & member)
                    else:
                        port = self.load if opcode is Opcode.LOAD else self.drain
                        m.d.comb += [legal.eq(form), ready.eq(port.ready), port.valid.eq(go)]

        for port, opcode in [(self.load, Opcode.LOAD), (self.drain, Opcode.DRAIN)]:
            m.d.comb += [port.p.instruction.eq(views[opcode]), port.p.index.eq(self.i.p.index)]
        matmul = views[Opcode.MATMUL]
        fitted = {name: Mux(matmul[name] < limit, matmul[name], limit) for name, limit in limits(self.config).items()}
        for s, port in enumerate(self.slabs):
            same = [name for name in port.p.shape().members if name in matmul.shape().members]
            m.d.comb += [getattr(port.p, name).eq(fitted[name] if name in fitted else matmul[name]) for name in same]
            m.d.comb += [
                port.p.offset.eq(s - matmul.first),
                port.p.below.eq(matmul.first + matmul.count - 1 - s),
                port.p.index.eq(self.i.p.index),
            ]

        m.d.comb += [
            self.i.ready.eq(go & ready),
            self.failure.valid.eq(self.i.valid & ~legal & ~self.abort),
            self.failure.code.eq(Error.ILLEGAL_INSTRUCTION),
            self.failure.index.eq(self.i.p.index),
        ]
        return m
