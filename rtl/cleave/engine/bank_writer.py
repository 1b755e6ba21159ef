"""The one writer of the operand banks, for LOAD and DRAIN."""

from functools import reduce
from operator import or_

from amaranth.hdl import Assert, Cat, Elaboratable, Format, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
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

        # Moving banks.
        drains = Signal()
        moves = Signal()
        chunk = Signal(chunk_layout(config))
        m.d.comb += [
            drains.eq(drain.valid & drain.ready),
            moves.eq(drains | (load_moves & load.ready)),
            chunk.eq(Mux(drains, drain.p, load.p)),
        ]
        for slab, port in enumerate(banks.moving):
            named, word = self._segment(chunk, slab, config.segments, 8 * array.rows)
            m.d.sync += [port.enable.eq(moves & named), port.address.eq(chunk.address), port.data.eq(word)]

        # Stationary banks and parameters: only LOAD writes them.
        to_stationary = load.p.destination == Destination.STATIONARY
        if config.block_scales:
            to_stationary |= load.p.destination == Destination.STATIONARY_SCALES
        behind = self._rows_behind(load.p)
        for slab, port in enumerate(banks.stationary):
            named, row = self._segment(load.p, slab, config.stationary_segments, 8 * array.columns)
            rows = [Mux(load.p.parts[part - 1], behind[part], row) if part in behind else row for part in range(array.load_rows)]
            m.d.sync += [
                port.enable.eq(Mux(load.valid & to_stationary & named, load.p.parts, 0)),
                port.address.eq(load.p.address),
                port.data.eq(Cat(rows)),
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

    def _segment(self, chunk: data.View, slab: int, count: int, width: int, *, first: int = 0) -> tuple[Value, Value]:
        """Give whether one of `count` segments of `width` bits from bit `first` on names a slab, and that one; at most one does."""
        named = Cat(chunk.slabs[j][slab] for j in range(count))
        segments = [Mux(names, chunk.data[first + j * width:][:width], 0) for j, names in enumerate(named)]
        return named.any(), reduce(or_, segments)

    def _rows_behind(self, chunk: data.View) -> dict[int, Value]:
        """Give the row of each part that may be behind a chunk's first one, if the part before it is the chunk's too."""
        width, most, parts = 8 * self.config.array.columns, self.config.stationary_rows, chunk.parts
        rows: dict[int, Value] = {}
        for part in range(1, len(parts)) if most > 1 else ():
            rows[part] = chunk.data[width:][:width]
            for j in range(2, min(part + 1, most)):
                first = ~parts[part - j - 1] if j < part else 1
                rows[part] = Mux(parts[part - j] & first, chunk.data[j * width:][:width], rows[part])
        return rows

    def _write_distances(self, m: Module) -> None:
        """Write the moving scales."""
        load, config = self.load, self.config
        for slab, port in enumerate(self.banks.distances):
            named, distance = self._segment(load.p, slab, config.array.slabs, 8, first=8)
            m.d.sync += [
                port.enable.eq(load.valid & (load.p.destination == Destination.MOVING_SCALES) & named),
                port.address.eq(load.p.address),
                port.data.eq(distance),
            ]
