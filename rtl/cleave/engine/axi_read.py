"""The engine's one AXI4 read master, shared by LOAD and the instruction fetch."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import EngineConfig
from .axi import BURST_INCR, CACHE_NORMAL, ID_FETCH, ID_LOAD, OKAY, Axi4Read
from .burst import Bursts, transfer_layout

__all__ = ["AxiRead", "ReadClient"]

OUTSTANDING_BITS = 8
"""Width of each client's count of bursts that are not yet answered."""


class ReadClient(wiring.Signature):
    """A client's side of the read master.

    A transfer is answered by every bus beat that holds one of its bytes, in order; transfers in the order in which they
    were accepted. A client must accept each beat without waiting for what another client or a later transfer brings:
    behind an in-order memory the other client's beats wait for it.

    Members
    -------
    transfer : Out(stream.Signature(transfer_layout(config)))
    cancel : Out(1)
        While high no new burst is started, and what is left of the accepted transfers is forgotten.
    beat : In(stream.Signature({"data": axi_data_width, "error": 1}))
        `error`: the response was not OKAY.
    busy : In(1)
        Beats may still come.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__({
            "transfer": Out(stream.Signature(transfer_layout(config))),
            "cancel": Out(1),
            "beat": In(stream.Signature(data.StructLayout({"data": config.axi_data_width, "error": 1}))),
            "busy": In(1),
        })


class AxiRead(wiring.Component):
    """AXI4 read master with two clients; the fetch comes first, as it is rare and everything waits for it.

    Latency: a burst stands on AR 2 cycles after its transfer was accepted; beats pass through in the same cycle.
    Throughput: one burst and one beat per cycle. Each client has at most 2**OUTSTANDING_BITS - 1 unanswered bursts.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    load, fetch : In(ReadClient(config))
        The clients, with IDs `ID_LOAD` and `ID_FETCH`.
    bus : Out(Axi4Read(axi_address_width, axi_data_width))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "load": In(ReadClient(config)),
            "fetch": In(ReadClient(config)),
            "bus": Out(Axi4Read(config.axi_address_width, config.axi_data_width)),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        ar, r = self.bus.ar, self.bus.r
        m.d.comb += [
            ar.size.eq((self.config.axi_bytes - 1).bit_length()),
            ar.burst.eq(BURST_INCR),
            ar.cache.eq(CACHE_NORMAL),
        ]
        # AR is a register: it keeps its burst until the bus takes it, whatever the clients do.
        free = Signal(init=1)  # AR may take a burst of a client that comes later in the order
        with m.If(ar.ready):
            m.d.sync += ar.valid.eq(0)
        free = ~ar.valid | ar.ready  # for the next client in the order

        for id_, name, client in [(ID_FETCH, "fetch", self.fetch), (ID_LOAD, "load", self.load)]:
            m.submodules[f"{name}_bursts"] = bursts = Bursts(self.config)
            connect(m, bursts.transfer, wiring.flipped(client.transfer))
            burst = bursts.burst
            outstanding = Signal(OUTSTANDING_BITS, name=f"{name}_outstanding")
            start = Signal(name=f"{name}_start")
            finish = Signal(name=f"{name}_finish")
            room = ~outstanding.all()
            m.d.comb += [
                bursts.cancel.eq(client.cancel),
                burst.ready.eq(free & room),
                start.eq(burst.valid & burst.ready),
                finish.eq(r.valid & r.ready & r.last & (r.id == id_)),
                client.beat.valid.eq(r.valid & (r.id == id_)),
                client.beat.p.data.eq(r.data),
                client.beat.p.error.eq(r.resp != OKAY),
                client.busy.eq(bursts.busy | outstanding.any()),
            ]
            m.d.sync += outstanding.eq(outstanding + start - finish)
            with m.If(start):
                m.d.sync += [ar.valid.eq(1), ar.id.eq(id_), ar.addr.eq(burst.p.address), ar.len.eq(burst.p.len)]
            free = free & ~start
        m.d.comb += r.ready.eq(Mux(r.id == ID_FETCH, self.fetch.beat.ready, self.load.beat.ready))
        return m
