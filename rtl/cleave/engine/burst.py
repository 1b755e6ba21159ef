"""Cutting byte ranges into AXI4 bursts."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig

__all__ = ["Bursts", "burst_layout", "transfer_layout"]

LENGTH_BITS = 16
"""Width of a transfer's length."""


def transfer_layout(config: EngineConfig) -> data.StructLayout:
    """A range of bytes in memory: the `last + 1` bytes from byte `address` on."""
    return data.StructLayout({"address": config.axi_address_width, "last": LENGTH_BITS})


def burst_layout(config: EngineConfig) -> data.StructLayout:
    """An INCR burst of `len + 1` full bus beats from the aligned `address` on; `final` is its transfer's last."""
    return data.StructLayout({"address": config.axi_address_width, "len": 8, "final": 1})


class Bursts(wiring.Component):
    """Cuts transfers into INCR bursts of full, aligned bus beats.

    A burst never crosses a multiple of P beats, P the largest power of two that is at most `max_burst`. As P beats are
    at most 4 KiB, this obeys AXI's 4 KiB rule and the longest burst with one comparison.

    Latency 1 cycle, throughput one burst per cycle, also from one transfer to the next.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    transfer : In(stream.Signature(transfer_layout(config)))
    burst : Out(stream.Signature(burst_layout(config)))
        Every beat that holds a byte of the transfer, once, in order. Withdrawn by `cancel`.
    cancel : In(1)
        Drops the rest of the transfer and takes no other while high.
    busy : Out(1)
        A transfer still has bursts to give.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "transfer": In(stream.Signature(transfer_layout(config))),
            "burst": Out(stream.Signature(burst_layout(config))),
            "cancel": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        beat_bits = (config.axi_bytes - 1).bit_length()  # bits of a byte's place in its beat
        page_bits = config.max_burst.bit_length() - 1  # bits of a beat's place between two boundaries

        beat = Signal(config.axi_address_width - beat_bits, reset_less=True)  # next beat to ask for
        left = Signal(LENGTH_BITS + 1 - beat_bits, reset_less=True)  # beats to ask for after it
        page_left = ~beat[:page_bits]  # beats after it up to the next boundary
        final = Signal()
        m.d.comb += [
            final.eq(left <= page_left),
            self.burst.valid.eq(self.busy & ~self.cancel),
            self.burst.p.address[beat_bits:].eq(beat),
            self.burst.p.len.eq(Mux(final, left, page_left)),
            self.burst.p.final.eq(final),
            self.transfer.ready.eq(~self.cancel & (~self.busy | (self.burst.ready & final))),
        ]
        with m.If(self.burst.ready):
            m.d.sync += [
                beat.eq(Cat(Const(0, page_bits), beat[page_bits:] + 1)),
                left.eq(left - page_left - 1),
            ]
            with m.If(final):
                m.d.sync += self.busy.eq(0)
        with m.If(self.transfer.valid & self.transfer.ready):
            address = self.transfer.p.address
            m.d.sync += [
                beat.eq(address[beat_bits:]),
                left.eq((address[:beat_bits] + self.transfer.p.last) >> beat_bits),
                self.busy.eq(1),
            ]
        with m.If(self.cancel):
            m.d.sync += self.busy.eq(0)
        return m
