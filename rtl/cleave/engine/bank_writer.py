"""The one writer of the operand banks, for LOAD and DRAIN."""

from functools import reduce
from operator import or_

from amaranth.hdl import Assert, Cat, Elaboratable, Format, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..numerics.requantise import RECORD_BYTES
from .isa import Destination
from .ports import BankWrites, chunk_layout

__all__ = ["WRITE_LATENCY", "BankWriter"]

WRITE_LATENCY = 1
"""Cycles from an accepted chunk to its write; reads see it from the cycle after the write."""


class BankWriter(wiring.Component):
    """Writes the chunks of LOAD and DRAIN into the banks.

    Both are accepted in the same cycle unless both go to the moving banks; then they take turns, LOAD first.

    Latency: a chunk accepted in cycle t stands on the banks' write ports in cycle t + WRITE_LATENCY, and reads see it
    from the cycle after that on. So acceptance is the acknowledgement: a unit that pulses `complete` WRITE_LATENCY
    cycles after its last chunk was accepted is right about reads from the cycle after the pulse.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    load : In(stream.Signature(chunk_layout(config)))
    drain : In(stream.Signature(chunk_layout(config)))
        Only with destination MOVING.
    banks : Out(BankWrites(config))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "load": In(stream.Signature(chunk_layout(config))),
            "drain": In(stream.Signature(chunk_layout(config))),
            "banks": Out(BankWrites(config)),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, array = self.config, self.config.array
        load, drain, banks = self.load, self.drain, self.banks

        load_moves = Signal()
        drain_turn = Signal()  # DRAIN comes first in the next conflict
        m.d.comb += [
            load_moves.eq(load.valid & (load.p.destination == Destination.MOVING)),
            load.ready.eq(~(load_moves & drain.valid & drain_turn)),
            drain.ready.eq(~(load_moves & drain.valid & ~drain_turn)),
        ]
        with m.If(load_moves & drain.valid):
            m.d.sync += drain_turn.eq(~drain_turn)
        m.d.sync += Assert(
            ~drain.valid | (drain.p.destination == Destination.MOVING),
            Format("a chunk of DRAIN has destination {}", drain.p.destination),
        )

        # Moving banks: each slab takes the one segment that names it.
        drains = Signal()
        moves = Signal()
        chunk = Signal(chunk_layout(config))
        m.d.comb += [
            drains.eq(drain.valid & drain.ready),
            moves.eq(drains | (load_moves & load.ready)),
            chunk.eq(Mux(drains, drain.p, load.p)),
        ]
        width = 8 * array.rows
        for slab, port in enumerate(banks.moving):
            chosen = Cat(chunk.slabs[j][slab] for j in range(config.segments))
            segments = [
                Mux(chosen[j], chunk.data[j * width:(j + 1) * width], 0) for j in range(config.segments)
            ]
            m.d.sync += [
                port.enable.eq(moves & chosen.any()),
                port.address.eq(chunk.address),
                port.data.eq(reduce(or_, segments)),
            ]

        # Stationary banks and parameters: only LOAD writes them.
        row = load.p.data[:8 * array.columns]
        to_stationary = load.p.destination == Destination.STATIONARY
        if config.block_scales:
            to_stationary |= load.p.destination == Destination.STATIONARY_SCALES
        for slab, port in enumerate(banks.stationary):
            write = load.valid & to_stationary & load.p.slabs[0][slab]
            m.d.sync += [
                port.enable.eq(Mux(write, 1 << load.p.part, 0)),
                port.address.eq(load.p.address),
                port.data.eq(row.replicate(array.load_rows)),
            ]
        parameters = [(Destination.PARAMETERS, banks.parameters)]
        if config.block_scales:
            parameters.append((Destination.ROW_PARAMETERS, banks.row_parameters))
            self._write_distances(m)
        for destination, port in parameters:
            m.d.sync += [
                port.enable.eq(load.valid & (load.p.destination == destination)),
                port.address.eq(load.p.address),
                port.data.eq(load.p.data[:8 * RECORD_BYTES * config.drain_lanes]),
            ]
        return m

    def _write_distances(self, m: Module) -> None:
        """Write the moving scales: each slab takes the one byte that names it."""
        load = self.load
        for slab, port in enumerate(self.banks.distances):
            chosen = Cat(mask[slab] for mask in load.p.slabs)
            scales = [Mux(names, load.p.data.word_select(1 + j, 8), 0) for j, names in enumerate(chosen)]
            m.d.sync += [
                port.enable.eq(load.valid & (load.p.destination == Destination.MOVING_SCALES) & chosen.any()),
                port.address.eq(load.p.address),
                port.data.eq(reduce(or_, scales)),
            ]
