"""One stream to several takers, each in its own time."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fork"]


class Fork(wiring.Component):
    """Give each payload once to every output that `to` names; it is accepted when the last of them has taken it.

    Latency 0.

    Parameters
    ----------
    shape
        Shape of the payload.
    outputs
        Number of outputs.

    Members
    -------
    i : In(stream.Signature(shape))
    to : In(outputs)
        Bit k: output k gets this payload; steady while `i.valid`.
    o : Out(stream.Signature(shape)).array(outputs)
    """

    def __init__(self, shape: object, outputs: int) -> None:
        self.outputs = outputs
        super().__init__({
            "i": In(stream.Signature(shape)),
            "to": In(outputs),
            "o": Out(stream.Signature(shape)).array(outputs),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        given = Signal(self.outputs)
        offered = Signal(self.outputs)
        done = Signal(self.outputs)
        m.d.comb += [
            offered.eq(self.to & ~given & self.i.valid.replicate(self.outputs)),
            done.eq(given | ~self.to | (offered & Cat(o.ready for o in self.o))),
            self.i.ready.eq(done.all()),
        ]
        for o, valid in zip(self.o, offered, strict=True):
            m.d.comb += [o.valid.eq(valid), o.payload.eq(self.i.payload)]
        with m.If(self.i.valid):
            m.d.sync += given.eq(Mux(self.i.ready, 0, done & self.to))
        return m
