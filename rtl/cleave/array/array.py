"""The array: slabs on top of each other, each one's seam feeding the next."""

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import MEMORY_LATENCY, OPERAND_BITS, EngineConfig
from ..engine.ports import AccumulatorRead
from ..hdl import share
from ..memory.ram import WritePort
from .skew import ripple
from .slab import Slab
from .tokens import ROW_MACS_BITS, load_layout, start_layout, token


class Array(wiring.Component):
    """The splittable array: `slabs` slabs, of which any adjacent ones work as one when a token passes through them.

    Members are those of `Slab`, one per slab; see there.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        array = config.array
        super().__init__({
            "load": In(token(load_layout(config))).array(array.slabs),
            "start": In(token(start_layout(config))).array(array.slabs),
            "moving": In(WritePort(config.moving_depth, OPERAND_BITS * array.rows)).array(array.slabs),
            "stationary": In(
                WritePort(config.stationary_depth, OPERAND_BITS * array.load_rows * array.columns, array.load_rows)
            ).array(array.slabs),
            "accumulators": In(AccumulatorRead(config)).array(array.slabs),
            "streaming": Out(1).array(array.slabs),
            "row_macs": Out(ROW_MACS_BITS).array(array.slabs),
            "started": Out(1).array(array.slabs),
            "written": Out(1).array(array.slabs),
            "signal": Out(2).array(array.slabs),
            "busy": Out(1).array(array.slabs),
        } | (
            {"distances": In(WritePort(config.moving_depth, OPERAND_BITS)).array(array.slabs)} if config.block_scales else {}
        ))

    @property
    def shared_name(self) -> str:
        return "array"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        # The drain reads one slab at a time, and shows all of them the address.
        addresses = ripple(m, "drain_address", self.accumulators[0].address, self.config.read_columns + MEMORY_LATENCY)
        north = None
        for s in range(self.config.array.slabs):
            m.submodules[f"slab_{s}"] = slab = share(platform, Slab(self.config))
            m.d.comb += [port.eq(address) for port, address in zip(slab.drain_addresses, addresses, strict=True)]
            distances = ["distances"] if self.config.block_scales else []
            for name in ("load", "start", "moving", "stationary", "accumulators", *distances):
                connect(m, flipped(getattr(self, name)[s]), getattr(slab, name))
            for name in ("streaming", "row_macs", "started", "written", "signal", "busy"):
                m.d.comb += getattr(self, name)[s].eq(getattr(slab, name))
            if north is not None:
                connect(m, north.load_to_south, slab.load_from_north)
                connect(m, north.start_to_south, slab.start_from_north)
                m.d.comb += [
                    below.eq(above) for below, above in zip(slab.sums_from_north, north.sums_to_south, strict=True)
                ]
            north = slab
        return m
