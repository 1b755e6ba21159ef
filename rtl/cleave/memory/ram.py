"""Memory behind one wrapper, named by its ports: `Ram1r1w`, one read port and one write port."""

from amaranth.hdl import Assert, Elaboratable, Format, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import bits_for

__all__ = ["ReadPort", "WritePort", "Ram1r1w"]


class ReadPort(wiring.Signature):
    """Read port as its user sees it: `data` answers `enable` and `address` one cycle later and holds until the next."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__({"enable": Out(1), "address": Out(bits_for(depth)), "data": In(width)})


class WritePort(wiring.Signature):
    """Write port as its user sees it; bit p of `enable` writes the p-th of `parts` equal parts of the word."""

    def __init__(self, depth: int, width: int, parts: int = 1) -> None:
        super().__init__({"enable": Out(parts), "address": Out(bits_for(depth)), "data": Out(width)})


class Ram1r1w(wiring.Component):
    """Memory of `depth` words of `width` bits with one read port and one write port, both synchronous.

    A word must not be read in the cycle in which it is written (an assertion says so), and must be written before it is
    read: neither the initial contents nor the order of a collision is the same in every technology.

    Parameters
    ----------
    depth, width
        Words, and bits of a word.
    parts
        Equal parts of a word that can be written alone.

    Members
    -------
    read : In(ReadPort(depth, width))
        Latency 1 cycle.
    write : In(WritePort(depth, width, parts))

    Raises
    ------
    ValueError
        If `width` is not a multiple of `parts`.
    """

    def __init__(self, depth: int, width: int, parts: int = 1) -> None:
        if width % parts:
            raise ValueError(f"width must be a multiple of parts ({parts}), not {width}")
        self.depth, self.width, self.parts = depth, width, parts
        super().__init__({"read": In(ReadPort(depth, width)), "write": In(WritePort(depth, width, parts))})

    @property
    def shared_name(self) -> str:
        return f"ram_1r1w_{self.depth}x{self.width}" + (f"_{self.parts}" if self.parts > 1 else "")

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        # The hook for a technology: a platform that has its own macro of this shape returns it here.
        if hasattr(platform, "ram_1r1w"):
            m.submodules.macro = platform.ram_1r1w(self)
            return m
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[], attrs={"no_rw_check": 1})
        write = memory.write_port(granularity=self.width // self.parts)
        read = memory.read_port()
        m.d.comb += [
            write.en.eq(self.write.enable),
            write.addr.eq(self.write.address),
            write.data.eq(self.write.data),
            read.en.eq(self.read.enable),
            read.addr.eq(self.read.address),
            self.read.data.eq(read.data),
        ]
        collision = Signal()
        m.d.comb += collision.eq(
            self.read.enable & self.write.enable.any() & (self.read.address == self.write.address)
        )
        m.d.sync += Assert(~collision, Format("read and write of word {} in the same cycle", self.read.address))
        return m
